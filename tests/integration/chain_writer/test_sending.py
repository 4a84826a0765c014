"""What no contract decides: which chain, at what price, whether a person agreed, what becomes of the transaction."""

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account

from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from tests.chain_fixtures import WALLETS, Deployment
from tests.integration.chain_writer.between import Between, Item, between
from tests.integration.chain_writer.conftest import agreed, key_file, write_config

Calling = Callable[..., Awaitable[Any]]
BILLING = WALLETS["billing"].address
URL = "https://billing.example"
REVERT = "08c379a0" + encode(["string"], ["No Agreement made between user and provider."]).hex()
CREATE = ("agreement", "create", "--provider", BILLING)


@pytest.fixture
def cpo(tmp_path: Path) -> Path:
    return key_file(tmp_path, "cpo")


@pytest.fixture
async def middle(own: Deployment) -> AsyncIterator[Between]:
    async with between(own.url) as middle:
        yield middle


@pytest.fixture
def config_between(own: Deployment, middle: Between, tmp_path: Path) -> Path:
    return write_config(tmp_path, own, middle.url)


async def test_another_chain_gets_nothing(own: Deployment, calling: Calling, tmp_path: Path, cpo: Path) -> None:
    config = write_config(tmp_path, own, chain_id=73799)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "The endpoint serves chain 246, not 73799.\n"


async def test_an_address_without_a_contract_gets_nothing(
    own: Deployment, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    config = write_config(tmp_path, own, permissions="0x" + "17" * 20)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 2
    assert finished.err == f"There is no contract at 0x{'17' * 20}, where the Permissions should be.\n"


async def test_gas_above_the_cap_is_not_paid(own: Deployment, calling: Calling, tmp_path: Path, cpo: Path) -> None:
    config = write_config(tmp_path, own)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes", "--max-fee-gwei", "0.5")

    assert (finished.code, finished.out) == (1, "")
    assert "gwei now, more than the 0.5 gwei of --max-fee-gwei. Nothing was sent." in finished.err
    assert not await agreed(own)


async def test_no_transaction_offers_more_than_the_cap(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes", "--max-fee-gwei", "3")

    assert finished.code == 0, finished.err
    sent = await own.client.request("eth_getTransactionByHash", finished.out.strip())
    assert sent["type"] == "0x2"
    assert int(sent["maxPriorityFeePerGas"], 16) <= int(sent["maxFeePerGas"], 16) <= 3 * 10**9
    assert middle.methods().count("eth_chainId") <= 6


async def test_a_chain_without_base_fee_gets_a_legacy_transaction(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    def no_base_fee(request: Item, answer: Item) -> Item:
        if request["method"] == "eth_getBlockByNumber" and isinstance(answer.get("result"), dict):
            answer["result"].pop("baseFeePerGas", None)
        return answer

    middle.change = no_base_fee
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 0, finished.err
    sent = await own.client.request("eth_getTransactionByHash", finished.out.strip())
    assert sent["type"] == "0x0"


async def test_who_cannot_pay_is_told_what_it_costs(
    own: Deployment, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    poor = tmp_path / "poor.key"
    poor.write_text("0x" + "77" * 32)
    config = write_config(tmp_path, own)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--raw", "--payer-key-file", poor, "--yes")

    assert (finished.code, finished.out) == (1, "")
    assert "has 0.000000 and this may cost 0.00" in finished.err
    assert finished.err.endswith("of the chain's coin. Nothing was sent.\n")


async def test_without_a_terminal_nobody_is_asked(own: Deployment, calling: Calling, tmp_path: Path, cpo: Path) -> None:
    finished = await calling(*CREATE, "--config", write_config(tmp_path, own), "--key-file", cpo)

    assert (finished.code, finished.out) == (2, "")
    assert finished.err == ("Nobody can be asked here: this is no terminal. Give --yes to go on without a question.\n")


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
async def test_a_person_is_asked_and_no_means_no(
    own: Deployment, tmp_path: Path, cpo: Path, answer: bytes, code: int
) -> None:
    config = write_config(tmp_path, own)
    theirs, ours = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ocn_permission_agent", *CREATE, "--config", config, "--key-file", cpo,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])},
        stdin=ours,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.write(theirs, answer)
    out, err = await asyncio.wait_for(process.communicate(), timeout=30)
    os.close(theirs)
    os.close(ours)

    assert process.returncode == code, err.decode()
    assert "Agree to this? [y/N]: " in err.decode()
    assert await agreed(own) is (code == 0)
    assert bool(out) is (code == 0)
    assert code == 0 or err.decode().endswith("Nothing was sent.\n")


async def test_the_next_endpoint_is_asked_when_one_is_down(
    own: Deployment, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    config = write_config(tmp_path, own, "http://127.0.0.1:1", own.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 0, finished.err


async def test_a_listing_that_changed_since_it_was_shown_is_not_agreed_to(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    """The provider widens its listing while the customer reads (T4)."""
    middle.first["eth_getTransactionCount"] = lambda: own.actor("billing").set_service("Billing", URL, [0])
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.endswith(
        "The service changed meanwhile: it now lists the permissions 0, not 6, 8. Nothing was sent.\n"
    )
    assert not await agreed(own)


async def test_a_listing_that_changed_before_the_agreement_got_into_its_block_is_told(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    wider = contract_call(Contract.PERMISSIONS, "setService", "Billing", URL, [0])
    middle.first["eth_sendRawTransaction"] = lambda: own.actor("billing").send(wider)
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 1, finished.err
    assert "but the service changed before it did: it now lists the permissions 0, not 6, 8." in finished.err
    assert finished.err.endswith("If you do not want this, revoke it now.\n")
    assert await agreed(own)


async def test_a_transaction_that_fails_in_its_block_is_told_with_its_reason(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    gone = contract_call(Contract.PERMISSIONS, "deleteService")
    middle.first["eth_sendRawTransaction"] = lambda: own.actor("billing").send(gone)
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 1
    last = finished.err.splitlines()[-1]
    assert last.startswith(f"The transaction {finished.out.strip()} failed in block ")
    assert "it changed nothing. The contract refuses: Provider has no registered Service" in last


async def test_a_transaction_that_may_have_been_sent_is_told_with_its_hash(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    """The endpoint takes it, and breaks before it answers."""
    middle.change = lambda request, answer: None if request["method"] == "eth_sendRawTransaction" else answer
    config = write_config(tmp_path, own, middle.url)

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert (finished.code, finished.out) == (1, "")
    last = finished.err.splitlines()[-1]
    assert " may have been sent, but there was no usable answer" in last
    assert "Look it up before you send anything else." in last
    assert "with --nonce 1 and a higher --max-fee-gwei" in last
    assert middle.methods().count("eth_sendRawTransaction") == 1
    transaction = re.findall("0x[0-9a-f]{64}", last)[0]
    assert await own.client.request("eth_getTransactionByHash", transaction) is not None


async def test_a_transaction_in_no_block_can_be_replaced(
    own: Deployment, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    await own.client.set_mining("manual")
    config = write_config(tmp_path, own)
    arguments = (*CREATE, "--config", config, "--key-file", cpo, "--yes", "--timeout", "1")

    first = await calling(*arguments, "--max-fee-gwei", "2.1")
    same = await calling(*arguments, "--max-fee-gwei", "2.1", "--nonce", "1")
    assert first.code == same.code == 1
    assert "is in no block after 1 s. It may still get into one. Look it up" in first.err
    assert "did not take the transaction: already known" in same.err

    beside = await calling(*arguments)
    assert "1 earlier transactions of this account are in no block yet; it comes after them." in beside.err


async def test_no_trouble_with_an_endpoint_shows_its_url(
    own: Deployment, middle: Between, calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    config = write_config(tmp_path, own, middle.url)
    said = []
    for method in ("eth_chainId", "eth_call", "eth_estimateGas", "eth_gasPrice", "eth_getBalance"):

        def cut(request: Item, answer: Item, method: str = method) -> Item | None:
            return None if request["method"] == method else answer

        middle.change = cut
        finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")
        assert (finished.code, finished.out) == (1, "")
        said.append(finished.err)

    assert "secret-key" not in "".join(said)
    assert not any("Traceback" in text for text in said)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            {"code": -32015, "message": "VM execution error.", "data": f"Reverted 0x{REVERT}"},
            "The contract refuses: No Agreement made between user and provider – there is no agreement to revoke.",
        ),
        (
            {"code": 3, "message": "execution reverted", "data": f"0x{REVERT}"},
            "The contract refuses: No Agreement made between user and provider – there is no agreement to revoke.",
        ),
        (
            {"code": -32000, "message": "execution reverted: because\x1b[2J"},
            "The contract refuses: because\\x1b[2J.",
        ),
        ({"code": -32005, "message": "daily limit\x07"}, "The call fails: daily limit\\x07."),
    ],
)
async def test_every_dialect_of_refusals_is_understood(
    middle: Between, calling: Calling, config_between: Path, error: Item, told: str
) -> None:
    def refuse(request: Item, answer: Item) -> Item:
        # Only calls with a sender are ours to be tried; the others are questions.
        if request["method"] == "eth_call" and "from" in request["params"][0]:
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return answer

    middle.change = refuse

    finished = await calling(
        *CREATE, "--config", config_between, "--yes", OCN_AGENT_WALLET_KEY=WALLETS["cpo"].key.hex()
    )

    assert finished.code == 1
    assert finished.err.splitlines()[-1] == told


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_keystore_is_opened_with_its_password(own: Deployment, calling: Calling, tmp_path: Path) -> None:
    keystore, password = tmp_path / "keystore.json", tmp_path / "password"
    keystore.write_text(json.dumps(Account.encrypt(WALLETS["cpo"].key, "open sesame", iterations=2)))
    keystore.chmod(0o600)
    config = write_config(tmp_path, own)

    password.write_text("wrong")
    wrong = await calling(*CREATE, "--config", config, "--key-file", keystore, "--password-file", password, "--yes")
    password.write_text("open sesame\n")
    right = await calling(*CREATE, "--config", config, "--key-file", keystore, "--password-file", password, "--yes")

    assert (wrong.code, wrong.err.splitlines()[-1]) == (
        2, "The wallet key cannot be opened: wrong password or not a V3 keystore."
    )  # fmt: skip
    assert right.code == 0, right.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "--key-file: names {path}, which does not exist."),
        ("1234", "The wallet key is neither 64 hexadecimal digits nor a V3 keystore."),
        ("{}", "The wallet key is a keystore, but no password is given."),
        ("00" * 32, "The wallet key is not a usable private key."),
    ],
)
async def test_a_key_that_cannot_be_used_is_bad_usage(
    calling: Calling, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "my.key"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)

    finished = await calling(*CREATE, "--key-file", path, "--yes")

    assert (finished.code, finished.err) == (2, problem.format(path=path) + "\n")


async def test_without_any_key_it_is_told_where_one_may_be(calling: Calling) -> None:
    finished = await calling(*CREATE, "--yes")

    assert finished.code == 2
    assert finished.err == (
        "There is no key to sign with: give --key-file, OCN_AGENT_WALLET_KEY_FILE or OCN_AGENT_WALLET_KEY.\n"
    )


async def test_problems_of_the_chain_section_are_told_and_no_others(
    calling: Calling, tmp_path: Path, cpo: Path
) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[proxy]\nlisten = 1\n[chain]\npoll_seconds = 0\nrpc_urls = ['http://127.0.0.1:1']\n")

    finished = await calling(*CREATE, "--config", config, "--key-file", cpo, "--yes")

    assert finished.code == 2
    assert [line.split(":")[0] for line in finished.err.splitlines()] == ["chain.poll_seconds", "chain.network"]


@pytest.mark.parametrize("provider", ["0x1234", "NL-BIL", "0x" + "0" * 40])
async def test_a_provider_is_an_address_or_a_party(calling: Calling, tmp_path: Path, cpo: Path, provider: str) -> None:
    finished = await calling("agreement", "create", "--provider", provider, "--key-file", cpo, "--yes")

    assert finished.code == 2
    assert finished.err.startswith("--provider: ")
