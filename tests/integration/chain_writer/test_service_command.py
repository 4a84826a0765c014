"""`service set|delete`, on our contracts and on the real ones."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chain_fixtures import Deployment
from tests.integration.chain_writer.conftest import key_file, listed, write_config

Calling = Callable[..., Awaitable[Any]]


@pytest.fixture
def to_chain(chain: Deployment, tmp_path: Path) -> list[str]:
    """What every call of a provider needs."""
    config, key = write_config(tmp_path, chain), key_file(tmp_path, "billing")
    return ["--config", str(config), "--key-file", str(key), "--yes"]


async def test_a_service_is_listed_and_changed(chain: Deployment, calling: Calling, to_chain: list[str]) -> None:
    finished = await calling(
        "service",
        "set",
        "--name",
        "Ladesäule ⚡",
        "--url",
        "https://b.example/terms",
        "--permissions",
        "6, 4",
        *to_chain,
    )

    assert finished.code == 0, finished.err
    assert await listed(chain) == ("Ladesäule ⚡".encode(), b"https://b.example/terms", (6, 4))
    said = finished.err.splitlines()
    assert "   4  locations, receiver interface" in said
    assert 'Until now it is "Billing", https://billing.example with the permissions 6, 8.' in said
    assert any(line.startswith("It becomes wider: ") for line in said)
    assert any(line.startswith("It becomes narrower: ") for line in said)


async def test_a_service_is_deleted(chain: Deployment, calling: Calling, to_chain: list[str]) -> None:
    finished = await calling("service", "delete", *to_chain)
    assert finished.code == 0, finished.err
    assert await listed(chain) == (b"", b"", ())
    assert "All agreements with it end for good" in finished.err

    again = await calling("service", "delete", *to_chain)
    assert (again.code, again.out) == (1, "")
    assert again.err.endswith(
        "The contract refuses: Cannot delete service that does not exist – the address of this key lists no service.\n"
    )


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (("", "https://b", "6"), "The name is empty; a listing without name and url cannot be told from a deletion."),
        (("B", " ", "6"), "The url is empty; a listing without name and url cannot be told from a deletion."),
        (("B\nC", "https://b", "6"), "The name holds control or other invisible characters."),
        (("ä" * 33, "https://b", "6"), "The name is 66 bytes long; 64 is the most."),
        (("B", "https://b", "6,17"), "There is no permission 17: 0 to 16 are known."),
        (("B", "https://b", "6,8,6"), "Listed more than once: 6."),
        (("B", "https://b", ","), "There are no permissions; the contract takes a listing without any for a deletion."),
    ],
)
async def test_what_must_not_be_listed_is_bad_usage(
    calling: Calling, service: tuple[str, str, str], problem: str
) -> None:
    name, url, permissions = service
    finished = await calling("service", "set", "--name", name, "--url", url, "--permissions", permissions, "--yes")

    assert (finished.code, finished.out, finished.err) == (2, "", f"{problem}\n")


@pytest.mark.parametrize("permissions", ["six", "-1", "6;8", "1.5"])
async def test_permissions_are_numbers(calling: Calling, permissions: str) -> None:
    finished = await calling("service", "set", "--name", "B", "--url", "u", "--permissions", permissions, "--yes")

    assert finished.code == 2
    assert "must be numbers with commas between them" in finished.err


async def test_a_deletion_is_never_signed_for_others(calling: Calling) -> None:
    finished = await calling("service", "delete", "--raw", "--yes")

    assert finished.code == 2
    assert "whoever sees that signature can also unregister your party" in finished.err
