"""Which of a node's handlers a request belongs to, and how what they raise is answered (ocn-protocol.md a.1-a.6)."""

import re
from dataclasses import dataclass, replace

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocn.keys import checksummed
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import PathFault, Route, find_route
from ocn_permission_agent.sandbox.node.binding import REQUIRED_HEADERS, bind_call, bind_custom_call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.engine import Engine
from ocn_permission_agent.sandbox.node.handover import PublicUrl
from ocn_permission_agent.sandbox.node.handshake import Handshake
from ocn_permission_agent.sandbox.node.pages import new_page, old_page, refusal_page
from ocn_permission_agent.sandbox.node.platforms import Platform, Platforms
from ocn_permission_agent.sandbox.node.refusal import Crash, FrameworkRefusal, Refusal, Unanswered
from ocn_permission_agent.sandbox.node.registry import RegistryReader
from ocn_permission_agent.sandbox.node.relay import node_body, timestamp
from ocn_permission_agent.sandbox.node.rules import changed
from ocn_permission_agent.sandbox.node.seal import Seal
from ocn_permission_agent.sandbox.serving import Answer, Incoming

_PATH_PARAMETERS = re.compile(r";[^/]*")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: modules in the order of the version details; the lists say which roles are offered (a.2)
_OFFERED = (
    ("cdrs", ("SENDER", "RECEIVER")),
    ("chargingprofiles", ("SENDER", "RECEIVER")),
    ("commands", ("SENDER", "RECEIVER")),
    ("credentials", ("SENDER",)),
    ("hubclientinfo", ("SENDER",)),
    ("locations", ("SENDER", "RECEIVER")),
    ("sessions", ("SENDER", "RECEIVER")),
    ("tariffs", ("SENDER", "RECEIVER")),
    ("tokens", ("SENDER", "RECEIVER")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the node is: its operator's address, its admin key, its path prefix without slashes around it."""

    operator: str
    api_key: str
    api_prefix: str


class NodeServer:
    """Answers every request to a node; `answer` never raises for what a client did."""

    def __init__(
        self,
        *,
        identity: Identity,
        dialect: Dialect,
        engine: Engine,
        handshake: Handshake,
        platforms: Platforms,
        registry: RegistryReader,
        seal: Seal,
        public_url: PublicUrl,
        typed_bodies: bool,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._dialect = dialect
        self._engine = engine
        self._handshake = handshake
        self._platforms = platforms
        self._registry = registry
        self._seal = seal
        self._public_url = public_url
        self._typed_bodies = typed_bodies
        self._clock = clock

    async def answer(self, incoming: Incoming) -> Answer:
        """Handle one request."""
        try:
            return await self._dispatch(incoming)
        except Refusal as refusal:
            return Answer(http_status=refusal.http_status, body=self._refusal_body(refusal))
        except FrameworkRefusal as refusal:
            return refusal_page(refusal, incoming, version=self._dialect.version, now=self._clock.now())
        except Unanswered as silence:
            return Answer() if self._dialect.silence_is_ok else self._crashed(silence, incoming.raw_path)
        except Crash as crash:
            return self._crashed(crash, incoming.raw_path)

    def _refusal_body(self, refusal: Refusal) -> bytes:
        """Status, message and time, never data (b.3)."""
        body = node_body(refusal.status_code, now=self._clock.now(), message=refusal.message)
        return self._seal.sign_error(body)

    def _crashed(self, crash: Crash, path: str) -> Answer:
        """The framework's own JSON; 2.x shows most of it as an OCPI 3000 on OCPI's usual paths (b.1 row 6)."""
        if self._dialect.version is NodeVersion.V1:
            return old_page(500, "Internal Server Error", path, message=str(crash), now=self._clock.now())
        inner = self._inner_path(path) or path
        if inner.startswith(("/ocpi/sender/", "/ocpi/receiver/")):
            return Answer(body=self._refusal_body(Refusal(200, 3000, "")))
        return new_page(500, "", path)

    def _inner_path(self, raw_path: str) -> str | None:
        """The path behind the prefix, or None when it has another."""
        prefix = f"/{self._identity.api_prefix}" if self._identity.api_prefix else ""
        return raw_path.removeprefix(prefix) if raw_path.startswith(prefix + "/") else None

    async def _dispatch(self, incoming: Incoming) -> Answer:
        incoming = self._as_routed(incoming)
        path = self._inner_path(incoming.raw_path)
        if self._dialect.version is NodeVersion.V2 and (incoming.method, incoming.raw_path) == ("GET", "/health"):
            return Answer(body=b'{"status":"UP"}')
        if path is None:
            raise FrameworkRefusal(404)
        version = self._dialect.ocpi_version
        rules_path = path.removeprefix(f"/ocpi/receiver/{version}/ocnrules")
        if rules_path != path:
            return self._rules(incoming, tuple(rules_path.split("/")[1:]))
        if path.startswith(("/ocpi/sender/", "/ocpi/receiver/")):
            return await self._from_platform(incoming)
        if path.startswith("/ocpi/"):
            return await self._own_ocpi(incoming, path)
        return await self._own(incoming, path)

    async def _own(self, incoming: Incoming, path: str) -> Answer:
        """What is not OCPI: health, admin, registry, other nodes."""
        match incoming.method, path.split("/")[1:]:
            case "GET", ["health"]:
                return Answer(body=b"OK", content_type="text/plain")
            case "POST", ["ocn", "message"]:
                return await self._engine.from_node(incoming)
            case "GET", ["ocn", "registry", "node-info"]:
                return Answer(body=msgspec.json.encode(self._node_info()))
            case "GET", ["ocn", "registry", "nodes"] if self._dialect.version is NodeVersion.V2:
                return Answer(body=msgspec.json.encode(await self._registry.nodes()))
            case "GET", ["ocn", "registry", "node", country_code, party_id]:
                return await self._node_of(Party(country_code, party_id))
            case "POST", ["admin", "generate-registration-token"]:
                self._check_admin(incoming)
                return self._invite(incoming)
            case "GET", ["admin", "connection-status", country_code, party_id]:
                self._check_admin(incoming)
                return self._connection_status(Party(country_code, party_id))
            case _:
                raise FrameworkRefusal(404)

    def _as_routed(self, incoming: Incoming) -> Incoming:
        """The request as the framework routes it: path parameters cut off, an encoded slash refused."""
        if "%2f" in incoming.raw_path.lower():
            raise FrameworkRefusal(400, "<!doctype html><html><head><title>HTTP Status 400</title></head></html>")
        path = _PATH_PARAMETERS.sub("", incoming.raw_path)
        if self._dialect.takes_trailing_slash and len(path) > 1:
            path = path.removesuffix("/")
        return incoming if path == incoming.raw_path else replace(incoming, raw_path=path)

    def _node_info(self) -> dict[str, str]:
        if self._dialect.version is NodeVersion.V1:
            return {"url": self._public_url(), "address": self._identity.operator}
        slash = "" if self._identity.api_prefix else "/"
        return {"url": self._public_url() + slash, "address": checksummed(self._identity.operator)}

    async def _own_ocpi(self, incoming: Incoming, path: str) -> Answer:
        """OCPI that the node answers itself, and charging profiles with their order of path."""
        version = self._dialect.ocpi_version
        if path == "/ocpi/versions" and incoming.method == "GET":
            return self._versions(incoming)
        if path.removeprefix("/ocpi/") in self._dialect.accepted_versions and incoming.method == "GET":
            return self._version_details(incoming, path.removeprefix("/ocpi/"))
        if path == f"/ocpi/{version}/credentials":
            return await self._credentials(incoming)
        if path == f"/ocpi/{version}/hubclientinfo" and incoming.method == "GET":
            return self._hub_client_info(incoming)
        if path.startswith("/ocpi/custom/"):
            return await self._custom(incoming, path)
        return await self._from_platform(incoming)

    async def _from_platform(self, incoming: Incoming) -> Answer:
        call = bind_call(incoming, self._route(incoming), self._dialect, typed=self._typed_bodies)
        return await self._engine.from_platform(call, incoming.headers["authorization"])

    async def _custom(self, incoming: Incoming, path: str) -> Answer:
        """A custom module: any method; what follows the module's id is lost (a.6)."""
        pieces = path.split("/")
        if len(pieces) < 5 or pieces[3] not in {"sender", "receiver"}:
            raise FrameworkRefusal(404)
        if not self._dialect.serves_custom_modules:
            raise Crash("No primary or single unique constructor found for interface HttpRequest")
        call = bind_custom_call(incoming, role=pieces[3].upper(), module_id=pieces[4], dialect=self._dialect)
        return await self._engine.from_platform(call, incoming.headers["authorization"])

    def _route(self, incoming: Incoming) -> Route:
        prefix = self._identity.api_prefix
        route = find_route(incoming.method, incoming.raw_path, api_prefix=prefix)
        if not isinstance(route, PathFault) and route.version == self._dialect.ocpi_version:
            return route
        others = {method: find_route(method, incoming.raw_path, api_prefix=prefix) for method in METHODS}
        allowed = tuple(
            method
            for method, other in others.items()
            if isinstance(other, Route) and other.version == self._dialect.ocpi_version
        )
        if allowed:
            raise FrameworkRefusal(405, allow=allowed)
        inner = self._inner_path(incoming.raw_path) or ""
        if incoming.method == "POST" and inner.startswith(f"/ocpi/sender/{self._dialect.ocpi_version}/commands/"):
            if self._dialect.texts.parameter_invalid is None:
                raise FrameworkRefusal(400)
            raise self._dialect.refuse(2001, self._dialect.texts.parameter_invalid.format(name="command"))
        raise FrameworkRefusal(404)

    def _invite(self, incoming: Incoming) -> Answer:
        platform = self._handshake.invite(incoming.body)
        members: dict[str, object] = {} if self._dialect.version is NodeVersion.V1 else {"id": platform.number}
        members |= {"token": platform.token_a, "versions": f"{self._public_url()}/ocpi/versions"}
        return Answer(body=msgspec.json.encode(members))

    def _check_admin(self, incoming: Incoming) -> None:
        shown = incoming.headers.get("authorization", "")
        allowed = {f"Token {self._identity.api_key}"}
        if self._dialect.encodes_tokens:
            allowed.add(self._dialect.write_token(self._identity.api_key))
        if shown not in allowed:
            raise FrameworkRefusal(401, self._dialect.texts.not_admin)

    def _connection_status(self, party: Party) -> Answer:
        platform = self._platforms.by_party(party)
        if platform is None:
            raise FrameworkRefusal(404, "Role not found")
        return Answer(body=platform.status.encode(), content_type="text/plain")

    async def _node_of(self, party: Party) -> Answer:
        registration = await self._registry.registration(party)
        if registration is None:
            return Answer(body=b"Party not registered on OCN", content_type="text/plain")
        return Answer(body=msgspec.json.encode({"url": registration.domain, "address": registration.operator}))

    def _versions(self, incoming: Incoming) -> Answer:
        self._handshake.platform_of(self._any_token(incoming))
        return self._success(
            [
                {"version": name, "url": f"{self._public_url()}/ocpi/{name}"}
                for name in reversed(self._dialect.accepted_versions)
            ]
        )

    def _version_details(self, incoming: Incoming, version: str) -> Answer:
        self._handshake.platform_of(self._any_token(incoming))
        return self._success({"version": version, "endpoints": self._endpoints(version)})

    def _endpoints(self, version: str) -> list[dict[str, str]]:
        """As advertised: role before version even for charging profiles, which are served the other way round."""
        base = f"{self._public_url()}/ocpi"
        endpoints = []
        for identifier, roles in _OFFERED:
            for role in roles:
                url = f"{base}/{role.lower()}/{version}/{identifier}"
                if identifier in {"credentials", "hubclientinfo"}:
                    url = f"{base}/{version}/{identifier}"
                endpoints.append({"identifier": identifier, "role": role, "url": url})
        return endpoints

    def _rules(self, incoming: Incoming, path: tuple[str, ...]) -> Answer:
        platform = self._engine.platform_of(incoming.headers.get("authorization", ""))
        if incoming.method == "GET" and not path:
            return self._success(platform.rules.shown())
        rules = changed(platform.rules, incoming.method, path, incoming.body)
        self._platforms.save(replace(platform, rules=rules))
        return self._success(None)

    def _any_token(self, incoming: Incoming) -> str:
        if "authorization" not in incoming.headers:
            raise self._dialect.refuse(2001, self._dialect.texts.header_missing.format(name="Authorization"))
        return self._dialect.read_any_token(incoming.headers["authorization"])

    async def _credentials(self, incoming: Incoming) -> Answer:
        if "authorization" not in incoming.headers:
            raise self._dialect.refuse(2001, self._dialect.texts.header_missing.format(name="Authorization"))
        authorization = incoming.headers["authorization"]
        match incoming.method:
            case "POST":
                token = self._dialect.read_any_token(authorization)
                return self._joined(await self._handshake.connect(token, incoming.body))
            case "GET":
                return self._joined(self._engine.platform_of(authorization))
            case "PUT":
                platform = self._engine.platform_of(authorization)
                return self._joined(await self._handshake.renew(platform, incoming.body))
            case "DELETE":
                self._handshake.leave(self._engine.platform_of(authorization))
                return self._success(None)
            case _:
                raise FrameworkRefusal(405)

    def _joined(self, platform: Platform) -> Answer:
        hub = self._dialect.hub
        role = {
            "role": "HUB",
            "business_details": {"name": "Open Charging Network Node"},
            "party_id": hub.party_id,
            "country_code": hub.country_code,
        }
        return self._success(
            {
                "token": platform.token_c,
                "url": f"{self._public_url()}/ocpi/versions",
                "roles": [role],
            }
        )

    def _hub_client_info(self, incoming: Incoming) -> Answer:
        for name in REQUIRED_HEADERS:
            if name.lower() not in incoming.headers:
                raise self._dialect.refuse(2001, self._dialect.texts.header_missing.format(name=name))
        self._engine.platform_of(incoming.headers["authorization"])
        clients = [
            {
                "party_id": role.party.party_id,
                "country_code": role.party.country_code,
                "role": role.role,
                "status": platform.status,
                "last_updated": timestamp(platform.last_updated),
            }
            for platform in self._platforms.all()
            for role in platform.roles
        ]
        headers = {"X-Total-Count": str(len(clients)), "X-Limit": str(len(clients))}
        return Answer(body=node_body(1000, now=self._clock.now(), data=clients), headers=headers)

    def _success(self, data: object) -> Answer:
        return Answer(body=node_body(1000, now=self._clock.now(), data=data))
