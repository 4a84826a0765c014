"""Where OCN Node 1.x and 2.x differ, as values: the engine asks the dialect and is the same for both.

Source of every entry: ocn-protocol.md a.1 (versions), a.4 (tokens), b.1 (errors), b.4 (headers), c (messages).
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Status messages; in braces what is filled in."""

    header_missing: str
    parameter_missing: str
    #: None: HTTP 400 without a body
    parameter_invalid: str | None
    body_invalid: str
    caller_unknown: str
    newcomer_unknown: str
    receiver_unknown: str
    sender_unknown: str
    not_admin: str
    role_taken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one version of the node says and does things."""

    version: NodeVersion
    ocpi_version: str
    #: versions a platform may offer, best first
    accepted_versions: tuple[str, ...]
    #: the HUB role the node presents in its credentials
    hub: Party
    #: HTTP status of the client's faults
    client_error_http: int
    unknown_proxy_http: int
    #: OCPI code of a local receiver's reply that is no JSON
    unreadable_code: int
    texts: Texts
    #: tokens travel in Base64
    encodes_tokens: bool
    #: TOKEN_A stays good after the handshake
    keeps_token_a: bool
    #: the receiver is looked up in the Registry in exactly the given spelling, even if it is local
    asks_registry_first: bool
    #: unknown members of a reply are fatal
    unknown_members_crash: bool
    #: a DELETE reaches the receiver without its query
    delete_loses_query: bool
    #: no answer in time is something the node did not foresee
    timeouts_crash: bool
    #: methods that follow redirects, anywhere, with body and token
    redirected_methods: frozenset[str]
    #: a receiver that closes without an answer leaves the node's own client with HTTP 200 and nothing
    silence_is_ok: bool
    #: whatever goes wrong with another node is a 3000
    wraps_remote_failures: bool
    #: reply headers are found by their exact spelling only, and come as ``[42]``
    mangles_headers: bool
    #: the handler of custom modules works at all (a.6)
    serves_custom_modules: bool
    #: `OCN-Verification-Status` is told to receivers
    tells_verification: bool
    #: the node-made error is signed although signing is off
    always_signs_errors: bool
    #: a `url_path` goes into the request line as it is, otherwise it is percent-encoded
    sends_paths_raw: bool
    #: how it declares the body of `/ocn/message`
    message_content_type: str
    #: a path may end in a slash
    takes_trailing_slash: bool

    def refuse(self, status_code: int, message: str) -> Refusal:
        """A fault of the client."""
        return Refusal(self.client_error_http, status_code, message)

    def read_token(self, authorization: str) -> str:
        """The token of an `Authorization` header: its last piece, 2.x: decoded.

        Raises:
            Crash: 2.x was given something that is not Base64 (a plain UUID, say).
        """
        token = authorization.rsplit(" ", 1)[-1]
        if not self.encodes_tokens:
            return token
        try:
            return b64decode(token, validate=True).decode()
        except ValueError as error:
            raise Crash("Illegal base64 character 2d") from error

    def read_any_token(self, authorization: str) -> str:
        """The same where 2.x takes a plain token too: versions, and credentials with TOKEN_A (a.4)."""
        try:
            return self.read_token(authorization)
        except Crash:
            return authorization.rsplit(" ", 1)[-1]

    def write_token(self, token: str) -> str:
        """The `Authorization` header towards a platform."""
        return f"Token {b64encode(token.encode()).decode() if self.encodes_tokens else token}"


V1 = Dialect(
    version=NodeVersion.V1,
    ocpi_version="2.2",
    accepted_versions=("2.2",),
    hub=Party("CH", "OCN"),
    client_error_http=400,
    unknown_proxy_http=404,
    unreadable_code=3000,
    texts=Texts(
        header_missing="Missing request header '{name}' for method parameter of type String",
        parameter_missing="Required {kind} parameter '{name}' is not present",
        parameter_invalid=None,
        body_invalid="JSON parse error: {problem}",
        caller_unknown="Invalid CREDENTIALS_TOKEN_C",
        newcomer_unknown="Invalid CREDENTIALS_TOKEN_A",
        receiver_unknown="Receiver not registered on Open Charging Network",
        sender_unknown="Sending party not registered on Open Charging Network",
        not_admin="Unauthorized",
        role_taken="Role BasicRole(id={party_id}, country={country_code}) already exists",
    ),
    encodes_tokens=False,
    keeps_token_a=False,
    asks_registry_first=False,
    unknown_members_crash=True,
    delete_loses_query=True,
    timeouts_crash=False,
    redirected_methods=frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"}),
    silence_is_ok=False,
    wraps_remote_failures=False,
    mangles_headers=False,
    serves_custom_modules=True,
    tells_verification=False,
    always_signs_errors=True,
    sends_paths_raw=False,
    message_content_type="text/plain",
    takes_trailing_slash=True,
)

V2 = Dialect(
    version=NodeVersion.V2,
    ocpi_version="2.2.1",
    accepted_versions=("2.2.1", "2.2"),
    hub=Party("DE", "BAN"),
    client_error_http=200,
    unknown_proxy_http=200,
    unreadable_code=4000,
    texts=Texts(
        header_missing="Missing required header: {name}",
        parameter_missing="Missing required parameter: {name}",
        parameter_invalid="Invalid parameter value: {name}",
        body_invalid="Invalid request body",
        caller_unknown="Invalid authorization token",
        newcomer_unknown="Invalid authorization token",
        receiver_unknown="Role {country_code}-{party_id} not registered on OCN Registry",
        sender_unknown="Role {country_code}-{party_id} not registered on OCN Registry",
        not_admin="Invalid admin / api key",
        role_taken="Role {country_code}-{party_id} already exists",
    ),
    encodes_tokens=True,
    keeps_token_a=True,
    asks_registry_first=True,
    unknown_members_crash=False,
    delete_loses_query=False,
    timeouts_crash=True,
    redirected_methods=frozenset({"GET"}),
    silence_is_ok=True,
    wraps_remote_failures=True,
    mangles_headers=True,
    serves_custom_modules=False,
    tells_verification=True,
    always_signs_errors=False,
    sends_paths_raw=True,
    message_content_type="application/json",
    takes_trailing_slash=False,
)

DIALECTS = {NodeVersion.V1: V1, NodeVersion.V2: V2}
