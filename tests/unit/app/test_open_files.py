"""How many connections fit into how many open files."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.app.open_files import RESERVE, connections_for, files_for


@given(st.integers(min_value=RESERVE + 2, max_value=10**7))
def test_what_fits_is_never_more_than_there_is_room_for(files: int) -> None:
    assert files_for(connections_for(files)) <= files


def test_there_is_always_room_for_one() -> None:
    assert connections_for(10) == 1


def test_the_limit_is_raised_as_far_as_is_allowed_and_no_further() -> None:
    """In a process of its own: a hard limit that was lowered stays so."""
    program = (
        "import resource; from ocn_permission_agent.app.open_files import _raised\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1000))\n"
        "print(_raised(200), _raised(600), _raised(5000), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "200 600 1000 (1000, 1000)"
