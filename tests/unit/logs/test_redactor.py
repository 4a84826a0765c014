"""No secret reaches a log line, however it gets there."""

import base64

import pytest

from ocn_permission_agent.hiding import REDACTED
from ocn_permission_agent.redactor import Redactor

TRANSACTION = "0x" + "ab" * 32


def redacted(**fields: object) -> dict[str, object]:
    redactor = Redactor({"s3cret-token", "1f" * 32})
    return dict(redactor(None, "info", dict(fields)))


@pytest.mark.parametrize(
    "field",
    ["token", "Authorization", "key", "password", "secret", "admin_token", "body", "signature", "OCN-Signature"],
)
def test_a_field_with_a_telling_name_is_never_shown(field: str) -> None:
    assert redacted(**{field: "anything"}) == {field: REDACTED}


def test_a_field_inside_another_is_never_shown() -> None:
    assert redacted(headers={"Authorization": "Token abc", "Host": "x"}) == {
        "headers": {"Authorization": REDACTED, "Host": "x"}
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("got 'Authorization: Token abcdef' from x", f"got 'Authorization: {REDACTED}' from x"),
        (r"b'Authorization: Token abcdef\r\n'", rf"b'Authorization: {REDACTED}\r\n'"),
        ("sent Token YWJjZGVm to it", f"sent Token {REDACTED} to it"),
        ("sent bearer abc", f"sent bearer {REDACTED}"),
        ("postgresql://u:pw@db/agent", f"postgresql://{REDACTED}@db/agent"),
        ("a token was refused", "a token was refused"),
        (f"agreed in {TRANSACTION}", f"agreed in {TRANSACTION}"),
    ],
)
def test_secrets_are_known_by_their_shape(text: str, shown: str) -> None:
    assert redacted(event=text) == {"event": shown}


def test_a_loaded_secret_is_known_by_its_value_in_any_letter_case() -> None:
    line = redacted(event="key is 0x" + "1F" * 32, detail=b"with S3CRET-token inside", parts=("s3cret-token",))

    assert line == {"event": f"key is 0x{REDACTED}", "detail": f"with {REDACTED} inside", "parts": [REDACTED]}


def test_of_an_endpoint_only_scheme_and_host_are_shown() -> None:
    assert redacted(rpc_url="https://rpc.example:8545/v3/abcdef?x=y") == {"rpc_url": "https://rpc.example:8545"}


def test_numbers_and_absent_values_stay_what_they_are() -> None:
    fields = {"attempts": 3, "seconds": 0.5, "fresh": True, "token": None, "transaction_hash": TRANSACTION}

    assert redacted(**fields) == fields


@pytest.mark.parametrize(
    "spelled",
    [
        "pässword/with spaces+",
        base64.b64encode("pässword/with spaces+".encode()).decode(),
        "p%C3%A4ssword/with%20spaces%2B",
        "p%C3%A4ssword%2Fwith%20spaces%2B",
    ],
)
def test_a_loaded_secret_is_known_in_every_spelling_that_it_is_sent_in(spelled: str) -> None:
    line = Redactor({"pässword/with spaces+"})(None, "info", {"event": f"sent <{spelled}> to it"})

    assert REDACTED in line["event"]
    assert spelled not in line["event"]


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("s3cret-token", "S3CRET-TOKEN"),
        ("s3cret-token", "\u017f3cret-token"),
        ("\u017f3cret-token", "S3cret-token"),
        ("kelvin-token", "\u212aelvin-token"),
        ("p\u00e4ssword", "P\u00c4SSWORD"),
    ],
)
def test_letters_are_alike_in_every_case_that_unicode_knows(secret: str, text: str) -> None:
    assert Redactor({secret}).line({"detail": text}) == {"detail": REDACTED}


def test_what_was_harmless_in_one_field_is_still_hidden_in_another() -> None:
    redactor = Redactor({"s3cret-token"})

    lines = [redactor.line({"event": "abc", name: "abc"}) for name in ("detail", "token", "detail")]

    assert [line.get("token", line.get("detail")) for line in lines] == ["abc", REDACTED, "abc"]


def test_a_secret_is_found_every_time() -> None:
    redactor = Redactor({"s3cret-token"})

    for number in range(5_000):
        line = redactor.line({"event": f"number {number}", "detail": "with s3cret-token inside", "place": "here"})
        assert line == {"event": f"number {number}", "detail": f"with {REDACTED} inside", "place": "here"}
