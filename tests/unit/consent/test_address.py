"""Addresses, positions and agreement ids, and their text forms."""

import pytest

from ocn_permission_agent.consent.address import ZERO, AgreementId, Position, address


def test_an_address_is_read_in_any_letter_case() -> None:
    assert address("0x" + "aB" * 20) == "0x" + "ab" * 20
    assert address(ZERO) == ZERO


@pytest.mark.parametrize("text", ["", "0x", "ab" * 20, "0x" + "a" * 39, "0x" + "g" * 40, "0x" + "a" * 40 + "\n"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        address(text)


def test_positions_stand_in_the_order_of_the_chain() -> None:
    assert Position(1, 9) < Position(2, 0) < Position(2, 1)


def test_an_agreement_id_survives_its_text_form() -> None:
    made = AgreementId("0x" + "1" * 64, 3)
    assert AgreementId.parse(str(made)) == made
    for text in ("0x1", "0x1:", "0x1:x"):
        with pytest.raises(ValueError, match=r".+"):
            AgreementId.parse(text)
