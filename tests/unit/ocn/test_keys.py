import json
import pickle
from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.errors import ConfigError, SignatureError
from ocn_permission_agent.ocn.keys import OperatorKey, checksummed, recover

SECRET = "22" * 31 + "02"
ADDRESS = "0x48D8fb8815F4178B07c2583cf2A2f42de1bF8C4b"


@pytest.mark.parametrize("text", [SECRET, "0x" + SECRET, f"  0x{SECRET.upper()}\n"])
def test_hex_key_is_read_in_every_usual_spelling(text: str) -> None:
    assert OperatorKey.load(text).address == ADDRESS.lower()


def test_keystore_opens_with_its_password_only() -> None:
    keystore = json.dumps(Account.encrypt(bytes.fromhex(SECRET), "open sesame", iterations=2))
    assert OperatorKey.load(keystore, password="open sesame").address == ADDRESS.lower()
    with pytest.raises(ConfigError, match="cannot be opened"):
        OperatorKey.load(keystore, password="open barley")
    with pytest.raises(ConfigError, match="no password"):
        OperatorKey.load(keystore)


@pytest.mark.parametrize("text", ["", "0x12", SECRET + "00", "zz" * 32, "0" * 64, "f" * 64, "{", '{"version":3}'])
def test_unusable_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OperatorKey.load(text, password="p")
    assert len(text) < 3 or text not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_key_never_shows_itself() -> None:
    key = OperatorKey.load(SECRET)
    assert SECRET not in repr(key)
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(key)


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=32).filter(lambda secret: 0 < secret[0] < 0xFF))
def test_signature_is_the_one_of_eth_account(text: bytes, secret: bytes) -> None:
    key = OperatorKey(secret)
    theirs = Account.sign_message(encode_defunct(text), secret)
    assert key.sign(text) == bytes(theirs.signature).hex()
    assert recover(text, key.sign(text)) == key.address == Account.from_key(secret).address.lower()


def test_recover_tolerates_a_leading_0x_and_either_letter_case() -> None:
    key = OperatorKey.load(SECRET)
    signature = key.sign(b"text")
    assert recover(b"text", "0x" + signature) == recover(b"text", signature.upper()) == key.address


def test_recover_of_another_text_is_another_address() -> None:
    key = OperatorKey.load(SECRET)
    assert recover(b"other", key.sign(b"text")) != key.address


@pytest.mark.parametrize(
    "change",
    [
        lambda good: good[:-2] + "00",
        lambda good: good[:-2] + "01",
        lambda good: good[:-2] + "1d",
        lambda good: good[:-1],
        lambda good: good + "00",
        lambda good: "zz" + good[2:],
        lambda _good: "00" * 64 + "1b",
        lambda _good: "ff" * 64 + "1c",
        lambda good: good + "\n",
        lambda _good: "",
    ],
)
def test_malformed_signature_is_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(SignatureError):
        recover(b"text", change(OperatorKey.load(SECRET).sign(b"text")))


def test_checksummed_spelling_is_that_of_eip_55() -> None:
    assert checksummed(ADDRESS.lower()) == checksummed(ADDRESS) == ADDRESS
