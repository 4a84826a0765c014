"""`config/agent.example.toml` is the reference: it and the code say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from ocn_permission_agent.config import load
from ocn_permission_agent.config.evaluate import evaluate
from ocn_permission_agent.config.keys import KEYS, REQUIRED, Key, service_keys
from ocn_permission_agent.config.source import collect

EXAMPLE = Path(__file__).parents[3] / "config" / "agent.example.toml"
#: these have no default, and the example must hold something
FREE = {"chain.network"}
ALL = (*KEYS, *service_keys("DE*PAY"))


def uncommented() -> str:
    """The example with every default written out; keys of secrets, which name no file by default, stay comments."""
    return re.sub(r'^#(?=\[|\w+ = )(?!\w+_file = "")', "", EXAMPLE.read_text(), flags=re.MULTILINE)


def test_the_example_names_every_key_and_no_other() -> None:
    document = tomllib.loads(re.sub(r"^#(?=\[|\w+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    sources = collect(document, {})

    assert sources.problems == ()
    assert set(sources.given) == {key.path for key in ALL}


def test_the_defaults_of_the_example_are_those_of_the_code(tmp_path: Path) -> None:
    followed = r'^url = ""\n|^max_rate = 20\n(?=\n# Pauses)|^schedule_seconds = .*\n(?=\n# The service)'
    text = re.sub(followed, "", uncommented(), flags=re.MULTILINE)
    (tmp_path / "operator.key").write_text("1f" * 32)
    evaluated = evaluate(collect(tomllib.loads(text), {}), folder=tmp_path)

    assert evaluated.problems == ()
    for key in ALL:
        if key.default is not REQUIRED and key.path not in FREE:
            assert evaluated.values[key.path] == key.default, key.path


def test_the_example_as_it_is_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(EXAMPLE.read_text())
    (tmp_path / "operator.key").write_text("1f" * 32)

    assert load(tmp_path / "agent.toml", environ={}).public_url == "https://node.example"


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.path)
def test_every_key_of_the_example_is_explained(key: Key) -> None:
    name = key.file_name
    paragraphs = EXAMPLE.read_text().split("\n\n")
    explained = [each for each in paragraphs if re.search(rf"^#?{name} = ", each, re.MULTILINE)]

    assert all(re.search(r"^# \S", each, re.MULTILINE) for each in explained)
    assert explained
