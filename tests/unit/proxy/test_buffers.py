"""The memory that bodies may hold together."""

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.proxy.buffers import Budget


def test_share_gives_back_what_it_took() -> None:
    budget = Budget(10)
    share = budget.share()
    assert share.take(7)
    assert not share.take(4)
    assert share.free_bytes == 3
    share.give_back()
    assert budget.free_bytes == 10
    share.give_back()
    assert budget.free_bytes == 10


@given(st.lists(st.integers(min_value=0, max_value=100), max_size=30))
def test_never_more_than_the_total_is_held(sizes: list[int]) -> None:
    budget = Budget(150)
    shares = budget.share(), budget.share()
    held = sum(size for index, size in enumerate(sizes) if shares[index % 2].take(size))
    assert held == 150 - budget.free_bytes <= 150
    for share in shares:
        share.give_back()
    assert budget.free_bytes == 150
