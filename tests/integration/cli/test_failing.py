"""Whatever ends a command becomes sentences and one exit code."""

import errno

import pytest

from ocn_permission_agent.cli.failing import CommandFailed, tell
from ocn_permission_agent.errors import ChainUnavailable, ConfigError, ContractMismatch, StoreMismatch, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed("No such thing."), 1),
        (ChainUnavailable("No endpoint answers."), 1),
        (StoreUnavailable("The store is in use."), 1),
        (StoreMismatch("The store is another chain's."), 2),
        (ContractMismatch("This is not chain 246."), 2),
        (ConfigError(["admin.listen: is in use."]), 2),
    ],
)
def test_an_error_is_told_in_its_own_words(capsys: pytest.CaptureFixture[str], error: Exception, code: int) -> None:
    assert tell(error) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_errors_of_several_tasks_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    inner = ExceptionGroup("tasks", [ConfigError(["one.", "two."]), StoreUnavailable("three.")])

    assert tell(ExceptionGroup("tasks", [inner])) == 2
    assert capsys.readouterr().err == "one.\ntwo.\nthree.\n"


def test_a_port_in_use_is_bad_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(OSError(errno.EADDRINUSE, "address 127.0.0.1:8080 already in use")) == 2
    assert capsys.readouterr().err == "Cannot listen: address 127.0.0.1:8080 already in use.\n"


def test_what_nobody_expected_is_told_by_its_kind_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(RuntimeError("with Token abcdef inside")) == 1
    assert capsys.readouterr().err.endswith(
        "Something unexpected went wrong (RuntimeError); the log line above tells where.\n"
    )
