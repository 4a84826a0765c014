"""A store that was put back from a backup is noticed by its number."""

from pathlib import Path

import pytest

from ocn_permission_agent.outbox.generation import (
    Beginning,
    Beside,
    StoredGeneration,
    beginning,
    read_beside,
    write_beside,
)


def stored(number: int, *eras: str, is_backup: bool = False) -> StoredGeneration:
    return StoredGeneration(number=number, is_backup=is_backup, last_used=None, eras=eras)


@pytest.mark.parametrize(
    ("store", "beside", "found"),
    [
        (stored(0), 0, Beginning(number=1, restored=False)),
        (stored(7), 7, Beginning(number=8, restored=False)),
        # died between raising the one and the other
        (stored(8), 7, Beginning(number=9, restored=False)),
        # the file was lost, or the store moved to another machine without it
        (stored(8), 0, Beginning(number=9, restored=False)),
        (stored(6), 7, Beginning(number=8, restored=True)),
        # an empty store where one has been
        (stored(0), 7, Beginning(number=8, restored=True)),
        (stored(7, is_backup=True), 7, Beginning(number=8, restored=True)),
        (stored(7, is_backup=True), 0, Beginning(number=8, restored=True)),
    ],
)
def test_a_number_lower_than_the_files_is_an_older_store(
    store: StoredGeneration, beside: int, found: Beginning
) -> None:
    assert beginning(store, Beside(number=beside)) == found


@pytest.mark.parametrize(
    ("store", "beside", "restored"),
    [
        (stored(9, "b"), Beside(number=9, era="b"), False),
        (stored(8, "b"), Beside(number=9, era="b"), True),
        # another agent has met the restore, and ours is still of the era before
        (stored(8, "b"), Beside(number=12, era=""), False),
        (stored(8, "b", "c"), Beside(number=12, era="b"), False),
        # put back once more, to before an era that this agent has lived in
        (stored(20), Beside(number=9, era="b"), True),
        (stored(20, "b"), Beside(number=9, era="c"), True),
        # the file is gone, or has never been
        (stored(20, "b"), Beside(), False),
    ],
)
def test_a_restore_is_met_once_by_all_agents(store: StoredGeneration, beside: Beside, restored: bool) -> None:
    found = beginning(store, beside)
    assert found.restored is restored
    assert found.number > max(store.number, beside.number)


@pytest.mark.parametrize("era", ["", "0a1b"])
def test_the_number_survives_in_its_file(tmp_path: Path, era: str) -> None:
    path = tmp_path / "agent.db.generation"
    assert read_beside(path) == Beside()
    write_beside(path, Beside(number=41))
    write_beside(path, Beside(number=42, era=era))
    assert read_beside(path) == Beside(number=42, era=era)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xfe"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "number").write_bytes(content)
    assert read_beside(tmp_path / "number") == Beside()
