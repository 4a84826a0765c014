"""`--raw`: warned about, signed only after the question, printed or paid for by somebody else."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chain_fixtures import WALLETS, Deployment
from tests.integration.chain_writer.between import between
from tests.integration.chain_writer.conftest import agreed, key_file, listed, write_config

Calling = Callable[..., Awaitable[Any]]
BILLING = WALLETS["billing"].address
RAW = ("--provider", BILLING, "--raw", "--yes")


@pytest.fixture
def config(chain: Deployment, tmp_path: Path) -> Path:
    return write_config(tmp_path, chain)


@pytest.fixture
def cpo(tmp_path: Path) -> Path:
    return key_file(tmp_path, "cpo")


async def test_printed_calldata_can_be_sent_by_anybody(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    finished = await calling("agreement", "create", *RAW, "--config", config, "--key-file", cpo)

    assert finished.code == 0, finished.err
    assert not await agreed(chain)
    document = json.loads(finished.out)
    assert document["function"] == "createAgreementRaw"
    assert document["chain_id"] == 246
    assert document["signer"] == WALLETS["cpo"].address.lower()
    assert "Warning: --raw makes a permanent bearer token." in finished.err
    assert "to make, end and make again this very agreement" in finished.err

    await send(chain, "stranger", document)
    assert await agreed(chain)


async def test_the_signature_to_agree_is_the_signature_to_revoke(
    chain: Deployment, calling: Calling, config: Path, cpo: Path
) -> None:
    """T5, and why there is a warning."""
    create = json.loads((await calling("agreement", "create", *RAW, "--config", config, "--key-file", cpo)).out)
    await send(chain, "stranger", create)
    revoke = json.loads((await calling("agreement", "revoke", *RAW, "--config", config, "--key-file", cpo)).out)

    assert revoke["data"][10:] == create["data"][10:]
    await send(chain, "stranger", revoke)
    assert not await agreed(chain)
    await send(chain, "stranger", create)
    assert await agreed(chain)


async def test_a_payer_sends_a_service_for_its_provider(
    chain: Deployment, calling: Calling, config: Path, tmp_path: Path
) -> None:
    provider, payer = key_file(tmp_path, "billing"), key_file(tmp_path, "stranger")

    finished = await calling(
        "service", "set", "--name", "Lädt", "--url", "https://b.example", "--permissions", "8,6", "--raw", "--yes",
        "--config", config, "--key-file", provider, "--payer-key-file", payer,
    )  # fmt: skip

    assert finished.code == 0, finished.err
    assert await listed(chain) == ("Lädt".encode(), b"https://b.example", (8, 6))
    assert f"It is sent and paid by {WALLETS['stranger'].address.lower()}." in finished.err
    assert "for where one ends is not signed" in finished.err
    sent = await chain.client.request("eth_getTransactionByHash", finished.out.strip())
    assert sent["from"].lower() == WALLETS["stranger"].address.lower()


async def test_no_endpoint_sees_a_signature_that_is_only_printed(
    own: Deployment, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    async with between(own.url) as middle:
        config = write_config(tmp_path, own, middle.url)
        finished = await calling("agreement", "create", *RAW, "--config", config, "--key-file", cpo)

    document = json.loads(finished.out)
    tried = [request["params"][0]["data"][:10] for request in middle.asked if request["method"] == "eth_call"]
    assert document["data"][:10] not in tried
    assert document["data"][-64:] not in str(middle.asked)


async def test_a_payer_goes_with_raw_only(calling: Calling, cpo: Path) -> None:
    finished = await calling("agreement", "create", "--provider", BILLING, "--payer-key-file", cpo, "--yes")

    assert finished.code == 2
    assert "--payer-key-file goes with --raw only" in finished.err


async def send(deployment: Deployment, sender: str, document: dict[str, Any]) -> None:
    """As any wallet would: nothing but what was printed."""
    wallet, client = WALLETS[sender], deployment.client
    nonce = int(await client.request("eth_getTransactionCount", wallet.address, "pending"), 16)
    raw = wallet.sign_transaction(
        {
            "chainId": document["chain_id"], "nonce": nonce, "gas": 500_000, "gasPrice": 5 * 10**9, "value": 0,
            "to": bytes.fromhex(document["to"][2:]), "data": document["data"],
        }
    )  # fmt: skip
    transaction = await client.request("eth_sendRawTransaction", "0x" + raw.hex())
    receipt = await deployment.actor(sender).wait_for(transaction)
    assert receipt.succeeded
