import pytest

from ocn_permission_agent.store.migrations import shipped_migrations
from ocn_permission_agent.store.sqlite_migrations import split_statements
from ocn_permission_agent.store.statements import parse_statements


def test_each_block_is_found_under_its_name() -> None:
    statements = parse_statements("-- of the shop\n-- name: open\nSELECT 1;\n\n-- name: shut\n-- why\nSELECT 2;\n")
    assert dict(statements) == {"open": "SELECT 1;", "shut": "-- why\nSELECT 2;"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;\n-- name: a\nSELECT 1;", "before the first"),
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "two statements are named a"),
        ("-- name: a\n-- nothing\n-- name: b\nSELECT 2;", "a is empty"),
    ],
)
def test_a_muddled_file_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_statements(text)


def test_a_script_is_split_where_its_statements_end() -> None:
    script = (
        "-- a table; with a semicolon in its comment\nCREATE TABLE a (t TEXT DEFAULT ';');\n"
        "CREATE TRIGGER b AFTER INSERT ON a BEGIN\n SELECT 1;\n SELECT 2;\nEND;\n-- the end\n"
    )
    first, second = split_statements(script)
    assert first.endswith("(t TEXT DEFAULT ';');\n")
    assert second.startswith("CREATE TRIGGER")
    assert second.endswith("END;\n")


def test_a_script_that_breaks_off_is_refused() -> None:
    with pytest.raises(ValueError, match="does not end"):
        list(split_statements("CREATE TABLE a (t TEXT)"))


def test_the_shipped_migrations_are_numbered_without_a_gap_and_alike_in_both_dialects() -> None:
    steps = [(migration.number, migration.name) for migration in shipped_migrations("sqlite")]
    assert [number for number, _ in steps] == list(range(1, len(steps) + 1))
    assert steps
    assert [(migration.number, migration.name) for migration in shipped_migrations("postgres")] == steps
