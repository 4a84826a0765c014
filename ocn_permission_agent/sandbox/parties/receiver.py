"""Parties that mostly receive: the eMSP, and the services that customers agree to."""

from collections.abc import Iterable, Mapping
from typing import Any

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, RouteKind
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.keeping import Kept
from ocn_permission_agent.sandbox.parties.platform import Interface, OcpiParty
from ocn_permission_agent.sandbox.serving import Answer

#: what an eMSP offers
EMSP_INTERFACES = (
    *(
        Interface(module=module, role=InterfaceRole.RECEIVER)
        for module in (Module.CDRS, Module.LOCATIONS, Module.SESSIONS, Module.TARIFFS)
    ),
    Interface(module=Module.TOKENS, role=InterfaceRole.SENDER),
    Interface(module=Module.COMMANDS, role=InterfaceRole.SENDER),
    Interface(module=Module.CHARGING_PROFILES, role=InterfaceRole.SENDER),
)
#: every module in both roles: what a service offers that does not know yet what it will be sent
ALL_INTERFACES = tuple(Interface(module=module, role=role) for module in Module for role in InterfaceRole)


class Receiver(OcpiParty):
    """See `OcpiParty`. Keeps the objects it is sent in `kept`."""

    def __init__(
        self, party: Party, *, role: str, interfaces: Iterable[Interface], clock: Clock, port: int = 0
    ) -> None:
        super().__init__(party, role=role, interfaces=interfaces, clock=clock, port=port)
        self.kept = Kept()

    def session(self, owner: Party, session_id: str) -> dict[str, Any] | None:
        """A session as it stands here."""
        return self.kept.objects[Module.SESSIONS].get((owner.country_code, owner.party_id, session_id))

    def cdrs(self) -> tuple[dict[str, Any], ...]:
        """The CDRs, each once, in the order of their first arrival."""
        return tuple(self.kept.objects[Module.CDRS].values())

    async def respond(self, received: Received) -> Answer:
        """Take what comes; a CDR is answered with its Location, a GET with what is there."""
        route = received.route
        if route is None:
            return self._cdr(received)
        if received.method == "GET" and route.kind is RouteKind.OBJECT:
            found = self.kept.objects[route.module].get(route.segments)
            return self.success(found) if found is not None else self.failure(2003, "Unknown object")
        if received.method == "GET" and route.kind is RouteKind.LIST:
            return self.success([], headers={"X-Total-Count": "0", "X-Limit": "50"})
        if route.kind is RouteKind.AUTHORIZE:
            return self.success({"allowed": "ALLOWED"})
        self.kept.take(received, route)
        if route.kind is RouteKind.CDR:
            return self.success(headers={"Location": self._cdr_url(received)})
        return self.success()

    def _cdr_url(self, received: Received) -> str:
        cdr = received.json
        owned = (cdr["country_code"], cdr["party_id"], cdr["id"]) if isinstance(cdr, dict) else ()
        return "/".join((f"{self.base_url}{received.raw_path}", *owned))

    def _cdr(self, received: Received) -> Answer:
        """A CDR by the Location that was given for it."""
        key = tuple(received.raw_path.split("/")[-3:])
        found = self.kept.objects[Module.CDRS].get(key)
        return self.success(found) if found is not None else self.failure(2000, "Unknown path", http_status=404)


class Emsp(Receiver):
    """An e-mobility service provider: receives what CPOs push, sends tokens and commands."""

    def __init__(
        self, party: Party, *, clock: Clock, interfaces: Iterable[Interface] = EMSP_INTERFACES, port: int = 0
    ) -> None:
        super().__init__(party, role="EMSP", interfaces=interfaces, clock=clock, port=port)

    @property
    def response_url(self) -> str:
        """Where it takes the results of its commands."""
        return f"{self.base_url}/ocpi/sender/{self.connection.version}/commands/START_SESSION/1"

    async def put_token(self, token: Mapping[str, Any], *, to: Party) -> Reply:
        """PUT a token."""
        rest = (token["country_code"], token["party_id"], token["uid"])
        return await self.send("PUT", self.path(Module.TOKENS, InterfaceRole.RECEIVER, *rest), token, to=to)

    async def command(self, name: str, body: Mapping[str, Any], *, to: Party) -> Reply:
        """POST a command, e.g. ``START_SESSION``."""
        return await self.send("POST", self.path(Module.COMMANDS, InterfaceRole.RECEIVER, name), body, to=to)


class Service(Receiver):
    """A service of the Permissions contract: billing, analytics. Role ``OTHER`` unless told."""

    def __init__(
        self,
        party: Party,
        *,
        clock: Clock,
        interfaces: Iterable[Interface] = ALL_INTERFACES,
        role: str = "OTHER",
        port: int = 0,
    ) -> None:
        super().__init__(party, role=role, interfaces=interfaces, clock=clock, port=port)
