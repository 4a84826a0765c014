"""Our contracts and the real ones side by side: every step is done on both, and both must answer the same.

Each pair lives on a chain of its own with equal addresses, so logs, revert data and the raw results of getters are
compared byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from eth_abi.abi import encode

from ocn_permission_agent.sandbox.chain.calls import Contract, ContractCall, Signature, contract_call, read_result
from ocn_permission_agent.sandbox.chain.chain import Chain
from ocn_permission_agent.sandbox.chain.revert import revert_reason
from ocn_permission_agent.sandbox.chain.values import Call, Log, Outcome
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.contracts import ContractCodes

CHAIN_ID = 246
START = 1_700_000_000
#: A key that nobody registers.
UNKNOWN = ("QQ", "QQQ")
ZERO = "0x" + "00" * 20
#: What anybody can write: ecrecover answers address zero to it (T13).
BROKEN = Signature(v=1, r=bytes(32), s=bytes(32))
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WALLETS = {
    name: Wallet.from_seed(name) for name in ("admin", "operator", "operator_b", "cpo", "provider", "other", "stranger")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a transaction ended: the revert sentence (None: no sentence), or the logs."""

    succeeded: bool
    reason: str | None
    revert_data: bytes
    logs: tuple[Log, ...]


class Bench:
    """One pair of contracts on one chain."""

    def __init__(self, codes: ContractCodes) -> None:
        accounts = {bytes.fromhex(wallet.address[2:]): 10**24 for wallet in WALLETS.values()}
        self.chain = Chain(chain_id=CHAIN_ID, accounts=accounts, now=lambda: START, gas_limit=100_000_000)
        registry = self._deploy(codes.registry.bytecode)
        permissions = self._deploy(codes.permissions.bytecode + encode(["address"], [registry]))
        self.addresses = {Contract.REGISTRY: registry, Contract.PERMISSIONS: permissions}

    def _deploy(self, bytecode: bytes) -> bytes:
        self._send(WALLETS["admin"], None, bytecode, value=0, gas=10_000_000)
        address = self.chain.head.receipts[0].contract_address
        assert address is not None
        return address

    def do(self, wallet: Wallet, contract: Contract, data: bytes, *, value: int = 0) -> Step:
        """Mine one transaction with this calldata."""
        self._send(wallet, self.addresses[contract], data, value=value, gas=20_000_000)
        receipt = self.chain.head.receipts[0]
        revert_data = b"" if receipt.succeeded else _without_padding(receipt.output)
        return Step(
            succeeded=receipt.succeeded,
            reason=revert_reason(revert_data),
            revert_data=revert_data,
            logs=receipt.logs,
        )

    def read(self, contract: Contract, data: bytes) -> Outcome:
        """The raw result of a getter."""
        call = Call(sender=bytes(20), to=self.addresses[contract], data=data, value=0, gas=90_000_000, gas_price=0)
        return self.chain.evm.call(self.chain.head, call)

    def _send(self, wallet: Wallet, to: bytes | None, data: bytes, *, value: int, gas: int) -> None:
        transaction = {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": self.chain.pending_nonce(bytes.fromhex(wallet.address[2:])),
            "gas": gas,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 0,
            "value": value,
            "data": data,
        } | ({} if to is None else {"to": to})
        self.chain.send(wallet.sign_transaction(transaction))
        self.chain.mine()


class Twins:
    """Does everything on both pairs and compares.

    `parties`, `providers` and `keys` took part so far: `compare_reads` asks about them.
    """

    def __init__(self, ours: ContractCodes, real: ContractCodes) -> None:
        self.ours, self.real = Bench(ours), Bench(real)
        assert self.ours.addresses == self.real.addresses
        self.parties: dict[str, None] = {}
        self.providers: dict[str, None] = {}
        self.keys: dict[tuple[bytes | str, bytes | str], None] = {}

    def do(self, who: str, contract: Contract, name: str, *arguments: Any, compare: bool = True) -> Step:
        """One transaction on both, then every getter of both."""
        call = contract_call(contract, name, *arguments)
        self._notice(who, call, arguments)
        return self.do_raw(who, contract, call.data, compare=compare, told=f"{who}: {name}{arguments}")

    def do_raw(
        self, who: str, contract: Contract, data: bytes, *, value: int = 0, compare: bool = True, told: str = ""
    ) -> Step:
        """As `do`, with calldata of the caller's own making."""
        ours = self.ours.do(WALLETS[who], contract, data, value=value)
        real = self.real.do(WALLETS[who], contract, data, value=value)
        assert ours == real, told
        if compare:
            self.compare_reads(contract)
        return ours

    def read(self, contract: Contract, name: str, *arguments: Any) -> Any:
        """A getter's results, the same on both; a single result without its tuple."""
        call = contract_call(contract, name, *arguments)
        ours, real = self.ours.read(contract, call.data), self.real.read(contract, call.data)
        assert ours.failure is None
        assert (ours.output, ours.failure) == (real.output, real.failure), f"{name}{arguments}"
        results = read_result(call, ours.output)
        return results[0] if len(results) == 1 else results

    def compare_reads(self, contract: Contract = Contract.REGISTRY) -> None:
        """Every getter that a transaction to `contract` can have changed; Permissions also reads the Registry."""
        calls = self._permissions_getters()
        if contract is Contract.REGISTRY:
            calls = chain(self._registry_getters(), calls)
        for call in calls:
            ours, real = self.ours.read(call.contract, call.data), self.real.read(call.contract, call.data)
            assert ours.output == real.output, call.signature
            assert (ours.failure is None) == (real.failure is None), call.signature

    def _notice(self, who: str, call: ContractCall, arguments: tuple[Any, ...]) -> None:
        named = [
            item for item in arguments if isinstance(item, str) and item.startswith("0x") and len(item) == len(ZERO)
        ]
        self.parties.update((address, None) for address in (WALLETS[who].address, *named))
        if "Service" in call.signature or "Agreement" in call.signature:
            self.providers.update((address, None) for address in (named or [WALLETS[who].address]))
        if "bytes2,bytes3" in call.signature:
            first = 1 if "Raw" in call.signature else 0
            self.keys[arguments[first], arguments[first + 1]] = None

    def _registry_getters(self) -> Iterator[ContractCall]:
        for name in ("owner", "isOwner", "getNodeOperators", "getParties"):
            yield contract_call(Contract.REGISTRY, name)
        for party in self.parties:
            for name in ("getNode", "getOperatorByAddress", "getPartyDetailsByAddress"):
                yield contract_call(Contract.REGISTRY, name, party)
        for key in (*self.keys, UNKNOWN):
            yield contract_call(Contract.REGISTRY, "getOperatorByOcpi", *key)
            yield contract_call(Contract.REGISTRY, "getPartyDetailsByOcpi", *key)

    def _permissions_getters(self) -> Iterator[ContractCall]:
        permissions = Contract.PERMISSIONS
        yield contract_call(permissions, "getProviders")
        for index in (0, 99):
            yield contract_call(permissions, "providers", index)
        for provider in self.providers:
            yield contract_call(permissions, "getService", provider)
        for party in self.parties:
            yield contract_call(permissions, "getUserAgreementsByAddress", party)
            for provider in self.providers:
                yield contract_call(permissions, "hasUserAgreementByAddress", party, provider)
        for key in (*self.keys, UNKNOWN):
            yield contract_call(permissions, "getUserAgreementsByOcpi", *key)
            for provider in self.providers:
                yield contract_call(permissions, "hasUserAgreementByOcpi", *key, provider)


def _without_padding(revert_data: bytes) -> bytes:
    """Up to the sentence's end: what fills its last word is memory that neither contract wrote."""
    if len(revert_data) < 68:
        return revert_data
    return revert_data[: 68 + int.from_bytes(revert_data[36:68], "big")]


def high_s_twin(signature: Signature) -> Signature:
    """The other signature of the same signer and message, which the contracts accept too (T5)."""
    s = CURVE_ORDER - int.from_bytes(signature.s, "big")
    return Signature(v=55 - signature.v, r=signature.r, s=s.to_bytes(32, "big"))
