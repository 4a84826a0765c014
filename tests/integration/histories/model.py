"""What must be true of consent, said a second time: from what people did and what the contracts answer now.

It shares no code with the agent's fold and rules. It knows every accepted call (who did what, in which block) and reads
the present state straight from the contracts; from these two alone it says how each pair stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

CONFIRMATIONS = 2
OWN, OTHER = "operator", "operator_b"
MODULES = ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "chargingprofiles")
ROLES = ("sender", "receiver")
Interface = tuple[str, str]


def covered(ids: set[int]) -> set[Interface]:
    """By the table of consent.md."""
    found = set()
    for place, module in enumerate(MODULES):
        for half, role in enumerate(ROLES):
            if ids & {0, 1 + half, 3 + 2 * place + half}:
                found.add((module, role))
    return found


def explicit(ids: set[int]) -> set[Interface]:
    """Commands and charging profiles go only to those that name them."""
    found = covered(ids)
    for place, module in enumerate(MODULES):
        for half, role in enumerate(ROLES):
            if module in {"commands", "chargingprofiles"} and 3 + 2 * place + half not in ids:
                found.discard((module, role))
    return found


@dataclass(frozen=True)
class Deed:
    """An accepted call. `how` is direct or relayed."""

    block: int
    order: int
    transaction: str
    what: str
    who: str
    to: str = ""
    how: str = "direct"
    #: of a listing: what it asks for; of a grant: what was asked for at that moment, None when nobody could read it
    ids: frozenset[int] | None = frozenset()
    nameless: bool = False
    huge: bool = False
    key: str = ""
    operator: str = ""
    domain: str = ""


@dataclass
class Now:
    """What the contracts answer."""

    flags: dict[tuple[str, str], bool]
    keys: dict[str, str]  # account by key, "" for none
    parties: dict[str, tuple[str, str]]  # (key, operator) by account, only of registered ones
    ids: dict[str, list[int]]  # of a service, by account
    domains: dict[str, str]


@dataclass
class Stop:
    customer_key: str = ""
    customer: str = ""
    provider_key: str = ""
    provider: str = ""


@dataclass
class Model:
    deeds: list[Deed] = field(default_factory=list)
    #: what the agent was told of its own node
    home: str = ""
    head: int = 0
    waits: dict[tuple[str, str], int] = field(default_factory=dict)
    pins_at_start: dict[tuple[str, str], str] = field(default_factory=dict)
    confirmed: set[tuple[str, str, str]] = field(default_factory=set)
    confirmed_keys: dict[str, str] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)

    # --- what happens ---------------------------------------------------------------------------------------------

    def fork(self, height: int, new_head: int) -> None:
        """Everything above the height never happened; whose revoke is gone waits anew."""
        gone = [deed for deed in self.deeds if deed.block > height]
        self.deeds = [deed for deed in self.deeds if deed.block <= height]
        anew = {(deed.who, deed.to) for deed in gone if deed.what == "revoke"}
        anew |= {pair for pair, block in self.waits.items() if block > height}
        for pair in anew:
            self.waits[pair] = new_head
        self.head = new_head

    # --- what follows ---------------------------------------------------------------------------------------------

    def standing(self, customer: str, provider: str, now: Now) -> str:
        if self._stopped(customer, provider, now) or not now.flags[customer, provider] or not now.domains[OWN]:
            return "closed"
        toggles = [d for d in self.deeds if d.what in {"grant", "revoke"} and (d.who, d.to) == (customer, provider)]
        grant = toggles[-1]
        assert grant.what == "grant", "the contract's flag and the calls agree"
        closed = (
            not self._is_itself(customer, now)
            or now.parties[customer][1] != OWN
            or not self._is_where_it_was(customer, now)
            or not self._is_itself(provider, now)
            or not now.ids[provider]
            or self._huge_now(provider)
            or grant.ids is None
            or any(self._ends(deed, grant, customer, provider) for deed in self.deeds)
            or not (grant.how == "direct" or len(toggles) == 1 or self._was_confirmed(grant, customer, provider))
            or self._age(max(grant.block, self.waits.get((customer, provider), 0))) < CONFIRMATIONS
            or any(self._age(self._registered(account)) < CONFIRMATIONS for account in (customer, provider))
        )
        if closed:
            return "closed"
        domain_owner = now.parties[provider][1]
        redirects = [*self._redirects(customer), *self._redirects(provider), self._domain_changed(domain_owner)]
        waiting = any(self._age(block) < CONFIRMATIONS for block in redirects)
        return "held" if waiting or not now.domains[domain_owner] or now.domains[OWN] != self.home else "open"

    def interfaces(self, customer: str, provider: str, now: Now) -> set[Interface]:
        """What may be copied when the pair is not closed."""
        grant = [d for d in self.deeds if d.what == "grant" and (d.who, d.to) == (customer, provider)][-1]
        agreed, current = set(grant.ids or ()), {number for number in now.ids[provider] if number <= 16}
        named = explicit(agreed & current)
        sensitive = {each for each in covered({0}) if each[0] in {"commands", "chargingprofiles"}}
        return ((covered(agreed) & covered(current)) - sensitive) | (named & sensitive)

    def _age(self, block: int) -> int:
        return self.head - block

    def _is_itself(self, account: str, now: Now) -> bool:
        if account not in now.parties:
            return False
        key = now.parties[account][0]
        alike = [each for each, (other, _) in now.parties.items() if other.upper() == key.upper()]
        return now.keys[key] == account and alike == [account]

    def _is_where_it_was(self, account: str, now: Now) -> bool:
        folded = now.parties[account][0].upper()
        if folded in self.confirmed_keys:
            return self.confirmed_keys[folded] == account
        pins = dict(self.pins_at_start)
        for deed in self.deeds:
            if deed.what == "party":
                pins.setdefault((deed.key.upper(), deed.operator), deed.who)
        return pins[folded, OWN] == account

    def _ends(self, deed: Deed, grant: Deed, customer: str, provider: str) -> bool:
        if (deed.block, deed.order) < (grant.block, grant.order):
            return False
        if deed.who == provider and deed.what == "service" and (deed.nameless or deed.huge or not deed.ids):
            return not (deed.nameless and deed.how == "relayed" and self._was_confirmed(deed, customer, provider))
        ending = (deed.what == "left" and deed.who in {customer, provider}) or deed in self._renames(provider)
        return ending and not self._was_confirmed(deed, customer, provider)

    def _was_confirmed(self, deed: Deed, customer: str, provider: str) -> bool:
        return (customer, provider, deed.transaction) in self.confirmed

    def _entries(self, account: str) -> Iterator[tuple[Deed, Deed | None]]:
        """Each registration of an account with the one it replaces, None after absence."""
        before: Deed | None = None
        for deed in self.deeds:
            if deed.who != account:
                continue
            if deed.what == "left":
                before = None
            elif deed.what == "party":
                yield deed, before
                before = deed

    def _renames(self, account: str) -> list[Deed]:
        return [deed for deed, before in self._entries(account) if before is not None and before.key != deed.key]

    def _registered(self, account: str) -> int:
        return [deed.block for deed, before in self._entries(account) if before is None][-1]

    def _redirects(self, account: str) -> list[int]:
        return [
            deed.block
            for deed, before in self._entries(account)
            if before is not None and (before.key, before.operator) != (deed.key, deed.operator)
        ]

    def _domain_changed(self, operator: str) -> int:
        changed, domain = 0, None
        for deed in self.deeds:
            if deed.what == "node" and deed.who == operator and deed.domain != domain:
                changed, domain = deed.block, deed.domain
        return changed

    def _huge_now(self, provider: str) -> bool:
        listings = [deed for deed in self.deeds if deed.what == "service" and deed.who == provider]
        return listings[-1].huge

    def _stopped(self, customer: str, provider: str, now: Now) -> bool:
        def catches(key: str, account: str, who: str) -> bool:
            if not key and not account:
                return True
            current = now.parties.get(who, ("", ""))[0]
            return account == who or (key != "" and current.upper() == key.upper())

        return any(
            catches(stop.customer_key, stop.customer, customer) and catches(stop.provider_key, stop.provider, provider)
            for stop in self.stops
        )
