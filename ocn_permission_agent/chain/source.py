"""What we ask an endpoint for: the head, headers, logs, and the state at a block's hash. No decisions.

State is asked for at ``{"blockHash": …}`` (EIP-1898), so that the answer is that of the block we mean or none.
Endpoints that refuse this are asked by number, and the block's hash is compared afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ocn_permission_agent.chain.abi import TOPICS
from ocn_permission_agent.chain.blocks import Header, RawLog, octets, quantity, read_header, read_logs
from ocn_permission_agent.chain.rpc import Call, Refusal, RpcClient
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.transactions import Transaction, read_transaction
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import ChainAnswerTooLarge, ChainReorganised, ChainUnavailable

#: tries to see a head that does not move while we look
_GLIMPSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """The head, and the logs from the block asked for up to it; None when the endpoint refused those."""

    head: Header
    logs: tuple[RawLog, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What an endpoint says beside the one that is followed; `block_hash` is None for a block that it does not have."""

    chain_id: int
    head: int
    block_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An `eth_call`: which contract, which calldata."""

    contract: Address
    data: bytes


class ChainSource:
    """One endpoint, asked about our two contracts.

    Every method raises `ChainUnavailable` when there is no usable answer.
    """

    def __init__(self, *, rpc: RpcClient, settings: ChainSettings) -> None:
        self._rpc = rpc
        self._settings = settings
        self._by_number = False

    @property
    def endpoint(self) -> str:
        """What may be shown of the endpoint's URL."""
        return self._rpc.endpoint

    def asked_pause_seconds(self) -> float:
        """How long the endpoint asks to be left alone."""
        return self._rpc.asked_pause_seconds()

    async def glimpse(self, from_block: int) -> Glimpse:
        """The head and the logs since a block, in one batch, so that one server behind a load balancer answers both.

        The head is asked for twice, around the logs: only when it stood still do the logs belong to it.
        """
        latest = Call(method="eth_getBlockByNumber", params=("latest", False))
        logs = Call(method="eth_getLogs", params=(self._filter(hex(from_block), "latest"),))
        for _ in range(_GLIMPSES):
            before, found, after, chain_id = await self._rpc.batch([latest, logs, latest, Call(method="eth_chainId")])
            if quantity(self._rpc.demand(chain_id)) != self._settings.chain_id:
                raise ChainUnavailable(f"{self.endpoint} serves another chain now")
            head, again = read_header(self._rpc.demand(before)), read_header(self._rpc.demand(after))
            if head is None or again is None:
                raise ChainUnavailable(f"{self.endpoint} has no latest block")
            if head.hash == again.hash:
                return Glimpse(head=head, logs=None if isinstance(found, Refusal) else read_logs(found))
        raise ChainUnavailable(f"{self.endpoint} shows a head that moves with every look")

    async def glance(self, number: int) -> Glance:
        """The chain's id, the head, and the hash of one block, in one batch."""
        calls = [
            Call(method="eth_chainId"),
            Call(method="eth_getBlockByNumber", params=("latest", False)),
            Call(method="eth_getBlockByNumber", params=(hex(number), False)),
        ]
        chain_id, latest, block = (self._rpc.demand(answer) for answer in await self._rpc.batch(calls))
        head, header = read_header(latest), read_header(block)
        if head is None:
            raise ChainUnavailable(f"{self.endpoint} has no latest block")
        return Glance(chain_id=quantity(chain_id), head=head.number, block_hash=None if header is None else header.hash)

    async def head(self) -> Header:
        """The newest block."""
        header = read_header(await self._rpc.call("eth_getBlockByNumber", "latest", False))
        if header is None:
            raise ChainUnavailable(f"{self.endpoint} has no latest block")
        return header

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Headers by number, in this order.

        Raises:
            ChainReorganised: one of them does not exist (any more).
        """
        answers = await self._rpc.batch(
            [Call(method="eth_getBlockByNumber", params=(hex(number), False)) for number in numbers]
        )
        headers = [read_header(self._rpc.demand(answer)) for answer in answers]
        found = [header for header in headers if header is not None]
        if [header.number for header in found] != list(numbers):
            raise ChainReorganised(f"{self.endpoint} has no such block any more")
        return found

    async def logs(self, first: int, last: int) -> tuple[RawLog, ...] | None:
        """The logs of a range of blocks; None when the endpoint refuses it or its answer is too large."""
        try:
            (found,) = await self._rpc.batch(
                [Call(method="eth_getLogs", params=(self._filter(hex(first), hex(last)),))]
            )
        except ChainAnswerTooLarge:
            return None
        return None if isinstance(found, Refusal) else read_logs(found)

    async def transactions(self, hashes: Sequence[str]) -> list[Transaction | None]:
        """Transactions by their hashes, in this order; None for what is not known, or too large to be read."""
        answers: list[Transaction | None] = []
        for start in range(0, len(hashes), 100):
            answers += await self._some_transactions(hashes[start : start + 100])
        return answers

    async def _some_transactions(self, hashes: Sequence[str]) -> list[Transaction | None]:
        try:
            found = await self._rpc.batch([Call(method="eth_getTransactionByHash", params=(each,)) for each in hashes])
        except ChainAnswerTooLarge:
            if len(hashes) == 1:
                return [None]
            middle = len(hashes) // 2
            return await self._some_transactions(hashes[:middle]) + await self._some_transactions(hashes[middle:])
        read = [read_transaction(self._rpc.demand(each)) for each in found]
        if any(each is not None and each.hash != wanted for wanted, each in zip(hashes, read, strict=True)):
            raise ChainUnavailable(f"{self.endpoint} answered a transaction that was not asked for")
        return read

    async def chain_id(self) -> int:
        """The chain's id."""
        return quantity(await self._rpc.call("eth_chainId"))

    async def has_code(self, contract: Address, block: str) -> bool | None:
        """Whether there is a contract at a block (number in hexadecimal, or a tag); None when it cannot be told."""
        (found,) = await self._rpc.batch([Call(method="eth_getCode", params=(contract, block))])
        return None if isinstance(found, Refusal) else octets(found) != b""

    async def first_slot(self, contract: Address) -> bytes:
        """Storage slot 0 at the head."""
        return octets(await self._rpc.call("eth_getStorageAt", contract, "0x0", "latest"))

    async def ask(self, questions: Sequence[Question], at: Header) -> list[bytes | None]:
        """The contracts' answers at a block; None for one that is too large to be read.

        Raises:
            ChainReorganised: the endpoint does not have the block any more.
            ChainUnavailable: also when there is no contract at that block.
        """
        answers = await self._ask_all(questions, at)
        if self._by_number and questions:
            (header,) = await self.headers([at.number])
            if header.hash != at.hash:
                raise ChainReorganised(f"{self.endpoint} has another block {at.number} now")
        return answers

    async def _ask_all(self, questions: Sequence[Question], at: Header) -> list[bytes | None]:
        answers: list[bytes | None] = []
        for start in range(0, len(questions), 100):
            answers += await self._ask_some(questions[start : start + 100], at)
        return answers

    async def _ask_some(self, questions: Sequence[Question], at: Header) -> list[bytes | None]:
        block: object = hex(at.number) if self._by_number else {"blockHash": at.hash}
        calls = [
            Call(method="eth_call", params=({"to": question.contract, "data": f"0x{question.data.hex()}"}, block))
            for question in questions
        ]
        try:
            found = await self._rpc.batch(calls)
        except ChainAnswerTooLarge:
            if len(questions) == 1:
                return [None]
            middle = len(questions) // 2
            return await self._ask_some(questions[:middle], at) + await self._ask_some(questions[middle:], at)
        refusal = next((answer for answer in found if isinstance(answer, Refusal)), None)
        if refusal is not None:
            return await self._after_refusal(refusal, questions, at)
        answers = [octets(answer) for answer in found]
        if b"" in answers:
            raise ChainUnavailable(f"{self.endpoint} knows no contract at block {at.number}")
        return list(answers)

    async def _after_refusal(self, refusal: Refusal, questions: Sequence[Question], at: Header) -> list[bytes | None]:
        """Tell a block that is gone from an endpoint that knows no calls at a hash; none of our calls can revert."""
        known = read_header(await self._rpc.call("eth_getBlockByHash", at.hash, False))
        if known is None:
            raise ChainReorganised(f"{self.endpoint} does not have block {at.number} any more")
        if self._by_number:
            self._rpc.demand(refusal)
        self._by_number = True
        try:
            return await self._ask_some(questions, at)
        except ChainUnavailable:
            self._by_number = False
            raise

    def _filter(self, first: str, last: str) -> dict[str, object]:
        return {
            "address": [self._settings.registry, self._settings.permissions],
            "topics": [[f"0x{topic.hex()}" for topic in TOPICS]],
            "fromBlock": first,
            "toBlock": last,
        }
