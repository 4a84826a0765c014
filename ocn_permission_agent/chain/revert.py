"""Why a contract refused, in words (pure). Only shown, never decided upon."""

import re

from ocn_permission_agent.chain.text import shown

#: Solidity's ``Error(string)``
_ERROR = bytes.fromhex("08c379a0")
#: geth and anvil give the bytes in hex, OpenEthereum and older Nethermind put this word before them
_DATA = re.compile(r"(?:Reverted )?0x((?:[0-9a-fA-F]{2})*)")
_REVERTED = re.compile(
    r"(?:VM Exception while processing transaction: )?(?:execution )?revert(?:ed)?(?: with reason)?:? *"
)

#: sentences of the Permissions contract (registry 1.2.1), and what they mean for whoever called
_MEANING = {
    "Trying to register a service without party listing in Registry.": (
        "the address of this key is no party of the Registry; let the operator of its node register it first"
    ),
    "No permissions given.": "a service needs at least one permission",
    "Cannot delete service that does not exist.": "the address of this key lists no service",
    "Service user has no party listing in Registry.": (
        "the address of this key is no party of the Registry; let the operator of its node register it first"
    ),
    "Provider has no registered Service.": (
        "the provider lists no service now; while it does not, an agreement can neither be made nor revoked on chain. "
        "To stop copies, ask the operator of your node for a local stop"
    ),
    "Agreement already made between user and provider.": "there is an agreement already; to renew it, revoke it first",
    "No Agreement made between user and provider.": "there is no agreement to revoke",
    "Signer and provided party address different.": "the signature is not that of the named address",
}


def reason_in(data: object) -> str | None:
    """The sentence in a revert's data, escaped; None when there is none."""
    found = _DATA.fullmatch(data) if isinstance(data, str) else None
    if found is None:
        return None
    raw = bytes.fromhex(found[1])
    if raw[:4] != _ERROR or len(raw) < 68:
        return None
    length = int.from_bytes(raw[36:68], "big")
    return shown(raw[68 : 68 + length]) if length <= len(raw) - 68 else None


def refusal(message: str, data: object) -> str:
    """A sentence about an error object that answered a call: the contract's reason and what it means, if it told one.

    Args:
        message: the endpoint's own words.
        data: of the error object, where a reverted call's data stand.
    """
    reason, found = reason_in(data), _REVERTED.match(message)
    if reason is None and found is None:
        return f"The call fails: {_escaped(message) or 'no reason given'}."
    said = reason or _escaped(message[found.end() if found else 0 :]) or "no reason given"
    meaning = _MEANING.get(said)
    quoted = f"The contract refuses: {said.rstrip('.')}"
    return f"{quoted} – {meaning}." if meaning else f"{quoted}."


def _escaped(text: str) -> str:
    return shown(text.encode("utf-8", "replace"))
