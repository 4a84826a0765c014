"""The list of what may differ: what the documentation says is what the code says."""

import re
from pathlib import Path

import pytest

from ocn_permission_agent.proxy.differences import TOWARDS_NODE, TOWARDS_PLATFORM, Differences

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "proxy.md").read_text()
HEADER = re.compile(r"`([A-Z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*)(?:: [\w-]+)?`")


def told(start: str, end: str) -> set[bytes]:
    """Headers that a piece of the page names."""
    return {name.lower().encode() for name in HEADER.findall(PAGE.partition(start)[2].partition(end)[0])}


def test_the_page_names_every_header_that_may_differ_and_no_other() -> None:
    assert told("Towards the node:", "Towards the platform:") == TOWARDS_NODE.left_out | TOWARDS_NODE.own
    assert told("Towards the platform:", "Both ways") == TOWARDS_PLATFORM.own
    assert TOWARDS_PLATFORM.left_out < TOWARDS_NODE.left_out, "the page says: the same"


@pytest.mark.parametrize("allowed", [TOWARDS_NODE, TOWARDS_PLATFORM])
@pytest.mark.parametrize(
    "name", [b"Authorization", b"OCPI-from-party-id", b"OCN-Signature", b"X-Request-ID", b"Content-Encoding", b"Link"]
)
def test_nothing_of_ocpi_may_differ(allowed: Differences, name: bytes) -> None:
    assert not allowed.covers(name)
    assert allowed.covers(b"CONNECTION")
