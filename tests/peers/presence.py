"""What to do when the software to compare with is not on this machine."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test with the reason, or fail it when REQUIRE_ALL=1 says that nothing may be left out."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{what}, and REQUIRE_ALL=1 is set")
    pytest.skip(what)
