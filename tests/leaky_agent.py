"""``python -m tests.leaky_agent``: the agent, with secrets that fall out of it wherever Python lets them.

On SIGUSR1 the texts of the file ``LEAKS`` are raised, warned of and logged in every way that a bug or a library could.
And it has less patience with its node than an agent has.
"""

import asyncio
import logging
import os
import signal
import threading
import warnings
from pathlib import Path

from ocn_permission_agent.app.agent import Agent
from ocn_permission_agent.cli.main import main
from ocn_permission_agent.proxy.settings import ProxySettings

_PATIENCE_SECONDS = 4.0


class _Fragile:
    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        raise ValueError(self._text)


def _raise(text: str) -> None:
    raise ValueError(text)


def _leak() -> None:
    loop = asyncio.get_running_loop()
    for text in Path(os.environ["LEAKS"]).read_text().splitlines():
        loop.call_soon(_raise, text)
        loop.call_exception_handler({"message": text, "header": text})
        _Fragile(text)
        thread = threading.Thread(target=_raise, args=(text,))
        thread.start()
        thread.join()
        warnings.warn(text, stacklevel=1)
        for name in ("aiohttp.server", "aiohttp.client", "aiohttp.access", "asyncio", "web3", "urllib3", "other", None):
            log = logging.getLogger(name)
            log.error("about %s and %r", text, text.encode())
            log.debug(text)
            log.error("%d", text)
            try:
                _raise(text)
            except ValueError:
                log.exception("failed", extra={"header": text})


_run = Agent.run


async def _leaking(self: Agent) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _leak)
    await _run(self)


if __name__ == "__main__":
    Agent.run = _leaking  # type: ignore[method-assign]
    defaults = ProxySettings.__init__.__kwdefaults__
    assert defaults is not None
    defaults["node_answer_timeout_seconds"] = _PATIENCE_SECONDS
    main()
