"""Our raw signatures against tests/vectors/permissions_raw.json, all of which the real bytecode accepted."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak

from ocn_permission_agent.chain.intent import (
    CreateAgreement,
    RawIntent,
    RevokeAgreement,
    SetService,
    packed_of,
    raw_write,
)
from ocn_permission_agent.chain.proposal import ServiceProposal
from ocn_permission_agent.chain.raw import sign_raw
from ocn_permission_agent.chain.wallet import WalletKey
from ocn_permission_agent.consent.address import address

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "permissions_raw.json").read_text())["vectors"]
OFFERED = {"setServiceRaw", "createAgreementRaw", "revokeAgreementRaw"}
OURS = [vector for vector in VECTORS if vector["function"] in OFFERED]


def named(vector: dict[str, Any]) -> str:
    return str(vector["id"])


def intent_of(vector: dict[str, Any]) -> RawIntent:
    inputs = vector["inputs"]
    if vector["function"] == "setServiceRaw":
        permissions = tuple(int(number) for number in inputs["permissions"])
        return SetService(proposal=ServiceProposal(name=inputs["name"], url=inputs["url"], permissions=permissions))
    kind = CreateAgreement if vector["function"] == "createAgreementRaw" else RevokeAgreement
    return kind(provider=address(inputs["provider"]))


@pytest.mark.parametrize("vector", OURS, ids=named)
def test_what_is_packed_and_the_calldata_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    intent = intent_of(vector)
    packed = packed_of(intent)

    assert f"0x{packed.hex()}" == vector["packed"]
    assert f"0x{keccak(packed).hex()}" == vector["param_hash"]
    write = raw_write(intent, sign_raw(WalletKey.load(vector["private_key"]), packed))
    assert write.function == vector["function"]
    assert f"0x{write.data.hex()}" == vector["calldata"]


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_signatures_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    key = WalletKey.load(vector["private_key"])

    signature = sign_raw(key, bytes.fromhex(vector["packed"][2:]))

    assert key.address == vector["signer"].lower()
    assert signature.v == vector["v"]
    assert (f"0x{signature.r.hex()}", f"0x{signature.s.hex()}") == (vector["r"], vector["s"])
    assert signature.r.hex() not in repr(signature)


def test_every_function_that_is_offered_has_its_vectors() -> None:
    assert {vector["function"] for vector in OURS} == OFFERED
    assert len(OURS) == 13
