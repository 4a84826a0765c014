"""The chains whose contracts are known by name (interface.md "Presets")."""

from dataclasses import dataclass

from ocn_permission_agent.consent.address import Address, address


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Which chain, and where the two contracts are."""

    chain_id: int
    registry: Address
    permissions: Address


NETWORKS = {
    "volta": Contracts(
        chain_id=73799,
        registry=address("0xd57595D5FA1F94725C426739C449b15D92758D55"),
        permissions=address("0xa72479612436D1f9df5FA975baFB9ae74529aB0E"),
    ),
    "prod": Contracts(
        chain_id=246,
        registry=address("0x184aeD70F2aaB0Cd1FC62261C1170560cBfd0776"),
        permissions=address("0x9a59513F0C9Aa56CB4D3f3bAe0513868907BB978"),
    ),
}
