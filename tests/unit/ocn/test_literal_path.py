from typing import Any

import pytest

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.literal_path import MISSING, is_verifiable, leaves_of, value_at, with_value

VALUES: dict[str, Any] = {"body": {"a": [1, {"b": "x"}, []], "n": None, "e": "", "0": "zero", "": "nameless"}}


def test_leaves_come_depth_first_without_what_is_empty() -> None:
    assert list(leaves_of(VALUES)) == [
        ("$['body']['a'][0]", 1),
        ("$['body']['a'][1]['b']", "x"),
        ("$['body']['0']", "zero"),
        ("$['body']['']", "nameless"),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$['body']['a'][1]['b']", "x"),
        ("$['body']['a']['0']", 1),
        ("$['body']['0']", "zero"),
        ("$['body'][0]", MISSING),
        ("$['body']['']", "nameless"),
        ("$['body']['n']", None),
        ("$['body']['a'][7]", MISSING),
        ("$['body']['a']['x']", MISSING),
        ("$['body']['e']['x']", MISSING),
        ("$['params']", MISSING),
    ],
)
def test_path_leads_to_its_value(path: str, value: Any) -> None:
    assert value_at(VALUES, path) == value


def test_new_value_leaves_the_old_ones_alone() -> None:
    changed = with_value(VALUES, "$['body']['a'][1]['b']", "y")
    assert value_at(changed, "$['body']['a'][1]['b']") == "y"
    assert VALUES["body"]["a"][1]["b"] == "x"


def test_missing_containers_are_made_on_the_way() -> None:
    assert with_value({}, "$['a'][0]['b']", 1) == {"a": [{"b": 1}]}
    assert with_value(VALUES, "$['body']['a'][3]", 2) != VALUES


@pytest.mark.parametrize("path", ["$['body']['a'][9]", "$['body']['a'][0]['b']", "$['body']['a']['x']", "$.body", "$"])
def test_place_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(SignatureError):
        with_value(VALUES, path, 1)


def test_only_lower_case_literal_paths_can_be_verified() -> None:
    assert is_verifiable("$['body']['a-b.c'][0]")
    assert not is_verifiable("$['body']['evseUid']")
    assert not is_verifiable("$['body']['it's']")
