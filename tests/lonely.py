"""An agent that knows of no chain: the primary path does not need one."""

from pathlib import Path
from typing import Any

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.chain.actors import Contracts
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process

_NOBODY_ANSWERS = "http://127.0.0.1:9"


def lonely_agent(folder: Path, node_url: str, **changed: dict[str, Any]) -> AgentProcess:
    """Not started yet."""
    return agent_process(
        AgentFiles(folder=folder),
        contracts=Contracts(chain_id=246, registry="0x" + "11" * 20, permissions="0x" + "22" * 20, block_number=0),
        rpc_url=_NOBODY_ANSWERS,
        node_url=node_url,
        operator_key="1f" * 32,
        admin_token="a-token-of-sixteen",
        changed=changed,
        clock=SystemClock(),
    )


def address_of(agent: AgentProcess) -> tuple[str, int]:
    """Where its proxy listens."""
    host, _, port = agent.proxy_url.removeprefix("http://").partition(":")
    return host, int(port)
