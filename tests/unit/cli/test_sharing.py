"""What a person reads before saying yes."""

import pytest

from ocn_permission_agent.chain.intent import CreateAgreement, DeleteService, RevokeAgreement, SetService
from ocn_permission_agent.chain.proposal import ServiceProposal
from ocn_permission_agent.chain.scene import Entry, Listing, Scene
from ocn_permission_agent.cli.sharing import changes, in_words, question
from ocn_permission_agent.consent.permission import KNOWN_IDS
from ocn_permission_agent.ocpi.party import Party
from tests.consent_factories import address_of

CPO = Entry(address=address_of("DE*CPO"), party=Party("DE", "CPO"), domain="https://node-a.example")
BIL = Entry(address=address_of("NL*BIL"), party=Party("NL", "BIL"), domain="https://node-b.example")
CREATE = CreateAgreement(provider=BIL.address)


def scene(*permissions: int, provider: Entry = BIL, signer: Entry = CPO, unknown_ids: int = 0) -> Scene:
    listing = Listing(
        name="Billing" if permissions else "",
        url="https://b.example" if permissions else "",
        permissions=frozenset(permissions),
        unknown_ids=unknown_ids,
        listed=bool(permissions),
    )
    return Scene(block_number=7, signer=signer, provider=provider, listing=listing, agreed=False)


def proposal(*permissions: int) -> SetService:
    return SetService(proposal=ServiceProposal(name="Billing", url="https://b.example", permissions=permissions))


def test_every_permission_is_told_in_words() -> None:
    lines = in_words(CREATE, scene(*KNOWN_IDS), raw=False)

    assert "   0  all requests of every module" in lines
    assert "  16  chargingprofiles, receiver interface" in lines
    assert sum(line[:4].strip().isdigit() for line in lines) == 17


def test_a_provider_that_nobody_can_reach_is_noted() -> None:
    nobody = Entry(address=BIL.address, party=None, domain="")
    homeless = Entry(address=BIL.address, party=BIL.party, domain="")

    assert (
        "Note: the provider is not registered as a party" in in_words(CREATE, scene(6, provider=nobody), raw=False)[-1]
    )
    assert "Note: the provider's node has no address" in in_words(CREATE, scene(6, provider=homeless), raw=False)[-1]


def test_a_revoke_can_be_prepared_for_a_service_that_is_gone() -> None:
    lines = in_words(RevokeAgreement(provider=BIL.address), scene(), raw=False)

    assert "  Service      (nothing is listed now)" in lines


@pytest.mark.parametrize(
    ("before", "after", "wider", "narrower"),
    [((6,), (6, 8), True, False), ((6, 8), (8,), False, True), ((0,), (6,), False, True), ((1, 2), (0,), False, False)],
)
def test_a_changed_listing_is_compared_by_what_it_covers(
    before: tuple[int, ...], after: tuple[int, ...], *, wider: bool, narrower: bool
) -> None:
    said = "\n".join(in_words(proposal(*after), scene(*before), raw=False))

    assert ("It becomes wider" in said) is wider
    assert ("It becomes narrower" in said) is narrower


def test_raw_signatures_are_warned_about_for_what_they_can_do() -> None:
    agreement = "\n".join(in_words(CREATE, scene(6), raw=True))
    service = "\n".join(in_words(proposal(6), scene(), raw=True))

    assert "permanent bearer token" in agreement
    assert "also after you revoked it directly" in agreement
    assert "to delete the service that you yourself may list" in agreement
    assert "to put this listing back after you narrowed or deleted it" in service


@pytest.mark.parametrize("intent", [CREATE, RevokeAgreement(provider=BIL.address), proposal(6), DeleteService()])
def test_something_is_shown_and_asked_for_everything(
    intent: CreateAgreement | RevokeAgreement | SetService | DeleteService,
) -> None:
    assert in_words(intent, scene(6), raw=False)
    assert question(intent).endswith("?")


def test_an_offer_is_the_same_or_its_changes_are_named() -> None:
    moved = Entry(address=BIL.address, party=Party("NL", "NEW"), domain="https://node-b.example")

    assert changes(scene(6), scene(6)) == []
    assert changes(scene(6), scene(6, 8)) == ["it now lists the permissions 6, 8, not 6"]
    assert changes(scene(6), scene(6, unknown_ids=2)) == ["it now lists the permissions 6, 2 unknown ones, not 6"]
    assert changes(scene(6), scene(6, provider=moved)) == [f"its provider is now NL*NEW ({BIL.address})"]
    assert changes(scene(6), scene())[0] == "it now lists the permissions none, not 6"
