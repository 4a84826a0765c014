"""Every error of the agent, named by what its caller does about it.

::

    AgentError
    ├── ConfigError          operator mends the configuration; exit 2; carries every problem at once
    ├── StoreError
    │   ├── StoreUnavailable  cannot write now; copies become gaps, the customer still gets its answer
    │   ├── StoreMismatch     made for another chain, contract or schema; refuse to start
    ├── ChainError
    │   ├── ChainUnavailable  no usable answer from the RPC; the view ages, the watcher tries again
    │   │   ├── ChainForkedDeeply  none of the blocks we remember is left; start over, beside what we know
    │   │   └── ChainAnswerTooLarge  over our limit; ask for less at once
    │   ├── ChainReorganised  the block we stand on is gone; walk back
    │   ├── ContractMismatch  these are not the contracts we were told to follow
    │   ├── WriteRefused      a contract write that would fail, cost too much, or did fail; exit 1
    │   └── WriteUnsettled    sent, but what became of it is not known; look before sending again
    ├── UpstreamError        the node did not answer as HTTP
    │   ├── UpstreamUnreachable  → 502, OCPI 4003
    │   └── UpstreamTimeout      → 504, OCPI 4002
    ├── RequestRefused       our own refusal of a request, with HTTP status and OCPI code
    ├── CanonicalError       JSON that no node would parse, or over our limits
    └── SignatureError       a signature or OCN-Signature that cannot be read or does not verify
"""


class AgentError(Exception):
    """Root of the tree; never raised itself."""


class ConfigError(AgentError):
    """The configuration cannot be used.

    Args:
        problems: one sentence each, complete; shown to the operator together.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class StoreError(AgentError):
    """Something about the store."""


class StoreUnavailable(StoreError):
    """The store cannot be written or read now; trying again later may help."""


class StoreMismatch(StoreError):
    """The store belongs to another chain, other contracts or another schema; never used as it is."""


class ChainError(AgentError):
    """Something about the chain."""


class ChainUnavailable(ChainError):
    """No usable answer from the RPC endpoint; trying again later may help."""


class ChainAnswerTooLarge(ChainUnavailable):
    """An answer over our limit of bytes; asking for less may help."""


class ChainForkedDeeply(ChainUnavailable):
    """The endpoint's chain has none of the blocks that we remember, though it is not behind them."""


class ChainReorganised(ChainError):
    """The block that was asked for is no longer part of the chain."""


class ContractMismatch(ChainError):
    """Chain id, genesis, code or storage is not that of the configured contracts."""


class WriteRefused(ChainError):
    """A write to the contracts that was not sent, or was sent and failed; the message says which and why."""


class WriteUnsettled(ChainError):
    """A write that was sent and is not, or no longer, in a confirmed block; it may still get there."""


class UpstreamError(AgentError):
    """The node gave no HTTP answer."""


class UpstreamUnreachable(UpstreamError):
    """No connection to the node; nothing of the request was processed."""


class UpstreamTimeout(UpstreamError):
    """The node did not answer in time; whether it processed the request is unknown."""


class UpstreamBroken(UpstreamError):
    """The node cut its answer; whether it processed the request is unknown."""


class RequestRefused(AgentError):
    """A request that the proxy itself refuses.

    Args:
        http_status: the status line to answer with.
        ocpi_status: OCPI status code of the body (2001 for malformed input).
        reason: one sentence for the caller; names no secret.
    """

    def __init__(self, http_status: int, ocpi_status: int, reason: str) -> None:
        super().__init__(reason)
        self.http_status = http_status
        self.ocpi_status = ocpi_status
        self.reason = reason


class CanonicalError(AgentError):
    """JSON text that a node's parser rejects, or that is beyond our limits of size, depth or number length."""


class SignatureError(AgentError):
    """A signature that cannot be decoded or does not verify; the message names the rule, never a key."""
