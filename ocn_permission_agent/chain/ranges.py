"""How many blocks to ask logs for at once: halved when an endpoint refuses, grown slowly when it answers. Pure.

Endpoints refuse for a width of blocks, a number of logs, a size or a quota, each in its own words and with codes that
mean several things; what was refused is simply asked for in smaller pieces (permissions-contract.md §3).
"""

from dataclasses import dataclass

FIRST_WIDTH = 2_000
WIDEST = 100_000


@dataclass(frozen=True, slots=True)
class Width:
    """Blocks per question, from 1 to 100,000."""

    blocks: int = FIRST_WIDTH

    def answered(self) -> "Width":
        """Half as many again."""
        return Width(min(self.blocks + self.blocks // 2 + 1, WIDEST))

    def refused(self) -> "Width | None":
        """Half as many; None when a single block was refused."""
        return Width(self.blocks // 2) if self.blocks > 1 else None


def last_of(first: int, width: Width, until: int) -> int:
    """The last block of the next question, from `first` and not beyond `until`."""
    return min(first + width.blocks - 1, until)
