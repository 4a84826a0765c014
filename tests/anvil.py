"""anvil, the fast local chain of Foundry, from its npm package: for reorganisations and volume.

    python -m tests.anvil        # fetches it once into .cache/npm, which git ignores

Only the binary inside the tarball is used; it is checked against the published sha512 before it is unpacked.
"""

import base64
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real_contracts import CACHE, NPM_LIMIT_SECONDS

PACKAGE = "@foundry-rs/anvil-linux-amd64@1.7.1"
INTEGRITY = "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
TARBALL = "foundry-rs-anvil-linux-amd64-1.7.1.tgz"
MEMBER = "package/bin/anvil"


class AnvilMissing(Exception):
    """Not for this machine, or npm is not here or cannot reach its registry."""


def anvil_binary(cache: Path = CACHE) -> Path:
    """The program, fetched and unpacked when the cache has none.

    Raises:
        AnvilMissing: it cannot be had here.
        ValueError: what is cached or was fetched is not the published package.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise AnvilMissing("this test knows the package for Linux on x86-64 only")
    tarball, binary = cache / TARBALL, cache / "anvil-1.7.1"
    if not tarball.exists():
        _fetch(cache)
    content = tarball.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        raise ValueError(f"{tarball} is not the published {PACKAGE}: delete it")
    if not binary.exists():
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise ValueError(f"{PACKAGE} has no {MEMBER}")
            with member:
                fresh = binary.with_suffix(f".{os.getpid()}")
                fresh.write_bytes(member.read())
        fresh.chmod(0o755)
        fresh.rename(binary)
    return binary


def _fetch(cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise AnvilMissing("npm is not installed, and only npm has the package")
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(cache)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=NPM_LIMIT_SECONDS, cwd=cache)
    except subprocess.TimeoutExpired as error:
        raise AnvilMissing(f"npm pack gave no answer in {NPM_LIMIT_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise AnvilMissing(f"npm pack failed: {' '.join(last)}") from error


def anvil_or_skip() -> Path:
    """As `anvil_binary`; where it cannot be had the test is skipped, or fails when REQUIRE_ALL=1."""
    try:
        return anvil_binary()
    except AnvilMissing as missing:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"anvil is not here: {missing}")


@contextmanager
def running_anvil(chain_id: int) -> Iterator[str]:
    """A chain on loopback that mines a block per transaction, by the rules of the Energy Web Chain; its URL."""
    command = [str(anvil_or_skip()), "--hardfork", "london", "--chain-id", str(chain_id), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "Listening on" in line:
                    # It stops when nobody reads what it tells of every call.
                    threading.Thread(target=process.stdout.read, daemon=True).start()
                    yield f"http://{line.split()[-1]}"
                    return
            raise RuntimeError("anvil ended before it served")
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.stdout.write(f"{anvil_binary()}\n")
