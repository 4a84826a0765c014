"""The wheel, as it would be installed: a forgotten `.sql` file or artefact shows only in production."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.compiled_tree import ROOT, build

PACKAGE = ROOT / "ocn_permission_agent"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build(folder, compiled=False)
    return next(folder.glob("*.whl"))


def test_everything_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {path for path in ours if path.endswith(".sql")}
    assert packed == ours


def test_an_unpacked_wheel_reads_its_own_data_and_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import ocn_permission_agent, ocn_permission_agent.app\n"
        "from ocn_permission_agent.sandbox.contracts import own_contracts\n"
        "from ocn_permission_agent.store.migrations import shipped_migrations\n"
        "assert all(len(shipped_migrations(dialect)) >= 2 for dialect in ('sqlite', 'postgres'))\n"
        "assert own_contracts().registry.bytecode\n"
        "print(ocn_permission_agent.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout.strip() == str(tmp_path / "ocn_permission_agent" / "__init__.py")
