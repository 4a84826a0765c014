"""Where OCN Node 1.x and 2.x differ, as values: the engine asks the dialect and is the same for both.

Source of every entry: ocn-protocol.md a.1 (versions), a.4 (tokens), b.1 (errors).
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one version of the node says things.

    `client_error_http` is the HTTP status of the client's faults; templates take what their names say.
    """

    version: NodeVersion
    ocpi_version: str
    #: versions a platform may offer, best first
    accepted_versions: tuple[str, ...]
    #: the HUB role the node presents in its credentials
    hub: Party
    client_error_http: int
    unknown_proxy_http: int
    header_missing: str
    parameter_missing: str
    #: None: HTTP 400 without a body
    parameter_invalid: str | None
    #: HTTP status of a body that does not fit; 400 in both
    body_invalid: str
    caller_unknown: str
    newcomer_unknown: str
    receiver_unknown: str
    sender_unknown: str
    #: OCPI code of a local receiver's reply that is no JSON
    unreadable_code: int
    tokens_in_base64: bool
    keeps_token_a: bool
    unknown_members_crash: bool

    def refuse(self, status_code: int, message: str) -> Refusal:
        """A fault of the client."""
        return Refusal(self.client_error_http, status_code, message)

    def read_token(self, authorization: str) -> str:
        """The token of an `Authorization` header: its last piece, 2.x: decoded.

        Raises:
            Crash: 2.x was given something that is not Base64 (a plain UUID, say).
        """
        token = authorization.rsplit(" ", 1)[-1]
        if not self.tokens_in_base64:
            return token
        try:
            return b64decode(token, validate=True).decode()
        except ValueError as error:
            raise Crash("token is not Base64") from error

    def read_any_token(self, authorization: str) -> str:
        """The same where both versions take a plain token too: the versions endpoints (a.4)."""
        token = authorization.rsplit(" ", 1)[-1]
        if not self.tokens_in_base64:
            return token
        try:
            return b64decode(token, validate=True).decode()
        except ValueError:
            return token

    def write_token(self, token: str) -> str:
        """The `Authorization` header towards a platform."""
        return f"Token {b64encode(token.encode()).decode() if self.tokens_in_base64 else token}"


V1 = Dialect(
    version=NodeVersion.V1,
    ocpi_version="2.2",
    accepted_versions=("2.2",),
    hub=Party("CH", "OCN"),
    client_error_http=400,
    unknown_proxy_http=404,
    header_missing="Missing request header '{name}' for method parameter of type String",
    parameter_missing="Required {kind} parameter '{name}' is not present",
    parameter_invalid=None,
    body_invalid="JSON parse error: {problem}",
    caller_unknown="Invalid CREDENTIALS_TOKEN_C",
    newcomer_unknown="Invalid CREDENTIALS_TOKEN_A",
    receiver_unknown="Receiver not registered on Open Charging Network",
    sender_unknown="Sending party not registered on Open Charging Network",
    unreadable_code=3000,
    tokens_in_base64=False,
    keeps_token_a=False,
    unknown_members_crash=True,
)

V2 = Dialect(
    version=NodeVersion.V2,
    ocpi_version="2.2.1",
    accepted_versions=("2.2.1", "2.2"),
    hub=Party("DE", "BAN"),
    client_error_http=200,
    unknown_proxy_http=200,
    header_missing="Missing required header: {name}",
    parameter_missing="Missing required parameter: {name}",
    parameter_invalid="Invalid parameter value: {name}",
    body_invalid="Invalid request body",
    caller_unknown="Invalid authorization token",
    newcomer_unknown="Invalid authorization token",
    receiver_unknown="Role {country_code}-{party_id} not registered on OCN Registry",
    sender_unknown="Role {country_code}-{party_id} not registered on OCN Registry",
    unreadable_code=4000,
    tokens_in_base64=True,
    keeps_token_a=True,
    unknown_members_crash=False,
)

DIALECTS = {NodeVersion.V1: V1, NodeVersion.V2: V2}
