"""What to pay for gas, never above a cap (pure).

`eth_gasPrice` is taken as it is: on some chains it follows what others pay, so that multiplying it runs away
(permissions-contract.md §1).
"""

from dataclasses import dataclass

GWEI = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the chain asks, in wei per gas. `base_fee` is None on a chain without EIP-1559."""

    gas_price: int
    base_fee: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a transaction offers, in wei per gas. `tip` is None for a legacy transaction, whose price is `most`."""

    most: int
    tip: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverCap:
    """The chain asks for more than the cap, in wei per gas."""

    asked: int
    cap: int


def choose_fees(prices: Prices, *, cap: int) -> Fees | OverCap:
    """Fees under which the next block takes the transaction, with room for a base fee that doubles meanwhile.

    The tip is what the chain's proposal leaves over the base fee.
    """
    if prices.base_fee is None:
        if prices.gas_price > cap:
            return OverCap(asked=prices.gas_price, cap=cap)
        return Fees(most=prices.gas_price, tip=None)
    tip = max(prices.gas_price - prices.base_fee, 0)
    asked = prices.base_fee + tip
    if asked > cap:
        return OverCap(asked=asked, cap=cap)
    return Fees(most=min(2 * prices.base_fee + tip, cap), tip=tip)
