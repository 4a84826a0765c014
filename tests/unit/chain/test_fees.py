"""What is offered for gas, never above the cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain.fees import GWEI, Fees, OverCap, Prices, choose_fees

WEI = st.integers(min_value=0, max_value=10**20)


def prices(gas_price: float, base_fee: float | None) -> Prices:
    return Prices(gas_price=round(gas_price * GWEI), base_fee=None if base_fee is None else round(base_fee * GWEI))


@pytest.mark.parametrize(
    ("asked", "most", "tip"),
    [
        (prices(3, 2), 5, 1),
        (prices(2, 2), 4, 0),
        (prices(1, 2), 4, 0),
        (prices(12, 10), 20, 2),
        (prices(7, None), 7, None),
        (prices(20, None), 20, None),
    ],
)
def test_room_is_left_for_a_base_fee_that_doubles(asked: Prices, most: int, tip: int | None) -> None:
    assert choose_fees(asked, cap=20 * GWEI) == Fees(most=most * GWEI, tip=None if tip is None else tip * GWEI)


@pytest.mark.parametrize("asked", [prices(21, 20), prices(21, None), prices(1, 21)])
def test_above_the_cap_nothing_is_offered(asked: Prices) -> None:
    assert choose_fees(asked, cap=20 * GWEI) == OverCap(asked=21 * GWEI, cap=20 * GWEI)


@given(gas_price=WEI, base_fee=st.none() | WEI, cap=WEI)
def test_no_price_is_ever_above_the_cap_nor_too_low_for_the_next_block(
    gas_price: int, base_fee: int | None, cap: int
) -> None:
    fees = choose_fees(Prices(gas_price=gas_price, base_fee=base_fee), cap=cap)

    if isinstance(fees, Fees):
        assert (fees.tip or 0) + (base_fee or 0) <= fees.most <= cap
    else:
        assert fees.asked > cap
