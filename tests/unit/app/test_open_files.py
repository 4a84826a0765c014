"""How many connections fit into how many open files."""

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.app.open_files import RESERVE, connections_for, files_for


@given(st.integers(min_value=RESERVE + 2, max_value=10**7))
def test_what_fits_is_never_more_than_there_is_room_for(files: int) -> None:
    assert files_for(connections_for(files)) <= files


def test_there_is_always_room_for_one() -> None:
    assert connections_for(10) == 1
