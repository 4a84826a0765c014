"""anvil, the fast local chain of Foundry, from its npm package: for reorganisations and volume.

    python -m tests.anvil        # fetches it once into .cache/npm, which git ignores

Only the binary inside the tarball is used; it is checked against the published sha512 before it is unpacked.
"""

import io
import os
import platform
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.npm_cache import CACHE, NpmMissing, tarball_of

PACKAGE = "@foundry-rs/anvil-linux-amd64@1.7.1"
INTEGRITY = "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
TARBALL = "foundry-rs-anvil-linux-amd64-1.7.1.tgz"
MEMBER = "package/bin/anvil"


def anvil_binary(cache: Path = CACHE) -> Path:
    """The program, fetched and unpacked when the cache has none.

    Raises:
        NpmMissing: it cannot be had here.
        ValueError: what is cached or was fetched is not the published package.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NpmMissing("this test knows the package for Linux on x86-64 only")
    binary = cache / "anvil-1.7.1"
    content = tarball_of(PACKAGE, name=TARBALL, integrity=INTEGRITY, cache=cache)
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


def anvil_or_skip() -> Path:
    """As `anvil_binary`; where it cannot be had the test is skipped, or fails when REQUIRE_ALL=1."""
    try:
        return anvil_binary()
    except NpmMissing as missing:
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
