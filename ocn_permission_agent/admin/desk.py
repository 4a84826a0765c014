"""Where the operator's decisions are taken: by the API of a running agent, and by commands on its store alike."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ocn_permission_agent.chain.decisions import Decider
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.deciding import DecisionRefused, confirm_agreement, confirm_party, make_stop
from ocn_permission_agent.consent.decisions import (
    AgreementConfirmed,
    Decided,
    PartyConfirmed,
    Stop,
    StopAdded,
    StopRemoved,
)
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.name import Name, read_name
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module

Document = dict[str, object]
#: what was written, by field; what was left out is not there
Written = Mapping[str, str]


class Desk:
    """Understands what was written, decides it, tells what came of it.

    Every method raises `DecisionRefused` with a sentence for the operator, and `StoreUnavailable` when nothing could be
    written down.

    Args:
        index: the newest facts.
        decider: keeps decisions; raises StoreUnavailable while the store is not open.
    """

    def __init__(self, *, index: Callable[[], ConsentIndex], decider: Callable[[], Decider]) -> None:
        self._index = index
        self._decider = decider

    async def stops(self) -> Document:
        """The stops that hold, oldest first."""
        history = {decided.number: decided for decided in await self._decider().history()}
        stops = sorted(self._index().decisions.stops.items())
        return {"stops": [_stop_document(stop, history[number]) for number, stop in stops if number in history]}

    async def history(self) -> Document:
        """Everything that was ever decided, oldest first."""
        return {"decisions": [_decided_document(decided) for decided in await self._decider().history()]}

    async def add_stop(self, written: Written) -> Document:
        """Stop `customer`, `provider` or both, for one `module` or all; `by` tells who wants it."""
        stop = self._read_stop(written)
        known = self._index().decisions.number_of(stop)
        if known is not None:
            raise DecisionRefused(f"This stop is on the list already, as number {known}.")
        decided, withdrawn = await self._decider().record(StopAdded(stop=stop), by=written.get("by", ""))
        return _stop_document(stop, decided) | {"withdrawn": withdrawn}

    async def remove_stop(self, written: Written) -> Document:
        """Take off the list what `add_stop` put there with the same words."""
        number = self._index().decisions.number_of(self._read_stop(written))
        if number is None:
            raise DecisionRefused("There is no such stop on the list.")
        decided, _ = await self._decider().record(StopRemoved(stop=number), by=written.get("by", ""))
        return _decided_document(decided)

    async def confirm_party(self, written: Written) -> Document:
        """Confirm that `party` is at `address` (C1)."""
        try:
            party, account = Party.parse(written.get("party", "")), address(written.get("address", ""))
        except ValueError as error:
            raise DecisionRefused(f"{error}.") from None
        decision = confirm_party(self._index(), party, account)
        decided, withdrawn = await self._decider().record(decision, by=written.get("by", ""))
        return _decided_document(decided) | {"withdrawn": withdrawn}

    async def confirm_agreement(self, written: Written) -> Document:
        """Confirm `transaction_hash` for `customer` and `provider` (C5, C6, C11)."""
        customer, provider = _name(written, "customer"), _name(written, "provider")
        if customer is None or provider is None:
            raise DecisionRefused("A customer and a provider are needed.")
        decision = confirm_agreement(self._index(), customer, provider, written.get("transaction_hash", ""))
        decided, _ = await self._decider().record(decision, by=written.get("by", ""))
        return _decided_document(decided)

    def _read_stop(self, written: Written) -> Stop:
        module = None
        if "module" in written:
            try:
                module = Module(written["module"])
            except ValueError:
                known = ", ".join(each.value for each in Module)
                raise DecisionRefused(f"{written['module']!r} is not a module: {known}.") from None
        customer, provider = _name(written, "customer"), _name(written, "provider")
        return make_stop(self._index().facts, customer=customer, provider=provider, module=module)


def _name(written: Written, field: str) -> Name | None:
    if field not in written:
        return None
    try:
        return read_name(written[field])
    except ValueError as error:
        raise DecisionRefused(f"{field}: {error}.") from None


def _stop_document(stop: Stop, decided: Decided) -> Document:
    return {
        "number": decided.number,
        "customer": None if stop.customer is None else str(stop.customer),
        "customer_address": stop.customer_address,
        "provider": None if stop.provider is None else str(stop.provider),
        "provider_address": stop.provider_address,
        "module": None if stop.module is None else stop.module.value,
        "at": _time(decided.at),
        "by": decided.by,
    }


def _decided_document(decided: Decided) -> Document:
    head: Document = {"number": decided.number, "at": _time(decided.at), "by": decided.by}
    match decided.decision:
        case StopAdded(stop=stop):
            return head | {"what": "stop added"} | _stop_document(stop, decided)
        case StopRemoved(stop=number):
            return head | {"what": "stop removed", "stop": number}
        case PartyConfirmed(party=party, address=account):
            return head | {"what": "party confirmed", "party": str(party), "address": account}
        case AgreementConfirmed(customer=customer, provider=provider, transaction_hash=transaction):
            return head | {
                "what": "agreement confirmed",
                "customer_address": customer,
                "provider_address": provider,
                "transaction_hash": transaction,
            }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
