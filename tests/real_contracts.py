"""The real Registry and Permissions bytecode, from the npm package that the OCN published.

    python -m tests.real_contracts        # fetches it once into .cache/npm, which git ignores

The tarball is checked against its sha512 before anything in it is read, so a cache or a registry that serves something
else is an error, never a skipped test. Nothing of the package is committed: it is only run.
"""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import orjson
import pytest

from ocn_permission_agent.sandbox.contracts import ContractCodes, read_codes

PACKAGE = "@shareandcharge/ocn-registry@1.2.1"
INTEGRITY = "D63QIettwBSeigTjUMN4/E9OnWIrSaPHTH4q4MPTqwzkHeyG9z94CI2A6jxZzRlKYG7MwRbjoGgJte3/Xlto9A=="
TARBALL = "shareandcharge-ocn-registry-1.2.1.tgz"
DEFINITIONS = "package/contract.defs.local.json"
CACHE = Path(__file__).parent.parent / ".cache" / "npm"
NPM_LIMIT_SECONDS = 90


class RealContractsMissing(Exception):
    """npm is not here or cannot reach its registry."""


def real_contracts(cache: Path = CACHE) -> ContractCodes:
    """The real contracts, fetched when the cache has none.

    Raises:
        RealContractsMissing: not cached and npm cannot fetch it.
        ValueError: what is cached or was fetched is not the published package.
    """
    tarball = cache / TARBALL
    if not tarball.exists():
        _fetch(cache)
    content = tarball.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != INTEGRITY:
        raise ValueError(f"{tarball} has sha512-{found}, which is not the published {PACKAGE}: delete it")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile(DEFINITIONS)
        if member is None:
            raise ValueError(f"{PACKAGE} has no {DEFINITIONS}")
        with member:
            return read_codes(orjson.loads(member.read()))


def real_contracts_or_skip(cache: Path = CACHE) -> ContractCodes:
    """As `real_contracts`; without npm the test is skipped, or fails when REQUIRE_ALL=1 is in the environment."""
    try:
        return real_contracts(cache)
    except RealContractsMissing as missing:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"the real contracts are not here: {missing}")


def _fetch(cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RealContractsMissing("npm is not installed, and only npm has the package")
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(cache)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=NPM_LIMIT_SECONDS, cwd=cache)
    except subprocess.TimeoutExpired as error:
        raise RealContractsMissing(f"npm pack gave no answer in {NPM_LIMIT_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RealContractsMissing(f"npm pack failed: {' '.join(last)}") from error


if __name__ == "__main__":
    codes = real_contracts()
    sys.stdout.write(f"{PACKAGE}: {len(codes.registry.bytecode)} + {len(codes.permissions.bytecode)} bytes\n")
