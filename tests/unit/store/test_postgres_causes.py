"""What an operator is told about PostgreSQL: causes of ours, never the words of others, which may hold secrets."""

import errno
import inspect
import socket
import ssl

import asyncpg
import pytest

from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.store.postgres_causes import cause_of
from ocn_permission_agent.store.postgres_connection import FOREIGN, Again, Unstorable, ours, translated, understood

SECRET = "hunter2"
FOREIGN_WORDS = f'role "agent" at db.internal:5432, password {SECRET}\nDETAIL: Failing row contains ({SECRET}).'
CLASSES = sorted(
    {
        each
        for _, each in inspect.getmembers(asyncpg, inspect.isclass)
        if issubclass(each, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError))
    },
    key=lambda each: each.__name__,
)
OF_THE_SYSTEM = (
    ConnectionRefusedError(errno.ECONNREFUSED, FOREIGN_WORDS, "/run/db.internal"),
    ConnectionResetError(FOREIGN_WORDS),
    TimeoutError(FOREIGN_WORDS),
    OSError(errno.ENETUNREACH, FOREIGN_WORDS),
    OSError(FOREIGN_WORDS),
    FileNotFoundError(errno.ENOENT, FOREIGN_WORDS, "/run/db.internal"),
    socket.gaierror(socket.EAI_NONAME, FOREIGN_WORDS),
    ssl.SSLCertVerificationError(FOREIGN_WORDS),
    ssl.SSLError(FOREIGN_WORDS),
)


@pytest.mark.parametrize("error", [*(each(FOREIGN_WORDS) for each in CLASSES), *OF_THE_SYSTEM], ids=repr)
def test_foreign_words_are_never_passed_on(error: Exception) -> None:
    assert isinstance(error, FOREIGN)
    for sentence in (cause_of(error), str(ours(error, "written"))):
        assert SECRET not in sentence
        assert "db.internal" not in sentence
        assert "agent" not in sentence
        assert len(sentence.splitlines()) == 1
        assert sentence.strip() == sentence


def test_all_kinds_of_errors_were_tried() -> None:
    assert len(CLASSES) > 200


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (asyncpg.InvalidPasswordError(""), "PostgreSQL: the server refuses the password (28P01)"),
        (asyncpg.InvalidCatalogNameError(""), "PostgreSQL: there is no such database (3D000)"),
        (asyncpg.AdminShutdownError(""), "PostgreSQL: the server is being shut down, or ended this connection (57P01)"),
        (asyncpg.DiskFullError(""), "PostgreSQL: the server's disk is full (53100)"),
        (asyncpg.ConnectionDoesNotExistError(""), "PostgreSQL: the connection was lost (08003)"),
        (asyncpg.CheckViolationError(""), "PostgreSQL: one of the values breaks a rule of its table (23514)"),
        (asyncpg.PostgresError(""), "PostgreSQL: the server answers with an error (PostgresError)"),
        (asyncpg.InterfaceError(""), "the connection to PostgreSQL cannot be used (InterfaceError)"),
        (OSError(errno.ENETUNREACH, ""), "PostgreSQL cannot be reached (ENETUNREACH)"),
    ],
    ids=repr,
)
def test_the_cause_is_named_with_a_code_that_can_be_looked_up(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def test_what_callers_do_about_it_does_not_depend_on_words() -> None:
    assert isinstance(ours(asyncpg.DeadlockDetectedError(FOREIGN_WORDS), "written"), Again)
    assert isinstance(ours(asyncpg.CheckViolationError(FOREIGN_WORDS), "written"), Unstorable)
    with pytest.raises(StoreUnavailable) as told, translated("read"):
        raise TimeoutError(FOREIGN_WORDS)
    assert str(told.value) == "the store cannot be read: PostgreSQL did not answer in time"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ClientConfigurationError(FOREIGN_WORDS),
        ValueError(FOREIGN_WORDS),
        UnicodeError(FOREIGN_WORDS),
        OverflowError(FOREIGN_WORDS),
    ],
    ids=repr,
)
def test_a_url_that_is_not_understood_is_not_repeated(error: Exception) -> None:
    with pytest.raises(StoreMismatch, match=r"^store\.url cannot be used") as told, translated("opened"), understood():
        raise error
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
