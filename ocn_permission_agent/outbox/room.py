"""How much each provider may get at this moment: so many at a time, so many a second.

Two draw on it: the claim, which takes what is due by age, and copies that leave as soon as they are recorded
(`express.py`). What is due by age comes first: while a provider is `short` of room, because a claim has used up all
that it was offered, nothing leaves past it. Where nobody is short a claim is offered one half, so that the two, which
do not wait for each other, never take more than there is. Where nothing ever leaves at once, a claim is offered it all.

Where several agents share a provider, the store counts what all of them take (`shared_limits.py`): a claim may get less
than it was offered, and tells so.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.rate import RateLimit
from ocn_permission_agent.outbox.settings import DeliverySettings


class Room:
    """Keeps account. Times are seconds of a monotonic clock.

    Args:
        settings: `max_in_flight` and `max_rate`, in general and of single services.
    """

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        self._under_way: Counter[Address] = Counter()
        self._rates: dict[Address, RateLimit] = {}
        self._short: set[Address] = set()
        #: whether anything leaves at once in this agent
        self._shared = False
        #: to the claim that is being made; None while there is none
        self._offered: Mapping[Address, int] | None = None

    def offer(self, now: float) -> tuple[Mapping[Address, int], int]:
        """What a claim may take of each provider that was met, and of any other; ended by `claimed`."""
        self._offered = {address: self._offered_to(address, now) for address in self._rates}
        return self._offered, self._of_unknown()

    def claimed(self, deliveries: Iterable[Delivery], now: float, limited: Collection[Address] = ()) -> bool:
        """Take what was claimed; whether somebody has become short, so that more may be due.

        Called with nothing when the claim has failed.

        Args:
            deliveries: the claim got.
            now: when.
            limited: those whose room other agents use up, so that it got less than it was offered.
        """
        offered, self._offered = self._offered or {}, None
        taken: Counter[Address] = Counter()
        for delivery in deliveries:
            self._take(delivery.provider_address, delivery.provider, now)
            taken[delivery.provider_address] += 1
        most_unknown = self._of_unknown()
        before = self._short
        self._short = {
            address
            for address in self._rates
            if address in limited or taken[address] >= offered.get(address, most_unknown)
        }
        return not self._short <= before

    def take_one(self, address: Address, provider: Party, now: float) -> bool:
        """Take room for a copy that is only being recorded, if nothing older is waiting for it."""
        self._shared = True
        if address in self._short:
            return False
        if self._offered is not None:
            offered = self._offered.get(address)
            if offered is None:
                return False  # the claim may take as much of it as there is
        else:
            offered = 0
        if self._free(address, now) <= offered:
            return False
        self._take(address, provider, now)
        return True

    def give_back(self, address: Address) -> None:
        """Nothing has begun after all."""
        self._under_way[address] -= 1
        self._rates[address].give_back()

    def leave(self, address: Address) -> bool:
        """An attempt has ended; whether something may be waiting for the room."""
        self._under_way[address] -= 1
        return address in self._short

    def free_in_seconds(self, now: float) -> float | None:
        """How long until somebody who may start nothing more in this second may again; None: nobody has to wait."""
        waits = [rate.free_in_seconds(now) for rate in self._rates.values()]
        return min((wait for wait in waits if wait > 0), default=None)

    def _offered_to(self, address: Address, now: float) -> int:
        free = self._free(address, now)
        return (free + 1) // 2 if self._shared and address not in self._short else free

    def _free(self, address: Address, now: float) -> int:
        free = self._settings.max_in_flight - self._under_way[address]
        rate = self._rates.get(address)
        return free if rate is None else min(free, rate.room(now))

    def _take(self, address: Address, provider: Party, now: float) -> None:
        self._under_way[address] += 1
        rate = self._rates.get(address)
        if rate is None:
            rate = self._rates[address] = RateLimit(self._settings.max_rate_of(provider))
        rate.take(now, 1)

    def _of_unknown(self) -> int:
        """For a provider that was not met in this run: whatever limit it may have."""
        settings = self._settings
        rates = [own.max_rate for own in settings.services.values() if own.max_rate is not None]
        return min(settings.max_in_flight, max(1, int(min([settings.max_rate, *rates]))))
