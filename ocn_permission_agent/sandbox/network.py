"""Putting nodes and parties on the chain and together: the steps that operators and parties take once.

::

    async with Node(settings, clock=clock) as node, Cpo(Party("DE", "CPO"), clock=clock) as cpo:
        await list_node(node, operator)
        await enrol(cpo, node=node, actor=cpo_actor)
"""

from ocn_permission_agent.sandbox.chain.actors import Actor
from ocn_permission_agent.sandbox.node.node import Node
from ocn_permission_agent.sandbox.parties.client import invite
from ocn_permission_agent.sandbox.parties.platform import Connection, OcpiParty

#: the Registry's numbers of OCPI roles
ROLE_NUMBERS = {"CPO": 0, "EMSP": 1, "HUB": 2, "NAP": 3, "NSP": 4, "OTHER": 5, "SCSP": 6}


async def list_node(node: Node, operator: Actor) -> None:
    """Enter the node's public URL into the Registry; `operator` holds the node's key.

    Raises:
        RpcFault: the contract refuses.
    """
    await operator.set_node(node.public_url)


async def enrol(party: OcpiParty, *, node: Node, actor: Actor) -> Connection:
    """Enter a party into the Registry under the node's operator, then register it with the node.

    Raises:
        RpcFault: the contract refuses.
        RuntimeError: the node refuses.
    """
    await actor.set_party(
        party.party.country_code,
        party.party.party_id,
        roles=[ROLE_NUMBERS[party.role]],
        operator=node.operator_address,
    )
    return await party.register(await invite(node.admin_url, node.settings.api_key, party.party))
