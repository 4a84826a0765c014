"""The operator's key: EIP-191 signatures as OCN nodes write and check them (ocn-protocol.md c.2)."""

import json
import re
from typing import ClassVar, Self

from coincurve import PrivateKey, PublicKey

from ocn_permission_agent.errors import ConfigError, SignatureError
from ocn_permission_agent.ocn.keccak import keccak

_HEX_KEY = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_SIGNATURE = re.compile(r"(?:0x)?([0-9a-fA-F]{128})(1b|1c|1B|1C)")
_RECOVERY_ID = {"1b": 0, "1c": 1}
_NOTARY_SIGNATURE = re.compile(r"0x([0-9a-fA-F]{128})([0-9a-fA-F]{2})")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class OperatorKey:
    """A private key that never shows itself: not in `repr`, not in errors, not when pickled."""

    __slots__ = ("_key", "address")

    #: what sentences call it
    called: ClassVar[str] = "the operator key"
    #: ``0x`` and 40 lower-case hex digits, the form of `consent.address.Address`
    address: str

    def __init__(self, secret: bytes) -> None:
        """Take 32 bytes; use `load` for anything that an operator wrote.

        Raises:
            ConfigError: not a number of the curve.
        """
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            # No `from`: the foreign error may quote the key.
            raise ConfigError([f"{self.called} is not a usable private key"]) from None
        self.address = _address_of(self._key.public_key)

    @classmethod
    def load(cls, text: str, *, password: str | None = None) -> Self:
        """Read what a key file or environment variable holds.

        Args:
            text: 64 hex digits with or without ``0x``, or a V3 keystore (JSON).
            password: of the keystore.

        Raises:
            ConfigError: neither form, or the password does not fit; the message quotes nothing of the text.
        """
        text = text.strip()
        if found := _HEX_KEY.fullmatch(text):
            return cls(bytes.fromhex(found[1]))
        if not text.startswith("{"):
            raise ConfigError([f"{cls.called} is neither 64 hexadecimal digits nor a V3 keystore"])
        if password is None:
            raise ConfigError([f"{cls.called} is a keystore, but no password is given"])
        return cls(_open_keystore(text, password, called=cls.called))

    def sign(self, text: bytes) -> str:
        """Sign as ``personal_sign`` does: ``r s v`` as 130 lower-case hex digits, no ``0x``, v ``1b`` or ``1c``."""
        signature = self._key.sign_recoverable(eip191_hash(text), hasher=None)
        return signature[:64].hex() + f"{signature[64] + 27:02x}"

    def to_hide(self) -> frozenset[str]:
        """The key as text, for those who look for it in what is about to be shown; of a keystore nobody else has it."""
        return frozenset({self._key.to_hex()})

    def __repr__(self) -> str:
        return f"OperatorKey(address={self.address!r})"

    def __reduce__(self) -> str:
        raise TypeError("an operator key is not to be pickled or copied")


def recover(text: bytes, signature: str) -> str:
    """Tell who signed a text: ``0x`` and 40 lower-case hex digits.

    Args:
        text: the bytes that were signed.
        signature: ``r s v`` in hex; a leading ``0x`` is tolerated, v is ``1b`` or ``1c`` only (00 and 01 crash a node).

    Raises:
        SignatureError: not of that form, or no key can have made it.
    """
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        raise SignatureError("a signature is 130 hexadecimal digits, the last two 1b or 1c")
    return _recovered(text, bytes.fromhex(found[1]), _RECOVERY_ID[found[2].lower()])


def recover_any(text: bytes, rsv: str) -> str:
    """Tell who made the `rsv` of a notary, as the JavaScript notary does: ``0x`` must lead, any v is read as one bit.

    Raises:
        SignatureError: not of that form, or no key can have made it.
    """
    found = _NOTARY_SIGNATURE.fullmatch(rsv)
    if found is None:
        raise SignatureError("rsv is not 0x and 130 hexadecimal digits")
    v = int(found[2], 16)
    return _recovered(text, bytes.fromhex(found[1]), v - 27 if v in (27, 28) else v % 2)


def is_address(text: str) -> bool:
    """Whether a text is ``0x`` and 40 hex digits of any case."""
    return _ADDRESS.fullmatch(text) is not None


def _recovered(text: bytes, r_and_s: bytes, recovery_id: int) -> str:
    signature = r_and_s + bytes([recovery_id])
    try:
        public_key = PublicKey.from_signature_and_message(signature, eip191_hash(text), hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise SignatureError("no key can have made this signature") from error
    return _address_of(public_key)


def eip191_hash(text: bytes) -> bytes:
    """The 32 bytes that are signed for a text (EIP-191, version E)."""
    return keccak(b"\x19Ethereum Signed Message:\n%d%b" % (len(text), text))


def checksummed(address: str) -> str:
    """Spell an address in the mixed case of EIP-55, as the JavaScript notary does."""
    digits = address[2:].lower()
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, marks, strict=False)
    )


def _address_of(public_key: PublicKey) -> str:
    return "0x" + keccak(public_key.format(compressed=False)[1:])[-20:].hex()


def _open_keystore(text: str, password: str, *, called: str) -> bytes:
    from eth_account import Account  # noqa: PLC0415  half a second of import, needed by few

    try:
        return bytes(Account.decrypt(json.loads(text), password))
    except (ValueError, TypeError, KeyError, NotImplementedError):
        raise ConfigError([f"{called} cannot be opened: wrong password or not a V3 keystore"]) from None
