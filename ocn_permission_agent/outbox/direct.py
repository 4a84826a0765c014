"""A copy as an ordinary OCPI request, for a service that no compatible node hosts (delivery.md "Route"). Pure.

The URL is ``{url}/{module}/{path}``: the service's base URL, the module's OCPI identifier (``sessions``,
``chargingprofiles``), and what a node would append to the endpoint (``DE/CPO/s1``, ``START_SESSION``, nothing for a
CDR). Both interface roles of a module meet at the same URL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from ocn_permission_agent.ocn.message import copy_body, path_text
from ocn_permission_agent.ocn.query import query_params
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.settings import DirectRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCopy:
    """An HTTP request. `headers` hold the service's token: never to be logged."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes


def direct_copy(
    delivery: Delivery, route: DirectRoute, *, request_id: str, response_url: str | None = None
) -> DirectCopy:
    """Write a copy for the service itself.

    Args:
        delivery: what is owed.
        route: base URL and token.
        request_id: of this attempt.
        response_url: takes the place of the customer's own; None leaves it.

    Raises:
        CanonicalError: the body is nothing that a node would have accepted.
    """
    request, customer, provider = delivery.envelope.request, delivery.envelope.customer, delivery.provider
    body = copy_body(request, version=NodeVersion.V2, response_url=response_url) or b""
    headers = {
        "Authorization": route.authorization,
        "X-Request-ID": request_id,
        "X-Correlation-ID": request.correlation_id,
        "OCPI-from-country-code": customer.country_code,
        "OCPI-from-party-id": customer.party_id,
        "OCPI-to-country-code": provider.country_code,
        "OCPI-to-party-id": provider.party_id,
        "OCN-Copy-Id": copy_id(delivery),
        "OCN-Agreement-Tx": delivery.agreement.transaction_hash,
    }
    if body:
        headers["Content-Type"] = "application/json"
    url = _url(route.url, request, response_url)
    return DirectCopy(method=request.method, url=url, headers=headers, body=body)


def copy_id(delivery: Delivery) -> str:
    """The same in every attempt of one copy, different for any other: a UUID that tells nothing."""
    recorded_at = delivery.envelope.recorded_at.isoformat()
    return str(uuid5(NAMESPACE_URL, f"{delivery.lane.key}/{delivery.agreement}/{recorded_at}/{delivery.id}"))


def _url(base: str, request: OcpiRequest, response_url: str | None) -> str:
    url = f"{base}/{request.module.value}"
    if request.url_path is not None:
        url += "/" + path_text(request.url_path.lstrip("/"), NodeVersion.V2)
    params = query_params(request, response_url=response_url)
    return f"{url}?{urlencode(params)}" if params else url
