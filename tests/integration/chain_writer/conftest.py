"""The writing commands, called in this process, against our own contracts and the real bytecode."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocn_permission_agent.cli.main import main
from ocn_permission_agent.sandbox.chain.actors import deploy
from ocn_permission_agent.sandbox.chain.calls import Contract
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.chain_fixtures import WALLETS, Deployment, chain_client, sandbox_chain  # noqa: F401
from tests.chain_harness import furnish
from tests.real_contracts import real_contracts_or_skip

CONFIG = """
[chain]
rpc_urls = {urls}
chain_id = {chain_id}
registry = "{registry}"
permissions = "{permissions}"
confirmations = 2
poll_seconds = 0.05
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    code: int
    out: str
    err: str


Calling = Callable[..., Awaitable[Finished]]


@pytest.fixture(params=["own", "real"])
async def chain(request: pytest.FixtureRequest, chain_client: ChainClient) -> Deployment:  # noqa: F811
    """Both contracts, with two nodes, two customers and a billing service; a block every 20 ms from now on."""
    codes = real_contracts_or_skip() if request.param == "real" else None
    return await furnished(chain_client, codes)


@pytest.fixture
async def own(chain_client: ChainClient) -> Deployment:  # noqa: F811
    """As `chain`, our own contracts only: for what no contract decides."""
    return await furnished(chain_client, None)


async def furnished(client: ChainClient, codes: object) -> Deployment:
    contracts = await deploy(client, WALLETS["deployer"], codes)  # type: ignore[arg-type]
    deployment = Deployment(url=client.url, client=client, contracts=contracts)
    await furnish(deployment)
    await client.set_mining("interval", 0.02)
    return deployment


def write_config(folder: Path, deployment: Deployment, *urls: str, **changed: object) -> Path:
    """A configuration of nothing but the chain."""
    values = {
        "urls": list(urls or (deployment.url,)),
        "chain_id": deployment.contracts.chain_id,
        "registry": deployment.contracts.registry,
        "permissions": deployment.contracts.permissions,
    } | changed
    file = folder / "chain.toml"
    file.write_text(CONFIG.format(**values).replace("'", '"'))
    return file


def key_file(folder: Path, name: str) -> Path:
    file = folder / f"{name}.key"
    file.write_text(WALLETS[name].key.hex())
    file.chmod(0o600)
    return file


async def agreed(deployment: Deployment, customer: str = "cpo", provider: str = "billing") -> bool:
    """What the contract says."""
    (found,) = await deployment.contracts.read(
        deployment.client,
        Contract.PERMISSIONS,
        "hasUserAgreementByAddress",
        WALLETS[customer].address,
        WALLETS[provider].address,
    )
    return bool(found)


async def listed(deployment: Deployment, provider: str = "billing") -> tuple[bytes, bytes, tuple[int, ...]]:
    """Name, url and permissions as the contract has them."""
    found = await deployment.contracts.read(
        deployment.client, Contract.PERMISSIONS, "getService", WALLETS[provider].address
    )
    return found[2], found[3], tuple(found[4])


@pytest.fixture
def calling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calling:
    async def call(*arguments: str | Path, **environ: str) -> Finished:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = await asyncio.to_thread(_exit_code, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(code=code, out=captured.out, err=captured.err)

    return call


def _exit_code(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as left:
        return int(left.code or 0)
