"""The compiled wheel: all that it shall have, and the same behaviour where it matters most.

The whole suite is run against it by `make test-compiled`.
"""

import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from hatch_build import what_is_missing
from ocn_permission_agent.compiled import is_compiled
from tests.compiled_tree import PACKAGE, ROOT, NotCompiled, build, environ, make_tree, modules, wheel
from tests.peers.presence import missing

pytestmark = pytest.mark.skipif(is_compiled(), reason="compiled here already; making it is tested where it is not")

#: what of the suite tells most about the modules that are compiled, in a minute
MOST_TELLING = (
    "tests/unit",
    "tests/acceptance/test_transparency.py",
    "tests/integration/proxy/test_short_way.py",
    "tests/integration/proxy/test_transparency.py",
    "tests/peers/test_smuggling.py",
)
#: says of each module that it is told where it came from
_ORIGINS = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def compiler() -> None:
    lacks = what_is_missing()
    if lacks is not None:
        missing(f"the compiled modules need {lacks}")


@pytest.fixture(scope="module")
def tree(compiler: None) -> Path:
    return make_tree()


def test_every_module_that_shall_be_compiled_is_there_and_is_not_compiled_here() -> None:
    origins = {name: spec and spec.origin for name in modules() for spec in [find_spec(name)]}
    assert origins == {name: str(ROOT / f"{name.replace('.', '/')}.py") for name in modules()}
    assert modules() == sorted(set(modules()))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("compiler")
def test_compiled_wheel_has_an_extension_for_each_of_them_and_all_sources() -> None:
    with zipfile.ZipFile(wheel()) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    extensions = {name for name in packed if name.endswith(".so")}
    assert {name.partition(".")[0].replace("/", ".") for name in extensions} == {*modules(), f"{PACKAGE}__mypyc"}
    assert packed - extensions == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not wheel().name.endswith("-none-any.whl")


@pytest.mark.timeout(300)
def test_every_one_of_them_runs_compiled(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ORIGINS, *modules()], cwd=tree, env=environ(), capture_output=True, check=True
    )
    origins = json.loads(done.stdout)
    assert [name for name in modules() if not origins[name].endswith(".so")] == []
    assert all(origin.startswith(str(tree)) for origin in origins.values())


@pytest.mark.timeout(60)
def test_whoever_asks_for_it_without_a_compiler_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotCompiled, match="a compiled wheel needs a C compiler"):
        build(tmp_path, compiled=True, environ={"CC": "no-such-compiler"})


@pytest.mark.timeout(60)
def test_whoever_does_not_ask_needs_none(tmp_path: Path) -> None:
    build(tmp_path, compiled=False, environ={"CC": "no-such-compiler"})
    assert [path.name.endswith("-none-any.whl") for path in tmp_path.iterdir()] == [True]


@pytest.mark.timeout(600)
def test_compiled_modules_do_as_their_sources(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not nightly", "-p", "no:cacheprovider", *MOST_TELLING],
        cwd=tree,
        env=environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
