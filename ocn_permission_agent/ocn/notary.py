"""The OCN Notary: signatures of OCPI requests and responses that travel in ``OCN-Signature`` (ocn-protocol.md d).

A signature lists the paths it covers, the hash of their values strung together, who signed, and under `rewrites` what
was signed before somebody on the way had to change a value, oldest first. All values here are frozen: whoever verifies
or re-signs can never spoil what the next one gets (d.4, the bug of the JavaScript package).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.json_text import JsonValue
from ocn_permission_agent.ocn.keccak import keccak
from ocn_permission_agent.ocn.keys import OperatorKey, checksummed, is_address, recover_any
from ocn_permission_agent.ocn.literal_path import MISSING, is_verifiable, leaves_of, value_at, with_value
from ocn_permission_agent.ocn.notary_rules import JS_RULES, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """An earlier signature, and the values that have been changed since: path and old value."""

    rewritten_fields: tuple[tuple[str, JsonValue], ...]
    hash: str
    rsv: str
    signatory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notary:
    """A signature. `hash` and `rsv` are hex with ``0x``; `rewrites` are oldest first."""

    fields: tuple[str, ...]
    hash: str
    rsv: str
    signatory: str
    rewrites: tuple[Rewrite, ...] = ()


def sign(
    values: Mapping[str, JsonValue],
    key: OperatorKey,
    *,
    fields: tuple[str, ...] | None = None,
    rewrites: tuple[Rewrite, ...] = (),
    rules: Rules = JS_RULES,
) -> Notary:
    """Sign values.

    Args:
        values: ``headers`` (lower-case names), ``params``, ``body``; each may be missing.
        key: of the signer.
        fields: which paths to cover, in this order; None for all that have a value.
        rewrites: the history, from `stashed`.
        rules: whose texts of numbers to sign.
    """
    if fields is None:
        leaves = tuple(leaves_of(values))
        fields = tuple(path for path, _ in leaves)
        message = "".join(rules.text_of(value) for _, value in leaves)
    else:
        message = _message(dict(values), fields, rules)
    digest = _hash(message)
    return Notary(
        fields=fields,
        hash=digest,
        rsv="0x" + key.sign(digest.encode()),
        signatory=checksummed(key.address),
        rewrites=rewrites,
    )


def stashed(notary: Notary, old_values: Mapping[str, JsonValue]) -> tuple[Rewrite, ...]:
    """The history to sign with after values were changed: the signature becomes its newest rewrite."""
    newest = Rewrite(
        rewritten_fields=tuple(old_values.items()), hash=notary.hash, rsv=notary.rsv, signatory=notary.signatory
    )
    return (*notary.rewrites, newest)


def verify(notary: Notary, values: Mapping[str, JsonValue], *, rules: Rules = JS_RULES) -> None:
    """Verify a signature and the whole history behind it.

    It proves who signed the values at `fields`, and only that: members added, types changed and text shifted between
    neighbours go unnoticed (d.4).

    Raises:
        SignatureError: in the words of the JavaScript notary where it has any.
    """
    current: JsonValue = dict(values)
    if _hash(_message(current, notary.fields, rules)) != notary.hash:
        raise SignatureError("Request has been modified")
    if recover_any(notary.hash.encode(), notary.rsv) != _read_address(notary.signatory):
        raise SignatureError("Signatories do not match")
    for number, rewrite in enumerate(reversed(notary.rewrites)):
        for path, value in rewrite.rewritten_fields:
            current = with_value(current, path, value)
        if _hash(_message(current, notary.fields, rules, rewritten=True)) != rewrite.hash:
            raise SignatureError(f"Rewrite {number}: Rewritten request hash does not match")
        if not rules.same_signatory(rewrite.signatory, checksummed(recover_any(rewrite.hash.encode(), rewrite.rsv))):
            raise SignatureError(f"Rewrite {number}: Rewritten signatory incorrect")


def verifiable_fields(values: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The paths that a signature can cover: names with capitals or quotes make it unverifiable for everybody."""
    return tuple(path for path, _ in leaves_of(values) if is_verifiable(path))


def _message(values: JsonValue, fields: tuple[str, ...], rules: Rules, *, rewritten: bool = False) -> str:
    texts = []
    for field in fields:
        value = value_at(values, field.lower())
        if value is MISSING or value is None:
            texts.append("" if rewritten else rules.missing)
        else:
            texts.append(rules.text_of(value))
    return "".join(texts)


def _hash(message: str) -> str:
    return "0x" + keccak(message.encode()).hex()


def _read_address(text: str) -> str:
    """An address as the JavaScript notary accepts it: any one letter case, or mixed with a right checksum."""
    digits = text.removeprefix("0x")
    spelled = "0x" + digits
    if not is_address(spelled) or (digits not in (digits.lower(), digits.upper()) and checksummed(spelled) != spelled):
        raise SignatureError("the signatory is not an address")
    return spelled.lower()
