"""The running sandbox's addresses, as JSON for tools (`demo --info-file`) and as curl lines for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_session
from ocn_permission_agent.sandbox.story.world import World


def addresses(world: World) -> dict[str, Any]:
    """Everything a tool needs to drive the sandbox; the names are those of interface.md."""
    return {
        "rpc_url": world.rpc_url,
        "chain_id": world.contracts.chain_id,
        "registry": world.contracts.registry,
        "permissions": world.contracts.permissions,
        "proxy_url": world.agent.proxy_url,
        "admin_url": world.agent.admin_url,
        "admin_token": world.admin_token,
        "nodes": {
            name: {
                "url": node.listen_url,
                "operator_address": node.operator_address,
                "operator_key": node.settings.operator_key,
            }
            for name, node in world.nodes.items()
        },
        "parties": {
            str(party.party): {
                "country_code": party.party.country_code,
                "party_id": party.party.party_id,
                "role": party.role,
                "address": world.actor(party).address,
                "private_key": "0x" + world.wallets[str(party.party)].key.hex(),
                "node": world.node_of[str(party.party)],
                "token_c": party.connection.token_c,
                "base_url": party.base_url,
                "received_url": party.received_url,
            }
            for party in world.parties
        },
    }


def write_addresses(world: World, path: Path) -> None:
    """Write them, readable by their owner only: they hold the demo's keys."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(addresses(world), indent=2) + "\n")


def curl_lines(world: World) -> list[str]:
    """Ready to paste: put a session, post a CDR, see what everybody has, ask the agent."""
    cpo = world.cpo.party
    session, cdr = a_session(cpo, "mine"), a_cdr(cpo, "mine")
    received = [
        f"curl {party.received_url}   # {party.party}" for party in (world.emsp, world.billing, world.analytics)
    ]
    return [
        "# a session: only the eMSP gets it, because DE*CPO revoked its agreement with billing",
        _curl(world, "PUT", f"/ocpi/receiver/2.2/sessions/{cpo.country_code}/{cpo.party_id}/mine", session),
        "# a CDR: analytics gets a copy",
        _curl(world, "POST", "/ocpi/receiver/2.2/cdrs", cdr),
        "# what each has received",
        *received,
        "# what the agent knows and owes",
        f"curl -H 'Authorization: Bearer {world.admin_token}' {world.agent.admin_url}/api/v1/status",
        f"curl {world.agent.admin_url}/metrics",
    ]


def _curl(world: World, method: str, path: str, body: Mapping[str, Any]) -> str:
    cpo, emsp = world.cpo, world.emsp.party
    headers = {
        "Authorization": cpo.connection.authorization,
        "X-Request-ID": "1",
        "X-Correlation-ID": "1",
        "OCPI-from-country-code": cpo.party.country_code,
        "OCPI-from-party-id": cpo.party.party_id,
        "OCPI-to-country-code": emsp.country_code,
        "OCPI-to-party-id": emsp.party_id,
        "Content-Type": "application/json",
    }
    shown = "".join(f" -H '{name}: {value}'" for name, value in headers.items())
    text = json.dumps(body, separators=(",", ":"))
    return f"curl -X {method} {world.agent.proxy_url}{path}{shown} -d '{text}'"
