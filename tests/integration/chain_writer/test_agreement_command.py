"""`agreement create|revoke`: shown, tried, sent and followed, on our contracts and on the real ones."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chain_fixtures import WALLETS, Deployment
from tests.integration.chain_writer.conftest import agreed, key_file, write_config

Calling = Callable[..., Awaitable[Any]]
CPO, BILLING = WALLETS["cpo"].address.lower(), WALLETS["billing"].address.lower()


@pytest.fixture
def config(chain: Deployment, tmp_path: Path) -> Path:
    return write_config(tmp_path, chain)


@pytest.fixture
def cpo(tmp_path: Path) -> Path:
    return key_file(tmp_path, "cpo")


async def test_a_customer_sees_what_it_shares_and_agrees(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    finished = await calling(
        "agreement", "create", "--provider", BILLING, "--config", config, "--key-file", cpo, "--yes"
    )

    assert finished.code == 0, finished.err
    assert await agreed(chain)
    said = finished.err.splitlines()
    assert said[0] == "You are about to agree to this service:"
    assert f"  Provider     NL*BIL ({BILLING})" in said
    assert '  Service      "Billing", https://billing.example' in said
    assert "  Its node     https://node-b.example" in said
    assert f"DE*CPO ({CPO}) would share with it, until you revoke:" in said
    assert "   6  sessions, receiver interface" in said
    assert "   8  cdrs, receiver interface" in said
    assert said[-1].startswith("Done: confirmed in block ")
    [transaction] = finished.out.splitlines()
    receipt = await chain.client.receipt(transaction)
    assert receipt is not None
    assert receipt.succeeded
    assert await chain.client.block_number() >= receipt.block_number + 2


async def test_a_provider_can_be_named_by_its_party_and_the_key_come_from_the_environment(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    finished = await calling(
        "agreement", "create", "--provider", "NL*BIL", "--config", config, "--yes", OCN_AGENT_WALLET_KEY_FILE=str(cpo)
    )
    assert (finished.code, await agreed(chain)) == (0, True), finished.err

    finished = await calling(
        "agreement", "revoke", "--provider", "NL*BIL", "--config", config, "--yes",
        OCN_AGENT_WALLET_KEY=WALLETS["cpo"].key.hex(),
    )  # fmt: skip
    assert (finished.code, await agreed(chain)) == (0, False), finished.err
    assert "You are about to revoke the agreement with this service:" in finished.err


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (
            ("create", "emsp"),
            "The contract refuses: Provider has no registered Service – the provider lists no service",
        ),
        (("revoke", "billing"), "The contract refuses: No Agreement made between user and provider – there is no"),
    ],
)
async def test_what_the_contract_would_refuse_is_told_in_words_and_not_sent(
    chain: Deployment, calling: Calling, config: Path, wanted: tuple[str, str], reason: str
) -> None:
    verb, provider = wanted
    finished = await calling(
        "agreement",
        verb,
        "--provider",
        WALLETS[provider].address,
        "--config",
        config,
        "--yes",
        OCN_AGENT_WALLET_KEY=WALLETS["cpo"].key.hex(),
    )

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.splitlines()[-1].startswith(reason)
    assert await sent_by_cpo(chain) == 1  # its registration


async def test_an_agreement_that_stands_is_not_made_again(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    await chain.actor("cpo").create_agreement(BILLING)

    finished = await calling(
        "agreement", "create", "--provider", BILLING, "--config", config, "--key-file", cpo, "--yes"
    )

    assert finished.code == 1
    assert finished.err.endswith("there is an agreement already; to renew it, revoke it first.\n")


async def test_a_customer_that_is_no_party_is_told_so(
    chain: Deployment, calling: Calling, config: Path, tmp_path: Path
) -> None:
    key = key_file(tmp_path, "stranger")

    finished = await calling(
        "agreement", "create", "--provider", BILLING, "--config", config, "--key-file", key, "--yes"
    )

    assert finished.code == 1
    assert "(no registered party) would share with it" in finished.err
    assert "Service user has no party listing in Registry – the address of this key is no party" in finished.err


@pytest.mark.parametrize("party", ["NL*XXX", "nl*bil", "NL*ü12"])
async def test_a_party_that_is_not_registered_is_told(
    chain: Deployment, calling: Calling, config: Path, cpo: Path, party: str
) -> None:
    finished = await calling("agreement", "create", "--provider", party, "--config", config, "--key-file", cpo, "--yes")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith(f"No party {party} is registered.")


async def test_a_renamed_provider_must_be_named_by_its_address(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    await chain.actor("billing").set_party("NL", "NEW", roles=[6], operator=WALLETS["operator_b"].address)

    finished = await calling(
        "agreement", "create", "--provider", "NL*BIL", "--config", config, "--key-file", cpo, "--yes"
    )

    assert finished.code == 1
    assert finished.err.endswith("is called NL*NEW now; give an address.\n")


async def test_what_strangers_write_into_a_listing_cannot_touch_the_terminal(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    name = b"Bill\x1b[2J\xff" + "\u202e".encode() + b"x" * 500
    await chain.actor("billing").set_service(name, b"https://b.example\r\nid 0", [6, 17, 2**255])

    finished = await calling(
        "agreement", "create", "--provider", BILLING, "--config", config, "--key-file", cpo, "--yes"
    )

    assert finished.code == 0, finished.err
    assert "\\x1b[2J\\xff\\u202exxx" in finished.err
    assert all(char.isprintable() for line in finished.err.split("\n") for char in line)
    assert "  and 2 numbers that mean nothing; agents ignore them" in finished.err


async def sent_by_cpo(deployment: Deployment) -> int:
    return int(await deployment.client.request("eth_getTransactionCount", CPO, "latest"), 16)
