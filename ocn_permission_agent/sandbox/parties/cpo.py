"""A charge point operator: owns sessions, CDRs, locations and tariffs, pushes and lists them, obeys commands."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, RouteKind
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.platform import Interface, OcpiParty
from ocn_permission_agent.sandbox.serving import Answer

INTERFACES = (
    *(
        Interface(module=module, role=InterfaceRole.SENDER)
        for module in (Module.CDRS, Module.LOCATIONS, Module.SESSIONS, Module.TARIFFS)
    ),
    Interface(module=Module.TOKENS, role=InterfaceRole.RECEIVER),
    Interface(module=Module.COMMANDS, role=InterfaceRole.RECEIVER),
    Interface(module=Module.CHARGING_PROFILES, role=InterfaceRole.RECEIVER),
)
#: entries of a page when the caller names no limit
PAGE_LIMIT = 50


class Cpo(OcpiParty):
    """See `OcpiParty`. What it pushes it also lists."""

    def __init__(
        self, party: Party, *, clock: Clock, interfaces: Iterable[Interface] = INTERFACES, port: int = 0
    ) -> None:
        super().__init__(party, role="CPO", interfaces=interfaces, clock=clock, port=port)
        self._owned: dict[Module, dict[str, Mapping[str, Any]]] = {module: {} for module in Module}

    async def put_session(self, session: Mapping[str, Any], *, to: Party) -> Reply:
        """PUT a session at a receiver's."""
        return await self._put(Module.SESSIONS, session, to=to)

    async def patch_session(self, session_id: str, changes: Mapping[str, Any], *, to: Party) -> Reply:
        """PATCH a session."""
        return await self.send("PATCH", self._object_path(Module.SESSIONS, session_id), changes, to=to)

    async def post_cdr(self, cdr: Mapping[str, Any], *, to: Party) -> Reply:
        """POST a CDR."""
        self._owned[Module.CDRS][cdr["id"]] = cdr
        return await self.send("POST", self.path(Module.CDRS, InterfaceRole.RECEIVER), cdr, to=to)

    async def put_location(self, location: Mapping[str, Any], *, to: Party) -> Reply:
        """PUT a location."""
        return await self._put(Module.LOCATIONS, location, to=to)

    async def put_tariff(self, tariff: Mapping[str, Any], *, to: Party) -> Reply:
        """PUT a tariff."""
        return await self._put(Module.TARIFFS, tariff, to=to)

    async def delete_tariff(self, tariff_id: str, *, to: Party) -> Reply:
        """DELETE a tariff."""
        self._owned[Module.TARIFFS].pop(tariff_id, None)
        return await self.send("DELETE", self._object_path(Module.TARIFFS, tariff_id), to=to)

    async def answer_command(self, command: Received, *, to: Party, result: str = "ACCEPTED") -> Reply:
        """POST the result of a command to the `response_url` it came with."""
        response_url = msgspec.json.decode(command.body)["response_url"]
        return await self.send("POST", response_url, {"result": result}, to=to)

    async def respond(self, received: Received) -> Answer:
        """Lists with pages, tokens taken, commands accepted."""
        route = received.route
        if route is None:
            return self.failure(2000, "Unknown path", http_status=404)
        if route.kind is RouteKind.LIST:
            return self._page(route.module, dict(parse_qsl(received.raw_query)))
        if route.kind is RouteKind.OBJECT and received.method == "GET" and len(route.segments) == 1:
            found = self._owned[route.module].get(route.segments[0])
            return self.success(found) if found else self.failure(2003, "Unknown object")
        if route.kind in {RouteKind.COMMAND, RouteKind.PROFILE}:
            return self.success({"result": "ACCEPTED", "timeout": 30})
        return self.success()

    def _page(self, module: Module, asked: Mapping[str, str]) -> Answer:
        owned = list(self._owned[module].values())
        offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", PAGE_LIMIT))
        headers = {"X-Total-Count": str(len(owned)), "X-Limit": str(limit)}
        if offset + limit < len(owned):
            version = self.connection.version
            following = f"{self.base_url}/ocpi/sender/{version}/{module.value}?offset={offset + limit}&limit={limit}"
            headers["Link"] = f'<{following}>; rel="next"'
        return self.success(owned[offset : offset + limit], headers=headers)

    async def _put(self, module: Module, thing: Mapping[str, Any], *, to: Party) -> Reply:
        self._owned[module][thing["id"]] = thing
        return await self.send("PUT", self._object_path(module, thing["id"]), thing, to=to)

    def _object_path(self, module: Module, object_id: str) -> str:
        return self.path(module, InterfaceRole.RECEIVER, self.party.country_code, self.party.party_id, object_id)
