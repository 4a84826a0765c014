"""Arranging blocks and raw logs as an endpoint would tell them."""

from datetime import UTC, datetime, timedelta

from eth_abi.abi import encode

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.blocks import Header, RawLog
from ocn_permission_agent.consent.address import Address

REGISTRY = Address("0x" + "11" * 20)
PERMISSIONS = Address("0x" + "22" * 20)
TRANSACTION = "0x" + "77" * 32
START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def block_hash(number: int, fork: str = "") -> str:
    return "0x" + (f"{number:08x}" + fork.encode().hex()).ljust(64, "0")


def header(number: int, *, fork: str = "", parent_fork: str | None = None) -> Header:
    return Header(
        number=number,
        hash=block_hash(number, fork),
        parent_hash=block_hash(number - 1, fork if parent_fork is None else parent_fork),
        time=START + timedelta(seconds=5 * number),
    )


def raw_log(
    contract: Address, topics: tuple[bytes, ...], data: bytes, *, block_number: int = 7, log_index: int = 0
) -> RawLog:
    return RawLog(
        contract=contract,
        topics=topics,
        data=data,
        block_number=block_number,
        block_hash=block_hash(block_number),
        transaction_hash=TRANSACTION,
        log_index=log_index,
    )


def word(account: Address) -> bytes:
    return bytes(12) + bytes.fromhex(account[2:])


def service_log(provider: Address, name: bytes, url: bytes, ids: list[int]) -> RawLog:
    data = encode(["bytes", "bytes", "uint256[]", "address"], [name, url, ids, provider])
    return raw_log(PERMISSIONS, (abi.SERVICE_UPDATE,), data)


def agreement_log(customer: Address, provider: Address) -> RawLog:
    return raw_log(PERMISSIONS, (abi.SERVICE_AGREEMENT,), word(customer) + word(provider))


def party_log(account: Address, country_code: bytes, party_id: bytes, operator: Address) -> RawLog:
    data = encode(["bytes2", "bytes3", "uint8[]", "uint8[]", "uint8[]"], [country_code, party_id, [0], [], []])
    return raw_log(REGISTRY, (abi.PARTY_UPDATE, word(account), word(operator)), data)


def operator_log(operator: Address, domain: bytes) -> RawLog:
    return raw_log(REGISTRY, (abi.OPERATOR_UPDATE, word(operator)), encode(["bytes"], [domain]))
