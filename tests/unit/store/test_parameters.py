import pytest

from ocn_permission_agent.store.parameters import numbered


def test_names_are_numbered_by_where_they_appear_first() -> None:
    statement = numbered("UPDATE t SET a = :new WHERE a = :old AND b > :new")
    assert statement.sql == "UPDATE t SET a = $1 WHERE a = $2 AND b > $1"
    assert statement.values({"old": 1, "new": 2, "unused": 3}) == (2, 1)


def test_casts_literals_and_comments_are_left_alone() -> None:
    sql = "SELECT ':a', 'it''s :b', x::text -- of :c\nFROM t WHERE y = :y::bigint"
    assert numbered(sql).sql == sql.replace(":y::bigint", "$1::bigint")


def test_values_in_order_go_through_as_they_are() -> None:
    assert numbered("SELECT $1, $2").values((7, b"x")) == (7, b"x")


def test_a_missing_value_is_told() -> None:
    with pytest.raises(KeyError, match="old"):
        numbered("SELECT :old").values({})


@pytest.mark.parametrize(
    ("sql", "gives_rows"),
    [
        ("-- why\nSELECT 1", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("INSERT INTO t VALUES (1) RETURNING id", True),
        ("INSERT INTO t SELECT 1", False),
        ("-- returning nothing\nDELETE FROM t", False),
    ],
)
def test_it_is_known_what_gives_rows(sql: str, gives_rows: bool) -> None:
    assert numbered(sql).gives_rows is gives_rows
