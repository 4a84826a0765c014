"""What tests take from npm: fetched once into .cache/npm, which git ignores, by one process at a time."""

import base64
import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache" / "npm"
LIMIT_SECONDS = 90


class NpmMissing(Exception):
    """npm is not here or cannot reach its registry."""


@contextmanager
def alone_in(cache: Path) -> Iterator[None]:
    """Keep other processes that fill the same cache waiting."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tarball_of(package: str, *, name: str, integrity: str, cache: Path = CACHE) -> bytes:
    """The content of a package's tarball, fetched when the cache has none.

    Args:
        package: ``@scope/name@1.2.3``.
        name: of the file that ``npm pack`` makes.
        integrity: its sha512 in base64, without the prefix.
        cache: where it is kept.

    Raises:
        NpmMissing: not cached and npm cannot fetch it.
        ValueError: what is cached or was fetched is not the published package.
    """
    tarball = cache / name
    if not tarball.exists():
        with alone_in(cache):
            if not tarball.exists():
                _pack(package, cache)
    content = tarball.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != integrity:
        raise ValueError(f"{tarball} has sha512-{found}, which is not the published {package}: delete it")
    return content


def run_npm(*words: str, folder: Path) -> None:
    """Run npm in a folder.

    Raises:
        NpmMissing: it is not here, failed, or took too long.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NpmMissing("npm is not installed")
    try:
        subprocess.run([npm, *words], check=True, capture_output=True, timeout=LIMIT_SECONDS, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise NpmMissing(f"npm {words[0]} gave no answer in {LIMIT_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise NpmMissing(f"npm {words[0]} failed: {' '.join(last)}") from error


def _pack(package: str, cache: Path) -> None:
    """Pack elsewhere and move: who reads the cache without its lock sees a whole file or none."""
    fresh = cache / "packing"
    fresh.mkdir(exist_ok=True)
    run_npm("pack", package, "--ignore-scripts", "--silent", "--pack-destination", str(fresh), folder=cache)
    for tarball in fresh.iterdir():
        tarball.rename(cache / tarball.name)
    fresh.rmdir()
