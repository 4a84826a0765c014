"""Blocks, transactions, receipts and logs as JSON-RPC objects."""

from typing import Any

from eth_utils.address import to_checksum_address

from ocn_permission_agent.sandbox.chain.history import History, Place
from ocn_permission_agent.sandbox.chain.values import Block, StoredLog, Transaction

Json = dict[str, Any]


def as_hex(data: bytes) -> str:
    """Bytes in 0x notation."""
    return "0x" + data.hex()


def as_bloom(bloom: int) -> str:
    """A 2048-bit bloom filter in 0x notation."""
    return as_hex(bloom.to_bytes(256, "big"))


def render_block(block: Block, *, full: bool) -> Json:
    """A block with the hashes of its transactions, or the transactions themselves when `full`."""
    header = block.header
    return {
        "number": hex(block.number),
        "hash": as_hex(block.hash),
        "parentHash": as_hex(header.parent_hash),
        "nonce": as_hex(header.nonce),
        "mixHash": as_hex(header.mix_hash),
        "sha3Uncles": as_hex(header.uncles_hash),
        "logsBloom": as_bloom(header.bloom),
        "transactionsRoot": as_hex(header.transaction_root),
        "stateRoot": as_hex(header.state_root),
        "receiptsRoot": as_hex(header.receipt_root),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": as_hex(header.extra_data),
        "size": hex(block.size),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "baseFeePerGas": hex(block.base_fee),
        "timestamp": hex(header.timestamp),
        "transactions": [
            render_transaction(transaction, Place(block, index)) if full else as_hex(transaction.hash)
            for index, transaction in enumerate(block.transactions)
        ],
        "uncles": [],
    }


def render_transaction(transaction: Transaction, place: Place | None) -> Json:
    """A transaction; without `place` it still waits and the block fields are null."""
    signed = transaction.signed
    gas_price = transaction.fee_cap if place is None else place.block.receipts[place.index].gas_price
    answer: Json = {
        "hash": as_hex(transaction.hash),
        "blockHash": None if place is None else as_hex(place.block.hash),
        "blockNumber": None if place is None else hex(place.block.number),
        "transactionIndex": None if place is None else hex(place.index),
        "type": hex(transaction.kind),
        "from": to_checksum_address(transaction.sender),
        "to": None if transaction.to is None else to_checksum_address(transaction.to),
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        "value": hex(transaction.value),
        "input": as_hex(transaction.data),
        "gasPrice": hex(gas_price),
        "r": hex(signed.r),
        "s": hex(signed.s),
        "chainId": hex(signed.chain_id or 0),
    }
    if transaction.kind == 0:
        return answer | {"v": hex(transaction.parity + 35 + 2 * (signed.chain_id or 0))}
    typed = {
        "v": hex(transaction.parity),
        "yParity": hex(transaction.parity),
        "accessList": [
            {
                "address": to_checksum_address(address),
                "storageKeys": [as_hex(slot.to_bytes(32, "big")) for slot in slots],
            }
            for address, slots in transaction.access_list
        ],
    }
    if transaction.kind == 1:
        return answer | typed
    caps = {"maxFeePerGas": hex(transaction.fee_cap), "maxPriorityFeePerGas": hex(transaction.tip_cap)}
    return answer | typed | caps


def render_receipt(history: History, place: Place) -> Json:
    """The receipt of a mined transaction."""
    block, index = place.block, place.index
    transaction, receipt = block.transactions[index], block.receipts[index]
    return {
        "transactionHash": as_hex(transaction.hash),
        "transactionIndex": hex(index),
        "blockHash": as_hex(block.hash),
        "blockNumber": hex(block.number),
        "from": to_checksum_address(transaction.sender),
        "to": None if transaction.to is None else to_checksum_address(transaction.to),
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "gasUsed": hex(receipt.gas_used),
        "effectiveGasPrice": hex(receipt.gas_price),
        "contractAddress": None
        if receipt.contract_address is None or not receipt.succeeded
        else to_checksum_address(receipt.contract_address),
        "logs": [render_log(stored) for stored in history.logs_of(block) if stored.transaction_index == index],
        "logsBloom": as_bloom(receipt.bloom),
        "type": hex(transaction.kind),
        "status": "0x1" if receipt.succeeded else "0x0",
    }


def render_log(stored: StoredLog) -> Json:
    """A log of a block on the chain; `removed` is never true, because dropped logs are not told."""
    return {
        "address": to_checksum_address(stored.log.address),
        "topics": [as_hex(topic) for topic in stored.log.topics],
        "data": as_hex(stored.log.data),
        "blockNumber": hex(stored.block_number),
        "blockHash": as_hex(stored.block_hash),
        "transactionHash": as_hex(stored.transaction_hash),
        "transactionIndex": hex(stored.transaction_index),
        "logIndex": hex(stored.log_index),
        "removed": False,
    }
