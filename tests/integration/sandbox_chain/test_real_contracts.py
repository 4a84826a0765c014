"""The published bytecode is used as published or not at all."""

from pathlib import Path

import pytest

from tests.npm_cache import NpmMissing
from tests.real_contracts import TARBALL, real_contracts, real_contracts_or_skip


def test_another_package_in_the_cache_is_an_error_and_no_skip(tmp_path: Path) -> None:
    (tmp_path / TARBALL).write_bytes(b"something else")
    with pytest.raises(ValueError, match="not the published"):
        real_contracts_or_skip(tmp_path)


def test_without_npm_the_test_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="npm is not installed"):
        real_contracts_or_skip(tmp_path)


def test_without_npm_the_test_fails_where_all_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(NpmMissing):
        real_contracts_or_skip(tmp_path)


def test_the_published_package_holds_both_contracts() -> None:
    real_contracts_or_skip()
    codes = real_contracts()
    assert (len(codes.registry.bytecode), len(codes.permissions.bytecode)) == (22356, 15405)
