"""Reasons of reverted calls: `Error(string)` of Solidity 0.5 (selector 0x08c379a0)."""

from ocn_permission_agent.sandbox.chain.faults import REFUSED, REVERTED, RpcFault
from ocn_permission_agent.sandbox.chain.values import Outcome

ERROR_STRING = bytes.fromhex("08c379a0")


def revert_reason(output: bytes) -> str | None:
    """The sentence in revert data, or None when it holds no `Error(string)`."""
    if output[:4] != ERROR_STRING or len(output) < 68:
        return None
    length = int.from_bytes(output[36:68], "big")
    text = output[68 : 68 + length]
    return text.decode("utf-8", "backslashreplace") if len(text) == length else None


def revert_fault(outcome: Outcome) -> RpcFault:
    """The JSON-RPC error of a failed call, in geth's words: code 3 and the revert data, or -32000."""
    if not outcome.reverted:
        return RpcFault(REFUSED, outcome.failure or "execution failed")
    reason = revert_reason(outcome.output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return RpcFault(REVERTED, message, "0x" + outcome.output.hex())
