"""What one provider may get at most, counted over all agents that share a store. Pure.

The store keeps with each provider when deliveries to it were claimed lately. An agent that claims holds the provider's
row meanwhile, so two of them never use up the same room.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.outbox.settings import DeliverySettings

#: agents' clocks differ by less; what lies further in the future was written by a clock that has been set back since
_CLOCKS_DIFFER_US = 5_000_000
_READ = msgspec.json.Decoder(tuple[tuple[int, int], ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentStarts:
    """(when, how many), oldest first; instants in microseconds since 1970. The same rule as `rate.RateLimit`."""

    starts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "RecentStarts":
        """From the column of the store."""
        return cls(starts=_READ.decode(text))

    def __str__(self) -> str:
        """For the column of the store."""
        return msgspec.json.encode(self.starts).decode()

    def room(self, rate: float, now: datetime) -> int:
        """How many more may start now, at `rate` in any second (of a rate below one: one in `1 / rate` seconds)."""
        return max(1, int(rate)) - sum(count for _, count in self._counting(rate, now))

    def with_more(self, count: int, rate: float, now: datetime) -> "RecentStarts":
        """So many start now; what does not count any more is left out."""
        return RecentStarts(starts=(*self._counting(rate, now), (to_us(now), count)))

    def _counting(self, rate: float, now: datetime) -> tuple[tuple[int, int], ...]:
        span_us = int(max(1, int(rate)) / rate * 1_000_000)
        now_us = to_us(now)
        return tuple(each for each in self.starts if now_us - span_us < each[0] <= now_us + _CLOCKS_DIFFER_US)


def room_of_provider(
    settings: DeliverySettings, provider: Party, *, in_flight: int, recent: RecentStarts, now: datetime
) -> int:
    """How many deliveries of a provider may be claimed now; `in_flight` counts those of all agents."""
    return max(0, min(settings.max_in_flight - in_flight, recent.room(settings.max_rate_of(provider), now)))
