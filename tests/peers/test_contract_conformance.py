"""Our Registry and Permissions against the real bytecode: scripted histories of every trap, and random ones.

Facts and T-numbers: permissions-contract.md §2. After each step `Twins` compares the transaction's logs and revert
data and every getter byte for byte; the assertions here say what the trap is, so that both cannot be wrong alike.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ocn_permission_agent.sandbox.chain.calls import (
    Contract,
    Signature,
    contract_call,
    packed_address,
    packed_modules,
    packed_node,
    packed_party,
    packed_service,
)
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.contracts import ContractCodes, own_contracts
from tests.contract_bench import BROKEN, WALLETS, ZERO, Bench, Twins, high_s_twin
from tests.real_contracts import real_contracts_or_skip

REGISTRY, PERMISSIONS = Contract.REGISTRY, Contract.PERMISSIONS
OPERATOR, CPO, PROVIDER, OTHER = (WALLETS[name].address for name in ("operator", "cpo", "provider", "other"))
SERVICE_UPDATE = keccak(b"ServiceUpdate(string,string,uint256[],address)")
SERVICE_AGREEMENT = keccak(b"ServiceAgreement(address,address)")
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "permissions_raw.json").read_text())

NO_PARTY = "Service user has no party listing in Registry."
NO_SERVICE = "Provider has no registered Service."
NO_DELETE_PARTY = "Cannot delete party that does not exist. No operator found for given party."
OTHER_SIGNER = "Signer and provided party address different."


@pytest.fixture(scope="module")
def real() -> ContractCodes:
    return real_contracts_or_skip()


@pytest.fixture(scope="module")
def start(real: ContractCodes) -> Callable[[], Twins]:
    return partial(started, real)


@pytest.fixture
def twins(start: Callable[[], Twins]) -> Twins:
    twins = start()
    twins.compare_reads()
    return twins


def started(real: ContractCodes) -> Twins:
    """A node, a CPO `DE*CPO` and a provider `DE*SVC` that has listed nothing yet."""
    twins = Twins(own_contracts(), real)
    for who, contract, name, *arguments in (
        ("operator", REGISTRY, "setNode", "http://node-a"),
        ("cpo", REGISTRY, "setParty", "DE", "CPO", [0], OPERATOR),
        ("provider", REGISTRY, "setParty", "DE", "SVC", [6], OPERATOR),
    ):
        assert twins.do(who, contract, name, *arguments, compare=False).succeeded
    return twins


def listed(twins: Twins, permissions: list[int]) -> None:
    assert twins.do("provider", PERMISSIONS, "setService", "Billing", "https://b.example", permissions).succeeded


def agreed(twins: Twins) -> bool:
    return bool(twins.read(PERMISSIONS, "hasUserAgreementByAddress", CPO, PROVIDER))


def sign(who: str, packed: bytes) -> Signature:
    return WALLETS[who].sign_packed(packed)


def refused(twins: Twins, who: str, contract: Contract, name: str, *arguments: Any) -> str | None:
    step = twins.do(who, contract, name, *arguments)
    assert not step.succeeded
    return step.reason


def shape(abi: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """What a caller sees of an ABI; a constructor without arguments is nothing to see."""
    return {
        (
            entry["type"],
            entry.get("name"),
            entry.get("stateMutability"),
            tuple((item["type"], item["name"], item.get("indexed")) for item in entry.get("inputs", [])),
            tuple((item["type"], item["name"]) for item in entry.get("outputs", [])),
        )
        for entry in abi
        if entry["type"] != "constructor" or entry["inputs"]
    }


def test_interface_is_that_of_the_real_contracts(real: ContractCodes) -> None:
    ours = own_contracts()
    assert shape(ours.registry.abi) == shape(real.registry.abi)
    assert shape(ours.permissions.abi) == shape(real.permissions.abi)


def test_slot_0_of_permissions_is_the_registry_and_slot_4_the_agreements(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    inner = keccak(packed_address(CPO).rjust(32, b"\0") + (4).to_bytes(32, "big"))
    flag = int.from_bytes(keccak(packed_address(PROVIDER).rjust(32, b"\0") + inner), "big")
    for bench in (twins.ours, twins.real):
        permissions = bench.addresses[PERMISSIONS]
        registry = bench.chain.evm.storage(bench.chain.head, permissions, 0)
        assert registry == int.from_bytes(bench.addresses[REGISTRY], "big")
        assert bench.chain.evm.storage(bench.chain.head, permissions, flag) == 1


def test_every_refusal_says_the_same_sentence(twins: Twins) -> None:
    for who, contract, name, arguments, sentence in (
        ("stranger", PERMISSIONS, "createAgreement", (PROVIDER,), NO_PARTY),
        ("stranger", PERMISSIONS, "revokeAgreement", (PROVIDER,), NO_PARTY),
        ("cpo", PERMISSIONS, "createAgreement", (PROVIDER,), NO_SERVICE),
        ("cpo", PERMISSIONS, "revokeAgreement", (PROVIDER,), NO_SERVICE),
        ("provider", PERMISSIONS, "deleteService", (), "Cannot delete service that does not exist."),
        ("provider", PERMISSIONS, "setService", ("n", "u", []), "No permissions given."),
        (
            "stranger",
            PERMISSIONS,
            "setService",
            ("n", "u", []),
            "Trying to register a service without party listing in Registry.",
        ),
        ("operator", REGISTRY, "setNode", ("",), "Cannot set empty domain name. Use deleteNode method instead."),
        ("other", REGISTRY, "setNode", ("http://node-a",), "Domain name already registered."),
        ("operator", REGISTRY, "setNode", ("http://node-a",), "Domain name already registered."),
        ("other", REGISTRY, "deleteNode", (), "Cannot delete node that does not exist."),
        (
            "other",
            REGISTRY,
            "setParty",
            (b"\0\0", b"\0\0\0", [], ZERO),
            "Cannot set empty country_code. Use deleteParty method instead.",
        ),
        (
            "other",
            REGISTRY,
            "setParty",
            ("DE", b"\0\0\0", [], ZERO),
            "Cannot set empty party_id. Use deleteParty method instead.",
        ),
        ("other", REGISTRY, "setParty", ("DE", "CPO", [], ZERO), "No roles provided."),
        (
            "other",
            REGISTRY,
            "setParty",
            ("DE", "CPO", [9], ZERO),
            "Cannot set empty operator. Use deleteParty method instead.",
        ),
        (
            "other",
            REGISTRY,
            "setParty",
            ("DE", "CPO", [0], OTHER),
            "Party with country_code/party_id already registered under different address.",
        ),
        ("other", REGISTRY, "setParty", ("DE", "OTH", [0], OTHER), "Provided operator not registered."),
        ("other", REGISTRY, "setParty", ("DE", "OTH", [7], OPERATOR), None),
        ("other", REGISTRY, "setPartyModules", ([0], [1]), "Party not registered. Use setParty method first."),
        ("cpo", REGISTRY, "setPartyModules", ([7], []), None),
        ("other", REGISTRY, "deleteParty", (), NO_DELETE_PARTY),
        ("other", REGISTRY, "adminDeleteParty", ("DE", "CPO"), "Ownable: caller is not the owner"),
        ("other", REGISTRY, "adminDeleteOperator", (OPERATOR,), "Ownable: caller is not the owner"),
        ("other", REGISTRY, "transferOwnership", (OTHER,), "Ownable: caller is not the owner"),
        ("other", REGISTRY, "renounceOwnership", (), "Ownable: caller is not the owner"),
        ("admin", REGISTRY, "transferOwnership", (ZERO,), "Ownable: new owner is the zero address"),
        ("admin", REGISTRY, "adminDeleteParty", ("QQ", "QQQ"), NO_DELETE_PARTY),
        ("admin", REGISTRY, "adminDeleteOperator", (OTHER,), "Cannot delete node that does not exist."),
        ("other", REGISTRY, "setPartyRaw", (CPO, "DE", "CPO", [0], OPERATOR, *BROKEN.arguments), OTHER_SIGNER),
        ("other", REGISTRY, "setPartyModulesRaw", (CPO, [0], [0], *BROKEN.arguments), OTHER_SIGNER),
        ("other", REGISTRY, "deletePartyRaw", (CPO, *BROKEN.arguments), OTHER_SIGNER),
    ):
        step = twins.do(who, contract, name, *arguments, compare=False)
        assert (step.succeeded, step.reason) == (False, sentence), (who, name, arguments)
    twins.compare_reads()


def test_agreeing_twice_and_revoking_twice_are_refused(twins: Twins) -> None:
    listed(twins, [6])
    nothing_yet = refused(twins, "cpo", PERMISSIONS, "revokeAgreement", PROVIDER)
    assert nothing_yet == "No Agreement made between user and provider."
    assert twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER).succeeded
    twice = refused(twins, "cpo", PERMISSIONS, "createAgreement", PROVIDER)
    assert twice == "Agreement already made between user and provider."


def test_t1_agreeing_and_revoking_emit_the_same_event(twins: Twins) -> None:
    listed(twins, [6, 8])
    created = twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    revoked = twins.do("cpo", PERMISSIONS, "revokeAgreement", PROVIDER)
    assert created.logs == revoked.logs
    assert [log.topics for log in created.logs] == [(SERVICE_AGREEMENT,)]
    assert len(created.logs[0].data) == 64


def test_t2_the_list_of_agreements_only_grows(twins: Twins) -> None:
    listed(twins, [6])
    for _ in range(3):
        twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
        twins.do("cpo", PERMISSIONS, "revokeAgreement", PROVIDER)
    assert twins.read(PERMISSIONS, "getUserAgreementsByAddress", CPO) == (PROVIDER.lower(),) * 3
    assert not agreed(twins)


def test_t3_a_deleted_service_keeps_its_agreements_and_nobody_can_revoke_them(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    deleted = twins.do("provider", PERMISSIONS, "deleteService")
    assert agreed(twins)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == ()
    assert refused(twins, "cpo", PERMISSIONS, "revokeAgreement", PROVIDER) == NO_SERVICE

    relisted = twins.do("provider", PERMISSIONS, "setService", "Billing", "u", [0])
    assert [log.topics for log in relisted.logs] == [(SERVICE_UPDATE,)]
    assert agreed(twins)
    assert twins.read(PERMISSIONS, "getProviders") == (PROVIDER.lower(),) * 2

    # The delete event carries the old permissions, in ten words; the same update by setService takes eight.
    emptied = twins.do("provider", PERMISSIONS, "setService", "", "", [6])
    assert [len(deleted.logs[0].data), len(emptied.logs[0].data)] == [10 * 32, 8 * 32]
    assert deleted.logs[0].data[-64:] == emptied.logs[0].data[-64:]


def test_t4_a_wider_listing_needs_no_new_agreement(twins: Twins) -> None:
    listed(twins, [7])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    listed(twins, [0])
    assert agreed(twins)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == (0,)


def test_t5_a_raw_signature_agrees_and_revokes_for_ever(twins: Twins) -> None:
    listed(twins, [6])
    signature = sign("cpo", packed_address(PROVIDER))
    for verb, form, after in (
        ("createAgreementRaw", signature, True),
        ("revokeAgreementRaw", signature, False),
        ("createAgreementRaw", high_s_twin(signature), True),
    ):
        assert twins.do("stranger", PERMISSIONS, verb, PROVIDER, *form.arguments).succeeded
        assert agreed(twins) is after
    twins.do("cpo", PERMISSIONS, "revokeAgreement", PROVIDER)
    twins.do("stranger", PERMISSIONS, "createAgreementRaw", PROVIDER, *signature.arguments)
    assert agreed(twins)


def test_t5d_an_agreement_signature_deletes_the_signers_own_service(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "setService", "CPO's own", "u", [3])
    signature = sign("cpo", packed_address(PROVIDER))
    assert twins.do("stranger", PERMISSIONS, "deleteServiceRaw", PROVIDER, *signature.arguments).succeeded
    assert twins.read(PERMISSIONS, "getService", CPO)[4] == ()
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == (6,)


def test_t5e_a_delete_service_signature_is_also_a_delete_party_signature(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("provider", REGISTRY, "setNode", "http://own-node")
    signature = sign("provider", packed_address(PROVIDER)).arguments
    twins.do("stranger", PERMISSIONS, "createAgreementRaw", PROVIDER, *signature)
    assert twins.read(PERMISSIONS, "hasUserAgreementByAddress", PROVIDER, PROVIDER) is True
    twins.do("stranger", REGISTRY, "deleteNodeRaw", PROVIDER, *signature)
    twins.do("stranger", REGISTRY, "deletePartyRaw", PROVIDER, *signature)
    twins.do("stranger", PERMISSIONS, "deleteServiceRaw", PROVIDER, *signature)
    assert twins.read(REGISTRY, "getOperatorByAddress", PROVIDER) == (ZERO, "")
    assert twins.read(PERMISSIONS, "getService", PROVIDER) == (b"\0\0", b"\0\0\0", b"", b"", ())


def test_t6_an_old_wider_listing_replays_and_its_boundaries_move(twins: Twins) -> None:
    wide = sign("provider", packed_service("Billing", "u", [0])).arguments
    twins.do("stranger", PERMISSIONS, "setServiceRaw", "Billing", "u", [0], *wide)
    listed(twins, [7])
    twins.do("stranger", PERMISSIONS, "setServiceRaw", "Billing", "u", [0], *wide)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == (0,)

    signed = sign("provider", packed_service("Billing", "https://b.example/" + "x" * 14, [6, 8])).arguments
    url = b"https://b.example/" + b"x" * 14
    moved = (b"Bill", b"ing" + url + (6).to_bytes(32, "big"), [8])
    twins.do("stranger", PERMISSIONS, "setServiceRaw", *moved, *signed)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[2:] == (*moved[:2], (8,))
    huge = int.from_bytes(url, "big")
    twins.do("stranger", PERMISSIONS, "setServiceRaw", "Billing", "", [huge, 6, 8], *signed)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == (huge, 6, 8)


def test_t6d_a_modules_signature_lists_a_service_that_takes_all(twins: Twins) -> None:
    signature = sign("provider", packed_modules(PROVIDER, [0], [4])).arguments
    twins.do("stranger", REGISTRY, "setPartyModulesRaw", PROVIDER, [0], [4], *signature)
    twins.do("stranger", PERMISSIONS, "setServiceRaw", packed_address(PROVIDER), "", [0, 4], *signature)
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == (0, 4)


def test_t6e_names_may_be_any_bytes(twins: Twins) -> None:
    for name in (b"\xff\xfe\x80", b"NUL\x00inside\n", b"x" * 31, b"y" * 32, b"z" * 33, bytes(200)):
        twins.do("provider", PERMISSIONS, "setService", name, name[::-1], [5])
        assert twins.read(PERMISSIONS, "getService", PROVIDER)[2:4] == (name, name[::-1])
    assert twins.do("provider", PERMISSIONS, "deleteService").succeeded


def test_t7_ids_may_be_any_number_any_number_of_times(twins: Twins) -> None:
    for ids in ([17], [2**255], [2**256 - 1], [6, 6, 6], [0] * 50):
        listed(twins, ids)
        assert twins.read(PERMISSIONS, "getService", PROVIDER)[4] == tuple(ids)


def test_t8_deleted_parties_keep_services_and_agreements_but_cannot_revoke(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    twins.do("provider", REGISTRY, "deleteParty")
    assert twins.read(PERMISSIONS, "getService", PROVIDER)[:2] == (b"\0\0", b"\0\0\0")
    assert twins.do("cpo", PERMISSIONS, "revokeAgreement", PROVIDER).succeeded
    assert twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER).succeeded

    twins.do("cpo", REGISTRY, "deleteParty")
    assert agreed(twins)
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "DE", "CPO", PROVIDER) is False
    assert twins.read(PERMISSIONS, "getUserAgreementsByOcpi", "DE", "CPO") == ()
    assert refused(twins, "cpo", PERMISSIONS, "revokeAgreement", PROVIDER) == NO_PARTY
    twins.do("cpo", REGISTRY, "setParty", "DE", "CPO", [0], OPERATOR)
    assert twins.do("cpo", PERMISSIONS, "revokeAgreement", PROVIDER).succeeded


def test_t9_a_key_under_a_new_address_starts_without_agreements(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    twins.do("cpo", REGISTRY, "deleteParty")
    twins.do("other", REGISTRY, "setParty", "DE", "CPO", [0], OPERATOR)
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "DE", "CPO", PROVIDER) is False
    twins.do("other", REGISTRY, "deleteParty")
    back = twins.do("cpo", REGISTRY, "setParty", "DE", "CPO", [0], OPERATOR)
    assert len(back.logs) == 1
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "DE", "CPO", PROVIDER) is True


def test_t10_an_old_key_keeps_answering_also_for_a_party_that_is_gone(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    twins.do("cpo", REGISTRY, "setPartyModules", [4], [2])
    twins.do("cpo", REGISTRY, "setParty", "NL", "NEW", [0, 1], OPERATOR)
    for key in (("DE", "CPO"), ("NL", "NEW")):
        assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", *key, PROVIDER) is True
    twins.do("cpo", REGISTRY, "deleteParty")
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "DE", "CPO", PROVIDER) is True
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "NL", "NEW", PROVIDER) is False
    taken = refused(twins, "other", REGISTRY, "setParty", "DE", "CPO", [0], OPERATOR)
    assert taken == "Party with country_code/party_id already registered under different address."
    assert refused(twins, "admin", REGISTRY, "adminDeleteParty", "DE", "CPO") == NO_DELETE_PARTY


def test_t11_keys_differ_by_case_and_hold_any_bytes(twins: Twins) -> None:
    twins.do("other", REGISTRY, "setParty", "de", "cpo", [0], OPERATOR)
    assert twins.read(REGISTRY, "getPartyDetailsByOcpi", "de", "cpo")[0] == OTHER.lower()
    assert twins.read(REGISTRY, "getPartyDetailsByOcpi", "DE", "CPO")[0] == CPO.lower()
    twins.do("stranger", REGISTRY, "setParty", b"\n\xff", b"\0\0A", [0], OPERATOR)
    assert twins.read(REGISTRY, "getPartyDetailsByOcpi", b"\n\xff", b"\0\0A")[0] == WALLETS["stranger"].address.lower()


def test_t13_address_zero_registers_and_agrees_for_everybody_unknown(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("stranger", REGISTRY, "setPartyRaw", ZERO, "ZZ", "ZZZ", [0], OPERATOR, *BROKEN.arguments)
    twins.do("stranger", PERMISSIONS, "createAgreementRaw", PROVIDER, *BROKEN.arguments)
    assert twins.read(PERMISSIONS, "hasUserAgreementByOcpi", "QQ", "QQQ", PROVIDER) is True
    assert twins.read(PERMISSIONS, "getUserAgreementsByOcpi", "QQ", "QQQ") == (PROVIDER.lower(),)
    twins.do("stranger", PERMISSIONS, "setServiceRaw", "zero", "u", [0], *BROKEN.arguments)
    twins.do("stranger", REGISTRY, "setNodeRaw", OPERATOR, "http://zero", *BROKEN.arguments)
    twins.do("stranger", REGISTRY, "setPartyModulesRaw", ZERO, [0], [1], *BROKEN.arguments)
    assert twins.read(PERMISSIONS, "getService", ZERO) == (b"ZZ", b"ZZZ", b"zero", b"u", (0,))
    for contract, name, *arguments in (
        (PERMISSIONS, "deleteServiceRaw", PROVIDER),
        (REGISTRY, "deletePartyRaw", ZERO),
        (REGISTRY, "deleteNodeRaw", OPERATOR),
    ):
        assert twins.do("stranger", contract, name, *arguments, *BROKEN.arguments).succeeded


def test_t14_deleting_a_node_leaves_its_parties_without_a_domain(twins: Twins) -> None:
    listed(twins, [6])
    twins.do("cpo", PERMISSIONS, "createAgreement", PROVIDER)
    for domain in ("http://" + "long." * 14, "http://node-a2"):
        twins.do("operator", REGISTRY, "setNode", domain)
        twins.do("operator", REGISTRY, "deleteNode")
        assert twins.read(REGISTRY, "getOperatorByAddress", CPO) == (OPERATOR.lower(), "")
    assert agreed(twins)
    # A domain that was left for another one stays taken; a deleted one is free again.
    assert refused(twins, "operator_b", REGISTRY, "setNode", "http://node-a") == "Domain name already registered."
    twins.do("operator_b", REGISTRY, "setNode", "http://node-a2")
    moved = twins.do("cpo", REGISTRY, "setParty", "DE", "CPO", [0], WALLETS["operator_b"].address)
    assert len(moved.logs) == 1
    assert agreed(twins)


def test_administrator_deletes_parties_and_nodes_and_hands_over(twins: Twins) -> None:
    twins.do("admin", REGISTRY, "adminDeleteParty", "DE", "CPO")
    twins.do("admin", REGISTRY, "adminDeleteOperator", OPERATOR)
    twins.do("admin", REGISTRY, "transferOwnership", OTHER)
    assert twins.read(REGISTRY, "owner") == OTHER.lower()
    twins.do("other", REGISTRY, "renounceOwnership")
    assert twins.read(REGISTRY, "owner") == ZERO


def test_malformed_calldata_ends_alike(twins: Twins) -> None:
    listed(twins, [6])
    agree = contract_call(PERMISSIONS, "createAgreement", PROVIDER).data
    dirty = agree[:4] + b"\xff" * 12 + agree[16:]
    service = contract_call(PERMISSIONS, "setService", "n", "u", [1]).data
    party = contract_call(REGISTRY, "setParty", "DE", "OTH", [0], OPERATOR).data
    for contract, data, value in (
        (PERMISSIONS, b"", 0),
        (PERMISSIONS, b"", 1),
        (PERMISSIONS, b"\xde\xad\xbe\xef", 0),
        (PERMISSIONS, agree, 1),
        (PERMISSIONS, agree[:-1], 0),
        (PERMISSIONS, agree[:4], 0),
        (PERMISSIONS, service[:-32], 0),
        (PERMISSIONS, service[:36] + b"\xff" * 32 + service[68:], 0),
        (PERMISSIONS, service[:4] + b"\x00" * 16 + b"\xff" * 16 + service[36:], 0),
        (REGISTRY, party[:6] + b"\xff" * 30 + party[36:], 0),
        (REGISTRY, party[:-2] + b"\x01\x00", 0),
        (PERMISSIONS, dirty, 0),
    ):
        twins.do_raw("cpo", contract, data, value=value, told=f"{data.hex()} {value}")


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: str(vector["id"]))
@pytest.mark.parametrize("source", ["ours", "real"])
def test_published_raw_signatures_are_accepted(source: str, vector: dict[str, Any], real: ContractCodes) -> None:
    """permissions_raw.json: its calldata as it is, sent by a stranger, after the state it needs was made."""
    bench = Bench(own_contracts() if source == "ours" else real)
    keys = {address: Wallet.from_key(v["private_key"]) for v in VECTORS["vectors"] for address in [v["signer"]]}
    people = VECTORS["keys"]
    operator, cpo, provider = (people[name] for name in ("operator", "cpo", "provider"))
    contract, function = Contract(vector["contract"]), vector["function"]

    def prepare(address: str, contract: Contract, name: str, *arguments: Any) -> None:
        """The same by a signed call, because the vector's own people own nothing on this chain."""
        assert bench.do(WALLETS["stranger"], contract, contract_call(contract, name, *arguments).data).succeeded

    if function != "setNodeRaw":
        signature = keys[operator].sign_packed(packed_node(operator, "http://node-a"))
        prepare(operator, REGISTRY, "setNodeRaw", operator, "http://node-a", *signature.arguments)
    if "Node" not in function and function != "setPartyRaw":
        for address, party_id in ((cpo, "CPO"), (provider, "SVC")):
            signature = keys[address].sign_packed(packed_party(address, "DE", party_id, [0], operator))
            prepare(address, REGISTRY, "setPartyRaw", address, "DE", party_id, [0], operator, *signature.arguments)
    if "Agreement" in function or function == "deleteServiceRaw":
        signature = keys[provider].sign_packed(packed_service("n", "u", [6]))
        prepare(provider, PERMISSIONS, "setServiceRaw", "n", "u", [6], *signature.arguments)
    if function == "revokeAgreementRaw":
        signature = keys[cpo].sign_packed(packed_address(provider))
        prepare(cpo, PERMISSIONS, "createAgreementRaw", provider, *signature.arguments)

    step = bench.do(WALLETS["stranger"], contract, bytes.fromhex(vector["calldata"][2:]))
    assert step.succeeded, step.reason
    assert len(step.logs) == 1


# Random histories

#: All but "explain", which traces every line of the EVM.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
NAMES = tuple(WALLETS)
KEYS: tuple[tuple[bytes | str, bytes | str], ...] = (
    ("DE", "CPO"),
    ("de", "cpo"),
    ("DE", "SVC"),
    (b"\xff\0", b"\n\0A"),
    ("ZZ", "ZZZ"),
)
people = st.sampled_from(NAMES)
addresses = st.sampled_from([wallet.address for wallet in WALLETS.values()] + [ZERO])
operators = st.sampled_from([OPERATOR, OPERATOR, WALLETS["operator_b"].address, OTHER])
providers = st.sampled_from([PROVIDER, PROVIDER, CPO, ZERO])
texts = st.sampled_from([b"", b"n", b"x" * 31, b"y" * 32, b"z" * 40, b"\xff\xfe", b"name " * 30])
id_lists = st.sampled_from([[], [0], [1, 2], [6, 8], [17], [2**255], [2**256 - 1, 0], [0] * 20, [3, 3]])
domains = st.sampled_from(["", "http://a", "http://b", "h" * 31, "h" * 32, "d" * 70])
small_lists = st.lists(st.integers(0, 7), max_size=2)
party_keys = st.sampled_from(KEYS)


@st.composite
def histories(draw: st.DrawFn, length: int) -> list[tuple[str, Contract, str, tuple[Any, ...]]]:
    """Calls by anybody, among them signed ones and replays of what was signed for another call."""
    signed: list[Signature] = [BROKEN]

    def signature(packed: bytes) -> tuple[int, bytes, bytes]:
        if draw(st.booleans()):
            made = sign(draw(people), packed)
            signed.append(high_s_twin(made) if draw(st.integers(0, 9)) == 0 else made)
            return signed[-1].arguments
        return draw(st.sampled_from(signed)).arguments

    def step() -> tuple[str, Contract, str, tuple[Any, ...]]:
        who, address, provider, operator = draw(people), draw(addresses), draw(providers), draw(operators)
        key, domain, roles, modules = draw(party_keys), draw(domains), draw(small_lists), draw(small_lists)
        service = (draw(texts), draw(texts), draw(id_lists))
        contract, name, arguments, packed = draw(
            st.sampled_from(
                [
                    (REGISTRY, "setNode", (domain,), None),
                    (REGISTRY, "setNodeRaw", (address, domain), packed_node(address, domain)),
                    (REGISTRY, "deleteNode", (), None),
                    (REGISTRY, "deleteNodeRaw", (address,), packed_address(address)),
                    (REGISTRY, "setParty", (*key, roles, operator), None),
                    (REGISTRY, "setParty", (*key, [0], operator), None),
                    (
                        REGISTRY,
                        "setPartyRaw",
                        (address, *key, roles, operator),
                        packed_party(address, *key, roles, operator),
                    ),
                    (REGISTRY, "setPartyModules", (roles, modules), None),
                    (
                        REGISTRY,
                        "setPartyModulesRaw",
                        (address, roles, modules),
                        packed_modules(address, roles, modules),
                    ),
                    (REGISTRY, "deleteParty", (), None),
                    (REGISTRY, "deletePartyRaw", (address,), packed_address(address)),
                    (REGISTRY, "adminDeleteParty", key, None),
                    (PERMISSIONS, "setService", service, None),
                    (PERMISSIONS, "setServiceRaw", service, packed_service(*service)),
                    (PERMISSIONS, "deleteService", (), None),
                    (PERMISSIONS, "deleteServiceRaw", (provider,), packed_address(provider)),
                    (PERMISSIONS, "createAgreement", (provider,), None),
                    (PERMISSIONS, "createAgreementRaw", (provider,), packed_address(provider)),
                    (PERMISSIONS, "revokeAgreement", (provider,), None),
                    (PERMISSIONS, "revokeAgreementRaw", (provider,), packed_address(provider)),
                ]
            )
        )
        return who, contract, name, arguments if packed is None else (*arguments, *signature(packed))

    return [step() for _ in range(length)]


def replay(history: list[tuple[str, Contract, str, tuple[Any, ...]]], twins: Twins) -> None:
    """The history on both pairs from the same start; getters are compared at its end."""
    twins.do("provider", PERMISSIONS, "setService", "n", "u", [6], compare=False)
    for who, contract, name, arguments in history:
        twins.do(who, contract, name, *arguments, compare=False)
    twins.compare_reads()


@given(history=histories(15))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_random_histories_end_alike(start: Callable[[], Twins], history: list[Any]) -> None:
    replay(history, start())


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@given(history=histories(40))
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_many_random_histories_end_alike(start: Callable[[], Twins], history: list[Any]) -> None:
    replay(history, start())
