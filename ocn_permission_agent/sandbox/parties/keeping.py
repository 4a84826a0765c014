"""What receivers do with the objects they are sent: the semantics of PUT, PATCH, POST and DELETE (OCPI 2.2 §4.1.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocn_permission_agent.ocpi.route import Module, Route, RouteKind
from ocn_permission_agent.sandbox.parties.inbox import Received

#: country code, party id and the rest of the path
ObjectKey = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Kept:
    """The objects a receiver knows, by module and path; a CDR under its own three keys."""

    objects: dict[Module, dict[ObjectKey, dict[str, Any]]] = field(
        default_factory=lambda: {module: {} for module in Module}
    )
    #: how many CDRs came again
    repeated_cdrs: int = 0

    def take(self, received: Received, route: Route) -> None:
        """Apply one request; what is no object, or no change, leaves everything as it is."""
        if route.kind is RouteKind.CDR:
            self._take_cdr(received)
        elif route.kind is RouteKind.OBJECT and received.method == "PUT":
            self.objects[route.module][route.segments] = msgspec.json.decode(received.body)
        elif route.kind is RouteKind.OBJECT and received.method == "PATCH":
            known = self.objects[route.module].get(route.segments, {})
            self.objects[route.module][route.segments] = patched(known, msgspec.json.decode(received.body))
        elif route.kind is RouteKind.OBJECT and received.method == "DELETE":
            self.objects[route.module].pop(route.segments, None)

    def _take_cdr(self, received: Received) -> None:
        cdr = msgspec.json.decode(received.body)
        key = (cdr["country_code"], cdr["party_id"], cdr["id"])
        if key in self.objects[Module.CDRS]:
            self.repeated_cdrs += 1
        self.objects[Module.CDRS].setdefault(key, cdr)


def patched(known: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """An object after a PATCH: members replace as a whole, `charging_periods` append (OCPI 2.2.1 §9.2)."""
    result = dict(known) | dict(changes)
    if "charging_periods" in changes:
        result["charging_periods"] = [*known.get("charging_periods", []), *changes["charging_periods"]]
    return result
