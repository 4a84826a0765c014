"""A store that was put back from a backup is noticed by its number."""

from pathlib import Path

import pytest

from ocn_permission_agent.outbox.generation import Beginning, StoredGeneration, beginning, read_number, write_number


def stored(number: int, *, is_backup: bool = False) -> StoredGeneration:
    return StoredGeneration(number=number, is_backup=is_backup, last_used=None)


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
    assert beginning(store, beside) == found


def test_the_number_survives_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.db.generation"
    assert read_number(path) == 0
    write_number(path, 41)
    write_number(path, 42)
    assert read_number(path) == 42
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xfe"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "number").write_bytes(content)
    assert read_number(tmp_path / "number") == 0
