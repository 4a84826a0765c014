"""`python -m ocn_permission_agent.sandbox.chain`: a chain in its own process.

Prints one line of JSON, `{"url": "http://127.0.0.1:…"}`, when it serves, and runs until SIGTERM, SIGINT or, with
`--stop-with-stdin`, until its standard input is closed (so it never outlives the process that started it).
"""

import argparse
import asyncio
import json
import os
import signal
import sys

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.chain.listener import ChainSettings, Listener
from ocn_permission_agent.sandbox.chain.rpc import Mining


def read_arguments(arguments: list[str]) -> tuple[ChainSettings, bool]:
    """The settings on the command line, and whether to stop with stdin."""
    parser = argparse.ArgumentParser(prog="python -m ocn_permission_agent.sandbox.chain", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--chain-id", type=int, default=246)
    parser.add_argument("--mining", choices=list(Mining), type=Mining, default=Mining.INTERVAL)
    parser.add_argument("--interval-seconds", type=float, default=1.0, help="between blocks of --mining interval")
    parser.add_argument("--account", action="append", default=[], metavar="ADDRESS=WEI", help="owned in block 0")
    parser.add_argument("--stop-with-stdin", action="store_true")
    chosen = parser.parse_args(arguments)
    accounts = dict(item.split("=", 1) for item in chosen.account)
    settings = ChainSettings(
        chain_id=chosen.chain_id,
        accounts={address: int(wei) for address, wei in accounts.items()},
        mining=chosen.mining,
        interval_seconds=chosen.interval_seconds,
        port=chosen.port,
    )
    return settings, chosen.stop_with_stdin


async def serve(settings: ChainSettings, *, stop_with_stdin: bool) -> None:
    """Serve until told to stop."""
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, enough.set)
    if stop_with_stdin:
        loop.add_reader(sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 1024) else enough.set())
    async with Listener(settings, clock=SystemClock()) as listener:
        sys.stdout.write(json.dumps({"url": listener.url}) + "\n")
        sys.stdout.flush()
        await enough.wait()


def main() -> None:
    """Entry point."""
    settings, stop_with_stdin = read_arguments(sys.argv[1:])
    asyncio.run(serve(settings, stop_with_stdin=stop_with_stdin))


if __name__ == "__main__":
    main()
