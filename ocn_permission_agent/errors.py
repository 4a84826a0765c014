"""Every error of the agent, named by what its caller does about it.

::

    AgentError
    ├── ConfigError          operator mends the configuration; exit 2; carries every problem at once
    ├── StoreError
    │   ├── StoreUnavailable  cannot write now; copies become gaps, the customer still gets its answer
    │   │   └── GatheringOpen  what several agents have spooled is recorded first; bring it there
    │   ├── StoreMismatch     made for another chain, contract or schema; refuse to start
    │   ├── StoreRestored     put back from a backup while open; open it anew
    │   └── LeaseLost         another agent does this work now; leave it alone
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
    ├── RequestRefused       our own refusal of a request, with its cause
    ├── CanonicalError       JSON that no node would parse, or over our limits
    └── SignatureError       a signature or OCN-Signature that cannot be read or does not verify
"""

from enum import Enum


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


class GatheringOpen(StoreUnavailable):
    """Nothing new is recorded before what several agents have spooled is; bring it to the gathering."""


class StoreMismatch(StoreError):
    """The store belongs to another chain, other contracts or another schema; never used as it is."""


class StoreRestored(StoreError):
    """The store was put back from a backup while we had it open; nothing in it is as we left it."""


class LeaseLost(StoreError):
    """Another agent has taken over what this one was doing; nothing was written."""


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


class Refusal(Enum):
    """Why the proxy answers in its own name, or cuts: the label of ``refusals_total``, and the statuses."""

    def __init__(self, label: str, http_status: int | None, ocpi_status: int) -> None:
        self.label = label
        #: None where the connection is cut without an answer
        self.http_status = http_status
        self.ocpi_status = ocpi_status

    #: no HTTP/1.1 as RFC 9112 has it
    MALFORMED = "malformed", 400, 2001
    #: a body whose end two servers could see in two places
    FRAMING = "framing", 400, 2001
    #: none, or two
    HOST = "host", 400, 2001
    #: no path
    TARGET = "target", 400, 2001
    #: two values of a header that says who speaks to whom
    TWO_VALUES = "two_values", 400, 2001
    #: a header that says who speaks to whom, spelled with an underscore
    UNDERSCORE = "underscore", 400, 2001
    #: `Connection` names a header that is not its to take away
    CONNECTION = "connection_header", 400, 2001
    SLOW_BODY = "slow_body", 408, 2001
    BODY_SIZE = "body_size", 413, 2001
    URL_SIZE = "url_size", 414, 2001
    HEADER_SIZE = "header_size", 431, 2001
    HEADER_COUNT = "header_count", 431, 2001
    #: with `strict`
    UNRECORDABLE = "unrecordable", 503, 3000
    NODE_UNREACHABLE = "node_unreachable", 502, 4003
    NODE_BROKEN = "node_broken", 502, 4003
    NODE_SILENT = "node_silent", 504, 4002
    FAULT = "fault", 500, 3000
    #: a head that does not come to its end
    SLOW_HEAD = "slow_head", None, 0
    #: somebody who does not read its answer
    SLOW_READER = "slow_reader", None, 0
    #: more connections than there may be
    CROWDED = "crowded", None, 0


class RequestRefused(AgentError):
    """A request that the proxy itself refuses.

    Args:
        cause: says how it is answered.
        reason: one sentence for the caller; names no secret.
    """

    def __init__(self, cause: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason


class CanonicalError(AgentError):
    """JSON text that a node's parser rejects, or that is beyond our limits of size, depth or number length."""


class SignatureError(AgentError):
    """A signature that cannot be decoded or does not verify; the message names the rule, never a key."""
