"""Nobody can have a copy made in a customer's name: not without its token, and not by any spelling of the headers.

The customers of this world have agreed to everything, so a hole would copy. DE*ANA is a platform of the node too, with
a token that holds, and has agreed to nothing.
"""

import random
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.story.world import World
from tests.acceptance.hostile import (
    PREFIX,
    Speaker,
    a_watched_world,
    envelopes,
    metric,
    proxy_address,
    until_settled,
)

Header = tuple[bytes, bytes]
Forgery = Callable[["Forger"], tuple[list[Header], bytes]]
_FROM = (b"OCPI-from-country-code", b"OCPI-from-party-id")
_TO = (b"OCPI-to-country-code", b"OCPI-to-party-id")
_ROUTES = (
    (b"PUT", b"receiver/2.2.1/locations/DE/CPO/L1"),
    (b"PATCH", b"receiver/2.2.1/locations/DE/CPO/L1"),
    (b"PUT", b"receiver/2.2.1/tariffs/DE/CPO/T1"),
    (b"PUT", b"receiver/2.2.1/sessions/DE/CPO/s1"),
    (b"POST", b"receiver/2.2.1/cdrs"),
)
#: for CPO, to people, to a locale, to a normal form or to a careless decoder
_LOOK_ALIKES = (
    b"CPO ", b"CPO\t", b" CPO", b"CPO\xa0", "\u0421\u0420\u041e".encode(), "\uff23\uff30\uff2f".encode(),
    "CPO\u200b".encode(), "CP\u041e".encode(), b"CP0", b"%43PO", b"CPO,ANA", b"ANA,CPO", b"ANA, CPO", b"CPO;ANA",
    b'"CPO"', b"CPO\x00", b"=?utf-8?Q?CPO?=", b"CPO/", b"CP\xd6", b"cPO", b"CPo", b"\xef\xbb\xbfCPO",
    "\u216dPO".encode(), b"CPO\x1f", b"'CPO'", b"CPO\\", b"C\xadPO",
)  # fmt: skip
_SPELLINGS: tuple[Callable[[bytes], bytes], ...] = (
    bytes.upper, bytes.lower, bytes.title, bytes.swapcase,
    lambda name: name.replace(b"-", b"_"), lambda name: name.replace(b"-", b"_", 1), lambda name: name + b" ",
    lambda name: b" " + name, lambda name: name + b"\t", lambda name: name.replace(b"-", b""),
    lambda name: b"X-" + name, lambda name: name.replace(b"-", b"."), lambda name: b"HTTP_" + name,
    lambda name: name.replace(b"-", "\u2010".encode()), lambda name: name.replace(b"i", "\u0131".encode()),
    lambda name: name.replace(b"-", b" "), lambda name: name + b":", lambda name: name.replace(b"O", b"\xd6"),
    lambda name: name + b"\x00", lambda name: name.replace(b"-", b"--", 1),
)  # fmt: skip


class Forger:
    """Draws requests in the name of DE*CPO that DE*CPO did not send."""

    def __init__(self, world: World, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  repeatable, not secret
        self.stranger = world.analytics.connection.authorization.encode()
        self.others = [party.connection.authorization.encode() for party in (world.other_cpo, world.emsp)]
        self.receiver = (b"NL", b"MSP")

    def draw(self, number: int) -> tuple[str, str, bytes]:
        """Kind, correlation id and bytes."""
        forgery = self.chance.choice(_FORGERIES)
        headers, extra = forgery(self)
        method, path = self.chance.choice(_ROUTES[:3] if forgery in _OWN_PARTY else _ROUTES)
        name = f"forged-{number}"
        body = b'{"id":"L1","last_updated":"2026-03-01T12:00:00Z"}'
        lines = [
            (b"Host", b"node.example"),
            (b"X-Request-ID", name.encode()),
            (b"X-Correlation-ID", name.encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
            *headers,
        ]
        self.chance.shuffle(lines)
        head = b"%b /%b/ocpi/%b HTTP/1.1\r\n" % (method, PREFIX.encode(), path)
        data = head + b"".join(key + b": " + value + b"\r\n" for key, value in lines) + extra + b"\r\n" + body
        return forgery.__name__, name, data

    def to(self, receiver: tuple[bytes, bytes] | None = None) -> list[Header]:
        return list(zip(_TO, receiver or self.receiver, strict=True))

    def named(self, country_code: bytes = b"DE", party_id: bytes = b"CPO") -> list[Header]:
        return list(zip(_FROM, (country_code, party_id), strict=True))

    def a_wrong_token(self) -> bytes:
        return self.chance.choice(
            [
                b"Token",
                b"Token ",
                b"Token x",
                b"Bearer x",
                b"Basic Og==",
                b"",
                b"Token " + b64encode(b"x"),
                b"Token null",
            ]
        )


# --- what they try ----------------------------------------------------------------------------------------------------


def no_token(forger: Forger) -> tuple[list[Header], bytes]:
    return [*forger.named(), *forger.to()], b""


def wrong_token(forger: Forger) -> tuple[list[Header], bytes]:
    return [(b"Authorization", forger.a_wrong_token()), *forger.named(), *forger.to()], b""


def token_of_another(forger: Forger) -> tuple[list[Header], bytes]:
    token = forger.chance.choice([*forger.others, forger.stranger])
    return [(b"Authorization", token), *forger.named(), *forger.to()], b""


def tokens_of_two(forger: Forger) -> tuple[list[Header], bytes]:
    both = [(b"Authorization", forger.stranger), (b"authorization", forger.a_wrong_token())]
    return [*both, *forger.named(), *forger.to()], b""


def own_party_of_the_node(forger: Forger) -> tuple[list[Header], bytes]:
    country, party = forger.chance.choice([(b"CH", b"OCN"), (b"ch", b"ocn"), (b"Ch", b"oCn")])
    token = forger.chance.choice(
        [[], [(b"Authorization", forger.a_wrong_token())], [(b"Authorization", forger.stranger)]]
    )
    return [
        *token,
        *forger.named(*forger.chance.choice([(b"DE", b"CPO"), (b"de", b"cpo")])),
        *forger.to((country, party)),
    ], b""


def own_party_and_another(forger: Forger) -> tuple[list[Header], bytes]:
    """The node reads its own party as the receiver, and the agent is to read somebody else's."""
    spelled = forger.chance.choice(_SPELLINGS)
    more = [(spelled(_TO[0]), b"NL"), (spelled(_TO[1]), b"MSP")]
    return [*forger.named(), *forger.to((b"CH", b"OCN")), *more, (b"Authorization", forger.a_wrong_token())], b""


def service_as_sender(forger: Forger) -> tuple[list[Header], bytes]:
    token = forger.chance.choice([*forger.others, forger.stranger])
    return [(b"Authorization", token), *forger.named(b"DE", forger.chance.choice([b"BIL", b"ANA"])), *forger.to()], b""


def stranger_twice(forger: Forger) -> tuple[list[Header], bytes]:
    """Its own name for the node, the customer's for the agent, or the other way round."""
    names = [*forger.named(b"DE", b"ANA"), *forger.named(b"DE", b"CPO")]
    forger.chance.shuffle(names)
    return [(b"Authorization", forger.stranger), *names, *forger.to()], b""


def stranger_in_another_spelling(forger: Forger) -> tuple[list[Header], bytes]:
    spelled = forger.chance.choice(_SPELLINGS)
    more = [(spelled(_FROM[0]), b"DE"), (spelled(_FROM[1]), b"CPO")]
    own = forger.named(b"DE", b"ANA") if forger.chance.random() < 0.7 else []
    return [(b"Authorization", forger.stranger), *more, *own, *forger.to()], b""


def look_alike(forger: Forger) -> tuple[list[Header], bytes]:
    names = forger.named(b"DE", forger.chance.choice(_LOOK_ALIKES))
    own = forger.named(b"DE", b"ANA") if forger.chance.random() < 0.5 else []
    return [(b"Authorization", forger.stranger), *names, *own, *forger.to()], b""


def dropped_on_the_way(forger: Forger) -> tuple[list[Header], bytes]:
    """The agent reads a header that the node never gets."""
    named = forger.chance.choice([_FROM[1], b"Authorization", _TO[1], b"close, " + _FROM[1].lower(), _FROM[1] + b","])
    return [(b"Authorization", forger.stranger), *forger.named(), (b"Connection", named), *forger.to()], b""


def folded(forger: Forger) -> tuple[list[Header], bytes]:
    extra = (
        b"OCPI-from-party-id: ANA\r\n CPO\r\n"
        if forger.chance.random() < 0.5
        else b"X-A: 1\r\n OCPI-from-party-id: CPO\r\n"
    )
    return [(b"Authorization", forger.stranger), (_FROM[0], b"DE"), *forger.to()], extra


def split_line(forger: Forger) -> tuple[list[Header], bytes]:
    end = forger.chance.choice([b"\n", b"\r", b"\x0b", b"\x85", b"\r\r\n"])
    extra = b"X-A: 1" + end + b"OCPI-from-party-id: CPO\r\n"
    return [(b"Authorization", forger.stranger), *forger.named(b"DE", b"ANA"), *forger.to()], extra


_OWN_PARTY = (own_party_of_the_node, own_party_and_another)
_FORGERIES: tuple[Forgery, ...] = (
    *_OWN_PARTY, own_party_of_the_node, no_token, wrong_token, token_of_another, tokens_of_two, service_as_sender,
    stranger_twice, stranger_in_another_spelling, look_alike, dropped_on_the_way, folded, split_line,
)  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.nightly)])
async def test_no_forged_request_is_copied(tmp_path: Path, count: int) -> None:
    async with a_watched_world(tmp_path, NodeVersion.V2) as world:
        forger, speaker = Forger(world, seed=count), Speaker(proxy_address(world))
        kinds: dict[str, set[int]] = {}
        for number in range(count):
            kind, name, data = forger.draw(number)
            kinds.setdefault(kind, set()).add(await speaker.say(name, data))
        honest = await _say_honestly(world, speaker)
        await speaker.close()
        await until_settled(world)
        copied = envelopes(tmp_path / "agent.db")
        assert set(copied) == {honest}, "only what the customer itself said"
        assert len(world.billing.inbox) == 1
        # They were refused, or the node took them for what they are: own party's, or the stranger's.
        assert len(kinds) == len(set(_FORGERIES))
        assert 200 in kinds["own_party_of_the_node"], "the node takes them unchecked, or this test shows nothing"
        assert 400 in kinds["stranger_twice"]
        assert (await metric(world, "not_copied_total")).get('{reason="own_party"}', 0) > count / 50
        assert await world.agent.stop() == 0


async def _say_honestly(world: World, speaker: Speaker) -> str:
    """The very same request from the customer itself is copied."""
    body = b'{"id":"s1","last_updated":"2026-03-01T12:00:00Z"}'
    head = (
        f"PUT /{PREFIX}/ocpi/receiver/2.2.1/sessions/DE/CPO/s1 HTTP/1.1\r\nHost: node.example\r\n"
        f"Authorization: {world.cpo.connection.authorization}\r\nX-Request-ID: honest\r\nX-Correlation-ID: honest\r\n"
        "OCPI-from-country-code: DE\r\nOCPI-from-party-id: CPO\r\nOCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    assert await speaker.say("honest", head.encode() + body) == 200
    return "honest"
