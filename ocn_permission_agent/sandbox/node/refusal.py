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


class FrameworkRefusal(Exception):
    """What the framework answers before any handler of the node is asked: no OCPI body.

    Args:
        http_status: 400, 401, 404 or 405.
        text: plain text body, empty for none.
    """

    def __init__(self, http_status: int, text: str = "") -> None:
        super().__init__(text)
        self.http_status = http_status
        self.text = text
