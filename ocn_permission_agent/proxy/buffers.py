"""How much of all bodies is held in memory at one time."""


class Budget:
    """What all requests in flight may hold together, in bytes."""

    def __init__(self, total_bytes: int) -> None:
        self._free_bytes = total_bytes

    @property
    def free_bytes(self) -> int:
        """What may still be taken."""
        return self._free_bytes

    def share(self) -> "Share":
        """A share, empty yet; its owner has to give it back."""
        return Share(self)

    def take(self, size_bytes: int) -> bool:
        """Take so much, or nothing and answer False."""
        if size_bytes > self._free_bytes:
            return False
        self._free_bytes -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Return what was taken."""
        self._free_bytes += size_bytes


class Share:
    """What one request holds of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """See `Budget.take`."""
        if not self._budget.take(size_bytes):
            return False
        self._held_bytes += size_bytes
        return True

    @property
    def free_bytes(self) -> int:
        """What may still be taken."""
        return self._budget.free_bytes

    def give_back(self) -> None:
        """Return all of it."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0
