"""How a party answers when a test wants it to misbehave; it keeps what it received in every case."""

from enum import Enum
from typing import assert_never

from ocn_permission_agent.sandbox.serving import Answer


class Behaviour(Enum):
    """What a party does with OCPI requests from its node; the handshake always works."""

    #: answers as OCPI says
    PROPER = "proper"
    #: HTTP 500 without OCPI
    FAILS = "fails"
    #: HTTP 200, OCPI 2001: it does not want this
    REFUSES = "refuses"
    #: HTTP 200 and a page of HTML
    TALKS_HTML = "talks_html"
    #: HTTP 200 without a body
    SAYS_NOTHING = "says_nothing"
    #: takes the request and closes the connection
    CLOSES = "closes"
    #: HTTP 200, JSON, but no object
    TALKS_A_LIST = "talks_a_list"
    #: HTTP 200, OCPI 1000, and a member that OCPI does not know
    ADDS_A_MEMBER = "adds_a_member"
    #: HTTP 201, OCPI 1000, as many do for POST
    CREATES = "creates"
    #: no answer until it behaves differently or goes down
    HANGS = "hangs"


def misbehave(behaviour: Behaviour) -> Answer | None:
    """The answer of a behaviour that does not depend on the request, else None."""
    match behaviour:
        case Behaviour.FAILS:
            return Answer(http_status=500, body=b"broken", content_type="text/plain")
        case Behaviour.REFUSES:
            return Answer(body=b'{"status_code":2001,"status_message":"not wanted","timestamp":"2026-03-01T10:00:00Z"}')
        case Behaviour.TALKS_HTML:
            return Answer(body=b"<html><body>hello</body></html>", content_type="text/html")
        case Behaviour.SAYS_NOTHING:
            return Answer()
        case Behaviour.CLOSES:
            return Answer(cut=True)
        case Behaviour.TALKS_A_LIST:
            return Answer(body=b"[]")
        case Behaviour.ADDS_A_MEMBER:
            return Answer(body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z","mood":"fine"}')
        case Behaviour.PROPER | Behaviour.CREATES | Behaviour.HANGS:
            return None
        case _:
            assert_never(behaviour)
