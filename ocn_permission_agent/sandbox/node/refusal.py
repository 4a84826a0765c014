"""The ways in which a node says no, raised where it is noticed and answered in one place."""


class Refusal(Exception):
    """A node-made OCPI error (ocn-protocol.md b.3).

    Args:
        http_status: of the answer.
        status_code: OCPI status code of its body.
        message: OCPI status message.
    """

    def __init__(self, http_status: int, status_code: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.status_code = status_code
        self.message = message


class Crash(Exception):
    """Something the node did not foresee: HTTP 500 in the framework's own JSON."""


class Unanswered(Crash):
    """A receiver closed the connection without an answer: 2.x takes that for its own client being gone."""


class FrameworkRefusal(Exception):
    """What the framework answers before any handler of the node is asked: no OCPI body.

    Args:
        http_status: 400, 401, 404, 405 or 415.
        text: plain text body, empty for none; with 415 what was given as content type.
        allow: with 405, the methods of the route.
    """

    def __init__(self, http_status: int, text: str = "", *, allow: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.text = text
        self.allow = allow
