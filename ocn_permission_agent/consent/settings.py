"""What the operator decides about consent."""

from dataclasses import dataclass

from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSettings:
    """Section ``[consent]`` of the configuration.

    `require_direct_grant` refuses agreements made by a relayed signature. `copy_reads` also copies GETs.
    `copy_commands` names providers that get commands and charging profiles under the ids 0, 1 and 2 too.
    """

    require_direct_grant: bool = False
    copy_reads: bool = False
    copy_commands: frozenset[Party] = frozenset()
