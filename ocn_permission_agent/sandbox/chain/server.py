"""`ChainServer`: a chain that runs beside the caller's event loop, never in it.

::

    server = ChainServer(chain_id=246, accounts={wallet.address: 10**21}, mining="auto")
    url = server.start_thread()        # tests: 10 ms once py-evm is imported
    url = server.start_process()       # demo and latency figures: about a second; ends when this process ends
    server.stop()

`mining` is "auto" (a block per transaction), "interval" (one every `interval_seconds`, empty or not) or "manual"
(only `evm_mine`). Both starts need the extra `demo`; importing this module does not.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from ocn_permission_agent.clock import Clock, SystemClock

if TYPE_CHECKING:
    from ocn_permission_agent.sandbox.chain.listener import ChainSettings

MiningMode = Literal["auto", "interval", "manual"]
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 5.0


class ChainServer:
    """One chain behind JSON-RPC on 127.0.0.1; started once, in a thread or in a process.

    Args:
        chain_id: transactions for any other are refused.
        accounts: wei per address (0x text) in the genesis block.
        mining: when blocks are made; `sandbox_setMining` changes it later.
        interval_seconds: between blocks when mining is "interval".
        port: 0 takes any free one.
        clock: stamps the blocks of `start_thread`; a process has the machine's clock.
    """

    def __init__(
        self,
        *,
        chain_id: int,
        accounts: Mapping[str, int],
        mining: MiningMode = "auto",
        interval_seconds: float = 1.0,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._chain_id = chain_id
        self._accounts = dict(accounts)
        self._mining = mining
        self._interval_seconds = interval_seconds
        self._port = port
        self._clock = clock or SystemClock()
        self._thread: _ServerThread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start_thread()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start_thread(self) -> str:
        """Serve from an own thread with its own event loop. Gives the URL, which answers at once.

        Raises:
            ImportError: the extra `demo` is not installed.
            OSError: the port is in use.
        """
        self._refuse_second_start()
        self._thread = _ServerThread(self._settings(), self._clock)
        self.url = self._thread.start()
        return self.url

    def start_process(self) -> str:
        """Serve from an own process, which ends when `stop` is called or this process is gone. Gives the URL.

        Blocks for about a second; call it through `asyncio.to_thread` in an event loop.

        Raises:
            RuntimeError: the process ended before it served; its own words are on stderr.
        """
        self._refuse_second_start()
        self._process = subprocess.Popen(  # noqa: S603  our own module, our own arguments
            [sys.executable, "-m", "ocn_permission_agent.sandbox.chain", "--stop-with-stdin", *self._arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is the starter's, who stops the chain last
        )
        if self._process.stdout is None:
            raise RuntimeError("the chain's process has no stdout")
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the chain's process ended before it served")
        self.url = str(json.loads(line)["url"])
        return self.url

    @property
    def process_id(self) -> int | None:
        """The id of the process when `start_process` was used."""
        return None if self._process is None else self._process.pid

    def stop(self) -> None:
        """End the thread or the process; harmless when there is none."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _refuse_second_start(self) -> None:
        if self._thread is not None or self._process is not None:
            raise RuntimeError("this chain is already running")

    def _settings(self) -> "ChainSettings":
        from ocn_permission_agent.sandbox.chain.listener import ChainSettings  # noqa: PLC0415  needs the demo extra
        from ocn_permission_agent.sandbox.chain.rpc import Mining  # noqa: PLC0415  needs the demo extra

        return ChainSettings(
            chain_id=self._chain_id,
            accounts=self._accounts,
            mining=Mining(self._mining),
            interval_seconds=self._interval_seconds,
            port=self._port,
        )

    def _arguments(self) -> list[str]:
        return [
            f"--port={self._port}",
            f"--chain-id={self._chain_id}",
            f"--mining={self._mining}",
            f"--interval-seconds={self._interval_seconds}",
            *(f"--account={address}={wei}" for address, wei in self._accounts.items()),
        ]


class _ServerThread:
    """A thread with an event loop that serves until it is told to stop."""

    def __init__(self, settings: "ChainSettings", clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="sandbox-chain", daemon=True)

    def start(self) -> str:
        self._thread.start()
        url, _, _ = self._started.result(START_LIMIT_SECONDS)
        return url

    def stop(self) -> None:
        if self._started.exception() is None:
            _, loop, enough = self._started.result()
            loop.call_soon_threadsafe(enough.set)
        self._thread.join(STOP_LIMIT_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the starter; later there is none
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        from ocn_permission_agent.sandbox.chain.listener import Listener  # noqa: PLC0415  needs the demo extra

        async with Listener(self._settings, clock=self._clock) as listener:
            enough = asyncio.Event()
            self._started.set_result((listener.url, asyncio.get_running_loop(), enough))
            await enough.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Closing stdin asks the child to stop; what does not listen is killed."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
