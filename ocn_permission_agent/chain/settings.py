"""Which chain is followed, and how closely."""

from dataclasses import dataclass

from ocn_permission_agent.consent.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """Section ``[chain]`` of the configuration.

    `rpc_urls` may hold secrets and is never shown. `start_block` is the first block that is read, 0 to find that of the
    contracts' deployment. `genesis_hash` is empty to remember the one first seen. `confirmations` is the number of
    blocks above what opens or redirects before it counts. From `max_staleness_seconds` on nothing is sent. The state
    is compared with the index, without logs, at the start and every `audit_seconds`.
    """

    rpc_urls: tuple[str, ...]
    chain_id: int
    registry: Address
    permissions: Address
    start_block: int = 0
    genesis_hash: str = ""
    confirmations: int = 12
    poll_seconds: float = 5.0
    max_staleness_seconds: float = 60.0
    audit_seconds: float = 3600.0
