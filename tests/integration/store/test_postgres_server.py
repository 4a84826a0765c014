"""The tests' own servers: what a run that was killed left behind is gone with the next."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compiled_tree import ROOT
from tests.postgres_server import remove_what_dead_runs_left

#: makes a server below the folder it is told, tells where, and waits to be killed
_RUN = """
import signal, sys
from tests.postgres_server import postgres_server
with postgres_server(disk=sys.argv[1]) as server:
    print(server.process.pid, server.folder, flush=True)
    signal.pause()
"""


def test_servers_of_a_run_that_was_killed_are_stopped_and_their_files_removed() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)  # for the user as whom PostgreSQL runs
        with subprocess.Popen([sys.executable, "-c", _RUN, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            process_id, folder = run.stdout.readline().split()
            remove_what_dead_runs_left(place)
            assert Path(folder).is_dir(), "its owner is alive"
            run.kill()
        remove_what_dead_runs_left(place)
        assert list(place.iterdir()) == []
        assert not _is_alive(int(process_id))


def _is_alive(process_id: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{process_id}/cmdline").read_text()
    except OSError:
        return False
