"""The real Registry and Permissions bytecode, from the npm package that the OCN published.

    python -m tests.real_contracts        # fetches it once into .cache/npm, which git ignores

The tarball is checked against its sha512 before anything in it is read, so a cache or a registry that serves something
else is an error, never a skipped test. Nothing of the package is committed: it is only run.
"""

import io
import os
import sys
import tarfile
from pathlib import Path

import orjson
import pytest

from ocn_permission_agent.sandbox.contracts import ContractCodes, read_codes
from tests.npm_cache import CACHE, NpmMissing, tarball_of

PACKAGE = "@shareandcharge/ocn-registry@1.2.1"
INTEGRITY = "D63QIettwBSeigTjUMN4/E9OnWIrSaPHTH4q4MPTqwzkHeyG9z94CI2A6jxZzRlKYG7MwRbjoGgJte3/Xlto9A=="
TARBALL = "shareandcharge-ocn-registry-1.2.1.tgz"
DEFINITIONS = "package/contract.defs.local.json"


def real_contracts(cache: Path = CACHE) -> ContractCodes:
    """The real contracts, fetched when the cache has none.

    Raises:
        NpmMissing: not cached and npm cannot fetch it.
        ValueError: what is cached or was fetched is not the published package.
    """
    content = tarball_of(PACKAGE, name=TARBALL, integrity=INTEGRITY, cache=cache)
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
    except NpmMissing as missing:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"the real contracts are not here: {missing}")


if __name__ == "__main__":
    codes = real_contracts()
    sys.stdout.write(f"{PACKAGE}: {len(codes.registry.bytecode)} + {len(codes.permissions.bytecode)} bytes\n")
