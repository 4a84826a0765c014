"""A folder with a good configuration, to be spoiled by tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ocn_permission_agent.config import Config, load
from ocn_permission_agent.errors import ConfigError

GOOD = """
[proxy]
public_url = "https://node.example"
[node]
url = "http://127.0.0.1:8081"
[operator]
key_file = "operator.key"
[chain]
network = "volta"
rpc_urls = ["https://rpc.example"]
"""
KEY = "1f" * 32

Loading = Callable[..., Config]
Complaining = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key = tmp_path / "operator.key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    (tmp_path / "agent.toml").write_text(GOOD)
    return tmp_path


def written(added: dict[str, str]) -> str:
    """The good configuration with lines added to its sections."""
    toml = GOOD
    for section, lines in added.items():
        header = f"[{section}]"
        toml = toml.replace(header, f"{header}\n{lines}") if header in toml else f"{toml}\n{header}\n{lines}\n"
    return toml


@pytest.fixture
def loading(folder: Path) -> Loading:
    """Load the good configuration with lines added to sections, or another text, under an environment."""

    def loaded(added: dict[str, str] | None = None, *, toml: str | None = None, **environ: str) -> Config:
        (folder / "agent.toml").write_text(written(added or {}) if toml is None else toml)
        return load(folder / "agent.toml", environ=environ)

    return loaded


@pytest.fixture
def complaining(loading: Loading) -> Complaining:
    """Load what must be refused; gives the problems."""

    def problems(added: dict[str, str] | None = None, *, toml: str | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as refused:
            loading(added, toml=toml, **environ)
        return refused.value.problems

    return problems
