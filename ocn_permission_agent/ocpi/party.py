"""An OCPI party and its text form."""

from functools import lru_cache
from typing import Self

import msgspec

#: ASCII-only folding, so that no locale or Unicode rule makes two parties one (consent.md C1).
_FOLD = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


class Party(msgspec.Struct, frozen=True, order=True):
    """A party as OCPI names it: ``country_code`` (2 characters) and ``party_id`` (3 characters).

    The spelling is kept as given; compare with `folded` where OCPI ignores case (OCPI 2.2.1 §4.1: CiString).
    """

    country_code: str
    party_id: str

    def __str__(self) -> str:
        """The text form used everywhere for people: ``DE*CPO``."""
        return f"{self.country_code}*{self.party_id}"

    @property
    def folded(self) -> "Party":
        """The same party with ASCII letters in upper case, for look-ups."""
        return _folded(self.country_code, self.party_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form ``DE*CPO``.

        Raises:
            ValueError: not two characters, an asterisk and three characters; the message says so.
        """
        country_code, star, party_id = text.partition("*")
        if not star or len(country_code) != 2 or len(party_id) != 3:
            raise ValueError(f"{text!r} is not a party: write country code, '*' and party id, as in DE*CPO")
        return cls(country_code, party_id)


@lru_cache(maxsize=10_000)
def _folded(country_code: str, party_id: str) -> Party:
    """Remembered: the same few parties are folded several times for every message."""
    return Party(country_code.translate(_FOLD), party_id.translate(_FOLD))
