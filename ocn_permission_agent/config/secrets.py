"""Secrets read from files, with one clear sentence for everything that can be wrong with one."""

import stat
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_LARGEST_BYTES = 64 * 1024
#: a path segment or query value of this length is taken for a provider's key
_KEY_LENGTH = 16


def read_secret(path: Path) -> str:
    """The file's text without surrounding space.

    Raises:
        ValueError: the end of a sentence: missing, unreadable, no file, empty, too large, no text.
    """
    try:
        if path.is_dir():
            raise ValueError(f"names {path}, which is a folder")
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"names {path}, which does not exist") from None
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"names {path}, which is too large for a secret")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"names {path}, which is not text") from None
    if not text:
        raise ValueError(f"names {path}, which is empty")
    return text


def readable_by_everybody(path: Path) -> bool:
    """Whether any account of this machine may read the file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def secret_parts(url: str) -> set[str]:
    """What must never be shown of a URL: its password and whatever looks like a provider's key in path or query."""
    parts = urlsplit(url)
    found = {parts.password or "", unquote(parts.password or "")}
    if parts.username and parts.password:
        # As `Authorization: Basic` holds them; whoever hides a secret knows its Base64 too.
        found.add(f"{unquote(parts.username)}:{unquote(parts.password)}")
    if parts.username and not parts.password:
        found |= {parts.username, unquote(parts.username)}
    found |= {segment for segment in parts.path.split("/") if len(segment) >= _KEY_LENGTH}
    found |= {value for _, value in parse_qsl(parts.query)}
    return {part for part in found if len(part) >= 4}


def passwords(url: str) -> set[str]:
    """The password of a database's URL, as written and as meant; it may stand before the host or behind the ``?``."""
    parts = urlsplit(url)
    found = {parts.password or "", unquote(parts.password or "")}
    found |= {value for name, value in parse_qsl(parts.query) if name in {"password", "sslpassword"}}
    return {part for part in found if len(part) >= 4}
