"""What a wallet asks before it sets its fees."""

from typing import Any

from ocn_permission_agent.sandbox.chain.chain import Chain
from ocn_permission_agent.sandbox.chain.faults import INVALID_PARAMS, RpcFault
from ocn_permission_agent.sandbox.chain.values import Block

#: The tip that `eth_maxPriorityFeePerGas` proposes, wei per gas. Nobody needs one here.
PROPOSED_TIP = 1_000_000_000
HISTORY_LIMIT = 1024


def gas_price(chain: Chain) -> int:
    """The next block's base fee plus the proposed tip; it does not feed back on what others pay."""
    return chain.evm.next_base_fee(chain.head) + PROPOSED_TIP


def fee_history(chain: Chain, newest: Block, count: int, percentiles: list[float]) -> dict[str, Any]:
    """`eth_feeHistory` for the `count` blocks up to `newest`."""
    if not 1 <= count <= HISTORY_LIMIT:
        raise RpcFault(INVALID_PARAMS, f"blockCount: between 1 and {HISTORY_LIMIT}")
    oldest = max(0, newest.number - count + 1)
    found = (chain.history.at(number) for number in range(oldest, newest.number + 1))
    blocks = [block for block in found if block is not None]
    base_fees = [block.base_fee for block in blocks]
    answer: dict[str, Any] = {
        "oldestBlock": hex(oldest),
        "baseFeePerGas": [hex(fee) for fee in (*base_fees, chain.evm.next_base_fee(newest))],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
    }
    if percentiles:
        answer["reward"] = [[hex(tip) for tip in _tips(block, percentiles)] for block in blocks]
    return answer


def _tips(block: Block, percentiles: list[float]) -> list[int]:
    base_fee = block.base_fee
    paid = sorted((receipt.gas_price - base_fee, receipt.gas_used) for receipt in block.receipts)
    if not paid:
        return [0 for _ in percentiles]
    return [_tip_at(paid, block.header.gas_used * percentile / 100) for percentile in percentiles]


def _tip_at(paid: list[tuple[int, int]], threshold: float) -> int:
    gas = 0
    for tip, used in paid:
        gas += used
        if gas >= threshold:
            return tip
    return paid[-1][0]
