from ocn_permission_agent.store.postgres_server import objection

GOOD = {
    "version": 140_000,
    "version_name": "14.0",
    "encoding": "UTF8",
    "synchronous_commit": "remote_apply",
    "fsync": "on",
}


def test_a_server_that_keeps_what_it_acknowledges_is_taken() -> None:
    assert objection(GOOD, read_only=False) is None
    assert objection(GOOD | {"synchronous_commit": "local"}, read_only=False) is None


def test_an_old_one_or_one_that_cannot_hold_every_text_is_not() -> None:
    old = objection(GOOD | {"version": 130_021, "version_name": "13.21"}, read_only=True)
    assert old == "PostgreSQL 13.21 is too old: 14 or later is needed"
    assert "LATIN1" in (objection(GOOD | {"encoding": "LATIN1"}, read_only=True) or "")


def test_a_careless_one_is_good_enough_for_looking_only() -> None:
    for setting in ("synchronous_commit", "fsync"):
        assert f"{setting} is off" in (objection(GOOD | {setting: "off"}, read_only=False) or "")
        assert objection(GOOD | {setting: "off"}, read_only=True) is None
