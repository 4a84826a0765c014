"""OcnRules: whom a platform lets through, and whether it wants signatures (ocn-protocol.md a.2, b.1 row 9)."""

from dataclasses import dataclass, field, replace
from typing import Self

import msgspec

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.refusal import FrameworkRefusal

#: also what somebody is told who is blacklisted for another module
NOT_ON_WHITELIST = "Message receiver not in sender's whitelist."


class RuleEntry(msgspec.Struct, frozen=True):
    """A party on a list, in upper case, and the modules meant; none means all of them."""

    party_id: str
    country_code: str
    modules: tuple[str, ...] = ()

    def names(self, party: Party, module: str | None) -> bool:
        """Whether the entry is about the party, as spelled, and the module (None: any)."""
        same = (self.country_code, self.party_id) == (party.country_code, party.party_id)
        return same and (module is None or not self.modules or module in self.modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """A white- or blacklist; only an active one is looked at."""

    active: bool = False
    entries: tuple[RuleEntry, ...] = ()

    def with_entry(self, entry: RuleEntry) -> Self:
        """Switched on, with one more."""
        return replace(self, active=True, entries=(*self.entries, entry))

    def without(self, party: Party) -> Self:
        """Without the party's entries."""
        return replace(self, entries=tuple(entry for entry in self.entries if not entry.names(party, None)))

    def shown(self) -> dict[str, object]:
        """As JSON."""
        return {"active": self.active, "list": self.entries}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one platform."""

    signatures: bool = False
    whitelist: RuleList = field(default_factory=RuleList)
    blacklist: RuleList = field(default_factory=RuleList)

    def may_send_to(self, receiver: Party) -> bool:
        """Whether the platform's own whitelist has the receiver."""
        return not self.whitelist.active or any(entry.names(receiver, None) for entry in self.whitelist.entries)

    def objection_to(self, sender: Party, module: str) -> str | None:
        """Why the platform wants no such request of the sender, compared as it is spelled.

        Whoever is blacklisted at all is kept out of every module; only the words differ.
        """
        not_wanted = f"Sender not whitelisted to request {module.lower()} from receiver."
        if self.whitelist.active and not any(entry.names(sender, module) for entry in self.whitelist.entries):
            return not_wanted
        if not self.blacklist.active or not any(entry.names(sender, None) for entry in self.blacklist.entries):
            return None
        for_it = any(entry.names(sender, module) for entry in self.blacklist.entries)
        return not_wanted if for_it else NOT_ON_WHITELIST

    def shown(self) -> dict[str, object]:
        """As JSON."""
        return {
            "signatures": self.signatures,
            "whitelist": self.whitelist.shown(),
            "blacklist": self.blacklist.shown(),
        }


def changed(rules: Rules, method: str, path: tuple[str, ...], body: bytes) -> Rules:
    """The rules after a request to ``…/ocnrules/{path}``.

    Raises:
        FrameworkRefusal: no such route, or a body that does not fit.
    """
    match method, path:
        case "PUT", ("signatures",):
            return replace(rules, signatures=not rules.signatures)
        case "PUT", ("block-all",):
            return replace(rules, whitelist=RuleList(active=True), blacklist=RuleList())
        case "PUT", ("whitelist",):
            return replace(rules, whitelist=RuleList(active=True, entries=_entries(body)), blacklist=RuleList())
        case "PUT", ("blacklist",):
            return replace(rules, blacklist=RuleList(active=True, entries=_entries(body)), whitelist=RuleList())
        case "POST", ("whitelist",):
            return replace(rules, whitelist=rules.whitelist.with_entry(_entry(body)))
        case "POST", ("blacklist",):
            return replace(rules, blacklist=rules.blacklist.with_entry(_entry(body)))
        case "DELETE", ("whitelist", country_code, party_id):
            return replace(rules, whitelist=rules.whitelist.without(Party(country_code, party_id).folded))
        case "DELETE", ("blacklist", country_code, party_id):
            return replace(rules, blacklist=rules.blacklist.without(Party(country_code, party_id).folded))
        case _:
            raise FrameworkRefusal(404)


def _entries(body: bytes) -> tuple[RuleEntry, ...]:
    try:
        given = msgspec.json.decode(body, type=list[RuleEntry])
    except msgspec.MsgspecError as error:
        raise FrameworkRefusal(400) from error
    return tuple(_folded(entry) for entry in given)


def _entry(body: bytes) -> RuleEntry:
    try:
        return _folded(msgspec.json.decode(body, type=RuleEntry))
    except msgspec.MsgspecError as error:
        raise FrameworkRefusal(400) from error


def _folded(entry: RuleEntry) -> RuleEntry:
    party = Party(entry.country_code, entry.party_id).folded
    modules = tuple(module.upper() for module in entry.modules)
    return RuleEntry(party_id=party.party_id, country_code=party.country_code, modules=modules)
