from datetime import UTC, datetime

import pytest

from ocn_permission_agent.consent.address import AgreementId, address
from ocn_permission_agent.consent.index import Entitlement
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.reply import OcpiReply
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.proxy.copying import NotCopied, never_copied, plan_copies
from tests.factories import a_request

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
CUSTOMER = address("0x" + "c1" * 20)


def a_reply(http_status: int = 200, status_code: int | None = 1000) -> OcpiReply:
    return OcpiReply(http_status=http_status, status_code=status_code, status_message="")


def entitled(provider: str, number: int) -> Entitlement:
    return Entitlement(
        customer=Party("DE", "CPO"),
        customer_address=CUSTOMER,
        provider=Party.parse(provider),
        provider_address=address(f"0x{number:040x}"),
        agreement=AgreementId(f"0x{number:064x}", number),
    )


BILLING, ANALYTICS = entitled("DE*BIL", 1), entitled("DE*ANA", 2)


def planned(
    *entitlements: Entitlement, reply: OcpiReply | None = None, request: OcpiRequest | None = None
) -> CopyPlan | NotCopied:
    return plan_copies(
        request=request or a_request(), reply=reply or a_reply(), entitlements=entitlements, recorded_at=NOW
    )


def test_one_envelope_and_one_delivery_for_each_provider() -> None:
    plan = planned(BILLING, ANALYTICS, request=a_request(ocpi_from_party_id="cpo"))
    assert isinstance(plan, CopyPlan)
    assert plan.envelope.customer == Party("DE", "CPO")  # the registry's spelling, whatever the header's
    assert plan.envelope.request.sender == Party("DE", "cpo")
    assert plan.envelope.recorded_at == NOW
    assert [delivery.provider for delivery in plan.deliveries] == [Party("DE", "BIL"), Party("DE", "ANA")]
    assert [delivery.agreement for delivery in plan.deliveries] == [BILLING.agreement, ANALYTICS.agreement]
    assert len({delivery.lane for delivery in plan.deliveries}) == 2
    assert {delivery.lane.object_id for delivery in plan.deliveries} == {"s1"}


def test_a_provider_that_takes_part_gets_no_copy() -> None:
    plan = planned(BILLING, ANALYTICS, request=a_request(ocpi_to_country_code="de", ocpi_to_party_id="bil"))
    assert isinstance(plan, CopyPlan)
    assert [delivery.provider for delivery in plan.deliveries] == [Party("DE", "ANA")]
    assert planned(entitled("NL*MSP", 3)) is NotCopied.OWN_MESSAGE
    assert planned(entitled("DE*CPO", 3)) is NotCopied.OWN_MESSAGE


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (a_reply(400, 2001), NotCopied.REFUSED),
        (a_reply(200, 2001), NotCopied.REFUSED),
        (a_reply(200, 4002), NotCopied.UNKNOWN),
        (a_reply(504, None), NotCopied.UNKNOWN),
    ],
)
def test_what_was_not_accepted_is_not_copied(reply: OcpiReply, reason: NotCopied) -> None:
    assert planned(BILLING, reply=reply) is reason
    assert reason.is_gap is (reason is NotCopied.UNKNOWN)


def test_a_request_to_the_nodes_own_party_is_never_copied() -> None:
    own = Party("NL", "msp")
    assert never_copied(a_request(), own_party=own, copy_reads=False) is NotCopied.OWN_PARTY
    assert never_copied(a_request(), own_party=Party("NL", "XXX"), copy_reads=False) is None


def test_reads_are_copied_only_when_asked_for_and_proxied_ones_never() -> None:
    read = a_request("GET", "/ocpi/sender/2.2/cdrs", body=b"")
    assert never_copied(read, own_party=None, copy_reads=False) is NotCopied.READ
    assert never_copied(read, own_party=None, copy_reads=True) is None
    page = a_request("GET", "/ocpi/sender/2.2/cdrs/page/7", body=b"")
    assert never_copied(page, own_party=None, copy_reads=True) is NotCopied.READ
