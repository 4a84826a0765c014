"""`demo`: the sandbox network and its story."""

from importlib.util import find_spec
from pathlib import Path

from ocn_permission_agent.cli.failing import CommandFailed

#: what the extra `demo` brings
_EXTRA = ("eth", "eth_keys")


def demo(*, once: bool, proxy_port: int | None, admin_port: int | None, info_file: Path | None) -> int:
    """Tell the story; returns its exit code.

    Raises:
        CommandFailed: the extra `demo` is not installed.
    """
    if not all(map(find_spec, _EXTRA)):
        raise CommandFailed("The demo needs a chain of its own: pip install '.[demo]' in a checkout.")
    from ocn_permission_agent.sandbox import story  # noqa: PLC0415  needs the extra

    return story.main(once=once, proxy_port=proxy_port, admin_port=admin_port, info_file=info_file)
