"""Secrets in foreign texts: whoever was given one may send it back, and what is sent back is kept and shown."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

REDACTED = "[redacted]"
#: shorter ones would be found everywhere
_SHORTEST = 4


def forms(secret: str) -> Iterator[str]:
    """How a secret may be spelled where it is used: as it is, in an OCPI 2.2.1 header, in a URL, in quotes."""
    yield secret
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield quote(secret, safe="")
    yield quote(secret)
    yield repr(secret)[1:-1]


def all_forms(secrets: Iterable[str]) -> list[str]:
    """Every form of each secret, the longest first."""
    known = {form for secret in secrets if len(secret) >= _SHORTEST for form in forms(secret)}
    return sorted(known, key=len, reverse=True)


def finder(known: Sequence[str]) -> re.Pattern[str] | None:
    """Finds these texts in any letter case; None where there is nothing to find."""
    return re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with every form of each secret replaced."""
    found = finder(all_forms(secrets))
    return text if found is None else found.sub(REDACTED, text)
