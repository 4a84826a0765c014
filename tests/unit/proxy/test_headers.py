"""Reading heads and writing them anew, without a socket."""

import pytest

from ocn_permission_agent.errors import RequestRefused
from ocn_permission_agent.proxy.headers import (
    Limits,
    ReplyFraming,
    RequestHead,
    frame_reply,
    read_head,
    reply_head,
    request_head,
)

LIMITS = Limits(headers=10, url_bytes=50)


def head(*lines: tuple[bytes, bytes], method: str = "PUT", target: str = "/a?b=c", minor: int = 1) -> RequestHead:
    return read_head(
        method=method,
        target=target,
        http_minor=minor,
        raw_headers=((b"Host", b"h.example"), *lines),
        limits=LIMITS,
    )


def wire(read: RequestHead, *, preserve_host: bool = True) -> bytes:
    return request_head(read, node_host=b"node:1", preserve_host=preserve_host, peer="198.51.100.7", scheme=b"http")


def test_values_that_decide_are_read_as_latin_1_and_never_the_token() -> None:
    read = head((b"OCPI-From-Party-ID", b"\xe9"), (b"Authorization", b"Token secret"), (b"X-Other", b"1"))
    assert read.read == {"ocpi-from-party-id": "\xe9"}


def test_head_for_the_node_keeps_order_spelling_and_bytes() -> None:
    read = head((b"x-B", b"\xff"), (b"X-a", b""), (b"x-B", b"2"))
    assert wire(read) == (
        b"PUT /a?b=c HTTP/1.1\r\nHost: h.example\r\nx-B: \xff\r\nX-a: \r\nx-B: 2\r\n"
        b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h.example\r\n\r\n"
    )


def test_undecodable_bytes_of_the_target_survive() -> None:
    read = head(target=b"/\xff\xc3\xa4".decode("utf-8", "surrogateescape"))
    assert wire(read).startswith(b"PUT /\xff\xc3\xa4 HTTP/1.1\r\n")


def test_old_request_without_host_gets_the_nodes() -> None:
    read = read_head(method="GET", target="/", http_minor=0, raw_headers=(), limits=LIMITS)
    assert b"\r\nHost: node:1\r\n" in wire(read)
    assert b"Host: node:1" in wire(head(), preserve_host=False)


def test_expect_is_answered_here_and_other_expectations_pass() -> None:
    assert head((b"Expect", b"100-Continue")).expects_continue
    assert b"Expect" not in wire(head((b"Expect", b"100-Continue")))
    assert b"\r\nExpect: x\r\n" in wire(head((b"Expect", b"x")))
    assert not head((b"Expect", b"100-continue"), minor=0).expects_continue


def test_connection_may_name_what_nobody_sent_or_what_ends_here() -> None:
    read = head((b"Connection", b"close, Keep-Alive,, x-unknown"), (b"Keep-Alive", b"5"))
    assert b"Keep-Alive" not in wire(read)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([(b"Connection", b"host")], 400),
        ([(b"X-Forwarded-For", b"1.2.3.4"), (b"Connection", b"x-forwarded-for")], 400),
        ([(b"Content-Length", b"1"), (b"Content-Length", b"1")], 400),
        ([(b"Content-Length", b"\xb2")], 400),
        ([(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], 400),
        ([(b"Transfer-Encoding", b"gzip")], 400),
        ([(b"Host", b"h.example")], 400),
        ([(b"X", b"")] * 10, 431),
    ],
)
def test_odd_heads_are_refused(lines: list[tuple[bytes, bytes]], status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        head(*lines)
    assert (refused.value.cause.http_status, refused.value.cause.ocpi_status) == (status, 2001)


def test_refusals_repeat_no_odd_names() -> None:
    with pytest.raises(RequestRefused) as refused:
        head((b"Authorization", b"a"), (b"Authorization", b"b"))
    assert refused.value.reason == "header Authorization is sent twice with different values"


@pytest.mark.parametrize(("method", "target"), [("CONNECT", "/"), ("GET", "*"), ("GET", "a"), ("GET", "http://a/")])
def test_only_paths_are_targets(method: str, target: str) -> None:
    with pytest.raises(RequestRefused):
        head(method=method, target=target)


def test_url_limit_counts() -> None:
    with pytest.raises(RequestRefused) as refused:
        head(target="/" + "x" * 50)
    assert refused.value.cause.http_status == 414


def test_path_and_query_are_split_at_the_first_question_mark() -> None:
    read = head(target="/a%3F?b?c")
    assert (read.path, read.query) == ("/a%3F", "b?c")


@pytest.mark.parametrize(
    ("method", "status", "raw", "old", "framing"),
    [
        ("GET", 200, [(b"Content-Length", b"3")], False, (False, False, False)),
        ("GET", 200, [(b"Transfer-Encoding", b"chunked")], False, (False, True, False)),
        ("GET", 200, [], False, (False, True, False)),
        ("GET", 200, [], True, (False, False, True)),
        ("HEAD", 200, [(b"Content-Length", b"3")], False, (True, False, False)),
        ("PUT", 204, [], False, (True, False, False)),
        ("PUT", 304, [], False, (True, False, False)),
    ],
)
def test_replies_are_framed_for_who_asked(
    method: str, status: int, raw: list[tuple[bytes, bytes]], old: bool, framing: tuple[bool, bool, bool]
) -> None:
    names = [name.lower() for name, _ in raw]
    framed = frame_reply(method=method, status=status, names=names, client_is_old=old, keep_alive=True)
    assert framed == ReplyFraming(*framing)


def test_reply_cannot_take_away_its_length_nor_break_its_head() -> None:
    plain = ReplyFraming(bodiless=False, chunked=False, close=False)
    raw = [(b"Connection", b"content-length, x-y"), (b"Content-Length", b"3"), (b"X-Y", b"1")]
    names = [b"connection", b"content-length", b"x-y"]
    assert (
        reply_head(status=200, reason=b"OK", names=names, raw_headers=raw, framing=plain)
        == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    )
    for value in (b"a\rSet-Cookie: b", b"a\nSet-Cookie: b", b"a\r\nSet-Cookie: b"):
        with pytest.raises(ValueError, match="line break"):
            reply_head(status=200, reason=b"OK", names=[b"x"], raw_headers=[(b"X", value)], framing=plain)
