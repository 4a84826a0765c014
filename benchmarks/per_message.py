"""What one message costs: asking for consent, signing; and what a million agreements weigh.

python -m benchmarks.per_message AGREEMENTS     prints the resident MiB of a process that knows so many
"""

import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_keys.main import KeyAPI

from benchmarks.figures import Figure
from benchmarks.nginx import a_fixed_node
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import Address, Position
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    PartyChanged,
    Sent,
    ServiceListed,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.net.answer import Answer
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module

_OPERATOR = Address("0x" + "0a" * 20)
_KEY = bytes(range(1, 33))
_ROUNDS = 5
_MILLION = 1_000_000
#: agreements of one customer in the large index
_PROVIDERS = 10
_BAR_MIB = 400.0
_CALLS = 2_000


async def measure() -> list[Figure]:
    """Consent and signature, each beside what is usual, and the memory of a million agreements."""
    return [*await _consent(), _signature(), _memory()]


async def _consent() -> list[Figure]:
    """Who must hear of a message: our index, and the calls that a node makes for each message.

    The calls are as cheap as they can be: nginx answers them from memory, on this machine, over one open connection.
    """
    index = an_index()
    customer = index.facts.parties[a_customer(7)].party or Party("", "")

    def decide() -> None:
        index.has_agreements(customer)
        if len(index.providers_for(customer, Module.SESSIONS, InterfaceRole.RECEIVER)) != 1:
            raise RuntimeError("the service is not found")

    decide()
    entitled = index.providers_for(customer, Module.SESSIONS, InterfaceRole.RECEIVER)[0]

    def judge() -> None:
        index.verdict(
            entitled.customer_address,
            entitled.provider_address,
            agreement=entitled.agreement,
            module=Module.SESSIONS,
            role=InterfaceRole.RECEIVER,
            fresh=True,
        )

    ours, again, calls = [], [], []
    with tempfile.TemporaryDirectory() as folder, a_fixed_node(Path(folder)) as url:
        async with OwnNode(url=url, clock=SystemClock()) as rpc:
            for _ in range(_ROUNDS):
                ours.append(_microseconds(decide, 20_000))
                again.append(_microseconds(judge, 5_000))
                calls.append(await _microseconds_of_calls(rpc, url))
    return [
        Figure(
            name="consent for a message ÷ 1 + 1 eth_calls answered from memory", unit="µs", rounds=tuple(ours),
            others=tuple(calls), bar=0.01,
        ),
        Figure(name="  the verdict before a copy is sent", unit="µs", rounds=tuple(again), others=tuple(calls)),
    ]  # fmt: skip


async def _microseconds_of_calls(rpc: OwnNode, url: str) -> float:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": _OPERATOR, "data": "0x" + "00" * 68}]}
    body = json.dumps(call).encode()
    answered, began = 0, time.perf_counter()
    for _ in range(_CALLS):
        for _ in range(2):
            answer = await rpc.request("POST", url + "/", headers={}, body=body, timeout_seconds=5.0)
            answered += isinstance(answer, Answer)
    took_seconds = time.perf_counter() - began
    if answered != 2 * _CALLS:
        raise RuntimeError("a call was not answered")
    return took_seconds / _CALLS * 1e6


def _signature() -> Figure:
    """The signature of a copy of 2.7 kB, and the same by eth_account on coincurve."""
    text = b"x" * 2_700
    key = OperatorKey(_KEY)
    account = Account()
    account._keys = KeyAPI(CoinCurveECCBackend())
    wallet = account.from_key(_KEY)

    def usual() -> str:
        return str(wallet.sign_message(encode_defunct(text)).signature.hex()).removeprefix("0x")

    if key.sign(text) != usual():
        raise RuntimeError("the signatures differ")
    ours, others = [], []
    for _ in range(_ROUNDS):
        ours.append(_microseconds(lambda: key.sign(text), 2_000))
        others.append(_microseconds(usual, 500))
    return Figure(
        name="signature of a copy ÷ eth_account with coincurve",
        unit="µs",
        rounds=tuple(ours),
        others=tuple(others),
        bar=0.25,
    )


def _memory() -> Figure:
    command = [sys.executable, "-m", "benchmarks.per_message", str(_MILLION)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return Figure(name="resident memory, a million agreements", unit="MiB", rounds=(float(told.stdout),), bar=_BAR_MIB)


def _microseconds(work: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls * 1e6


# --- a chain with so many agreements ----------------------------------------------------------------------------------


def an_index(customers: int = 100) -> ConsentIndex:
    """Each customer has agreed with every provider; the first provider lists sessions, the others locations."""
    facts = Facts.none()
    for event in _events(customers):
        facts = apply(facts, event)
    return ConsentIndex(
        facts=facts,
        block_number=10_000_000,
        block_hash="0x" + "00" * 32,
        block_time=datetime(2026, 3, 1, tzinfo=UTC),
        own_operator=_OPERATOR,
        confirmations=1,
        settings=ConsentSettings(),
    )


def _events(customers: int) -> Iterator[Event]:
    number = 0

    def evidence() -> Evidence:
        nonlocal number
        number += 1
        return Evidence(position=Position(1_000 + number // 50, number % 50), transaction_hash=f"0x{number:064x}")

    yield OperatorChanged(evidence=evidence(), operator=_OPERATOR, domain="https://node.example")
    providers = [Address(f"0xb{number:039x}") for number in range(_PROVIDERS)]
    for place, provider in enumerate(providers):
        party = Party("NL", f"P{place:02}")
        yield PartyChanged(evidence=evidence(), address=provider, party=party, operator=_OPERATOR)
        permissions = frozenset({6} if place == 0 else {8})
        yield ServiceListed(
            evidence=evidence(), provider=provider, name=f"service {place}", url="https://s", permissions=permissions
        )
    for place in range(customers):
        party = Party(
            f"{chr(65 + place // 46_656 // 26 % 26)}{chr(65 + place // 46_656 % 26)}", _base_36(place % 46_656)
        )
        yield PartyChanged(evidence=evidence(), address=a_customer(place), party=party, operator=_OPERATOR)
        for provider in providers:
            yield AgreementToggled(evidence=evidence(), customer=a_customer(place), provider=provider, sent=Sent.DIRECT)


def a_customer(place: int) -> Address:
    return Address(f"0xa{place:039x}")


def _base_36(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return digits[number // 1_296] + digits[number // 36 % 36] + digits[number % 36]


def _main(agreements: int) -> None:
    importlib.import_module("ocn_permission_agent.app")  # as much code as the agent has
    index = an_index(agreements // _PROVIDERS)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    if sum(len(providers) for providers in index.facts.pairs.values()) != agreements:
        raise RuntimeError("some agreements are missing")
    print(pages * 4096 / 2**20)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
