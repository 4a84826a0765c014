"""`ocn-permission-agent demo`: the sandbox network, and the agent's story told on it live."""

import asyncio
import signal
import tempfile
from pathlib import Path

from rich.console import Console

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import AgentError
from ocn_permission_agent.sandbox.story.agent import AgentFailed
from ocn_permission_agent.sandbox.story.info import curl_lines, write_addresses
from ocn_permission_agent.sandbox.story.steps import tell
from ocn_permission_agent.sandbox.story.telling import ClaimFailed, ConsoleTelling
from ocn_permission_agent.sandbox.story.world import World, a_world


def main(*, once: bool, proxy_port: int | None, admin_port: int | None, info_file: Path | None) -> int:
    """Tell the story; 0 if every step held, else 1.

    Args:
        once: end after the story; otherwise stay up until Ctrl-C.
        proxy_port: of the agent; None takes a free one.
        admin_port: likewise.
        info_file: gets the addresses as JSON, as soon as everything is up.
    """
    console = Console(highlight=False)
    try:
        return asyncio.run(_main(console, once=once, ports=(proxy_port, admin_port), info_file=info_file))
    except KeyboardInterrupt:
        return 130


async def _main(console: Console, *, once: bool, ports: tuple[int | None, int | None], info_file: Path | None) -> int:
    clock = SystemClock()
    telling = ConsoleTelling(console=console, clock=clock)
    with tempfile.TemporaryDirectory(prefix="ocn-permission-agent-demo-") as folder:
        console.print("Bringing up a chain with both contracts, two OCN nodes, five parties and the agent …")
        try:
            async with a_world(folder=Path(folder), clock=clock, proxy_port=ports[0], admin_port=ports[1]) as world:
                if info_file is not None:
                    write_addresses(world, info_file)
                _show_network(world, telling)
                held = await _told(world, telling, console)
                if not once:
                    await _stay(world, console)
                return 0 if held else 1
        except (AgentFailed, AgentError, OSError, TimeoutError) as error:
            console.print(f"The sandbox could not be brought up: {error}", style="bold red")
            return 1


async def _told(world: World, telling: ConsoleTelling, console: Console) -> bool:
    try:
        await tell(world, telling)
    except ClaimFailed as failed:
        console.print(f"\nThis did not hold: {failed}", style="bold red")
        console.print(f"The agent's last words: {world.agent.last_words()}")
        return False
    seconds = telling.elapsed_seconds
    console.print(f"\nEvery step held: {telling.claims_held} claims in {seconds:.1f} s.", style="bold green")
    return True


def _show_network(world: World, telling: ConsoleTelling) -> None:
    rows = [("chain", "-", world.rpc_url), ("agent, before node A", "-", world.agent.proxy_url)]
    rows += [(f"node {name}", "-", node.listen_url) for name, node in world.nodes.items()]
    rows += [
        (f"{party.party} ({party.role})", world.node_of[str(party.party)], party.base_url) for party in world.parties
    ]
    telling.table("The network", ("who", "on node", "where"), rows)


async def _stay(world: World, console: Console) -> None:
    """Stay up until Ctrl-C or SIGTERM."""
    console.print("\nEverything stays up until Ctrl-C. To try by hand:\n")
    for line in curl_lines(world):
        console.print(line, soft_wrap=True, markup=False)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    await over.wait()
    console.print("\nGood-bye.")
