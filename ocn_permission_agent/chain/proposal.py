"""What a provider wants to list, and what is wrong with it before it costs anything (pure).

The contract takes anything: numbers that mean nothing, numbers twice, a megabyte of NULs (permissions-contract.md T7).
"""

from dataclasses import dataclass

from ocn_permission_agent.consent.permission import KNOWN_IDS

NAME_LIMIT_BYTES = 64
#: agents show no more of a URL than this (consent.md C10)
URL_LIMIT_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProposal:
    """A service as its provider wrote it down."""

    name: str
    url: str
    permissions: tuple[int, ...]


def problems_of(proposal: ServiceProposal) -> list[str]:
    """Everything that must be mended, one sentence each."""
    return [
        *_text_problems("name", proposal.name, limit_bytes=NAME_LIMIT_BYTES),
        *_text_problems("url", proposal.url, limit_bytes=URL_LIMIT_BYTES),
        *_permission_problems(proposal.permissions),
    ]


def _text_problems(what: str, text: str, *, limit_bytes: int) -> list[str]:
    if not text.strip():
        return [f"The {what} is empty; a listing without name and url cannot be told from a deletion."]
    if not text.isprintable():
        return [f"The {what} holds control or other invisible characters."]
    length = len(text.encode())
    if length > limit_bytes:
        return [f"The {what} is {length} bytes long; {limit_bytes} is the most."]
    return []


def _permission_problems(permissions: tuple[int, ...]) -> list[str]:
    problems = []
    if not permissions:
        problems.append("There are no permissions; the contract takes a listing without any for a deletion.")
    unknown = sorted(set(permissions) - KNOWN_IDS)
    if unknown:
        problems.append(f"There is no permission {_listed(unknown)}: 0 to 16 are known.")
    twice = sorted({number for number in permissions if permissions.count(number) > 1})
    if twice:
        problems.append(f"Listed more than once: {_listed(twice)}.")
    return problems


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers)
