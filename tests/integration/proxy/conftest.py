"""Both ways through the proxy."""

import pytest

from tests.integration.proxy import house


@pytest.fixture(params=["long", "short"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test holds whichever way its first request takes; what is not fit for the short one takes the long one."""
    monkeypatch.setattr(house, "WARM", request.param == "short")
