"""Where deliveries are looked up, retried and discarded: by the API of a running agent, and by commands alike."""

from collections.abc import Callable, Mapping

from ocn_permission_agent.admin.caseload import (
    Document,
    listed_document,
    preview_document,
    read_choice,
    read_number,
    shown_document,
    step_document,
    story_document,
)
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.log import Log
from ocn_permission_agent.outbox.casework import Casework, Choice, NotCopiedBook, Step

Written = Mapping[str, str]

#: rows of one answer, and of one slice of a bulk action
MOST_LISTED = 1_000
SLICE = 500


class Clerk:
    """Understands what was written, does it, tells what came of it.

    Every method raises `BadChoice` with a sentence for the operator, and `StoreUnavailable`.

    Args:
        casework: the store; raises StoreUnavailable while it is not open.
        notes: of requests that were not copied, written before anything is explained.
        clock: time.
        log: who retried and discarded what.
        on_revived: told when something became pending.
    """

    def __init__(
        self,
        *,
        casework: Callable[[], Casework],
        notes: NotCopiedBook,
        clock: Clock,
        log: Log,
        on_revived: Callable[[], None],
    ) -> None:
        self._casework = casework
        self._notes = notes
        self._clock = clock
        self._log = log
        self._on_revived = on_revived

    async def list(self, written: Written) -> Document:
        """The newest of a choice, at most `limit`, older than `before`; ``next`` is the `before` of the next page."""
        most = read_number(written, "limit", default=100, most=MOST_LISTED)
        before = read_number(written, "before", default=0) or None
        found = await self._casework().find(read_choice(written), before_id=before, most=most)
        return {
            "deliveries": [listed_document(each) for each in found],
            "next": found[-1].id if len(found) == most else None,
        }

    async def preview(self, written: Written) -> Document:
        """How many a choice comes to, by state, and how many of them could be retried or discarded now."""
        return preview_document(await self._casework().preview(read_choice(written)))

    async def show(self, written: Written) -> Document | None:
        """Everything about the delivery `id` but its payload; None if there is no such delivery."""
        shown = await self._casework().show(read_number(written, "id"), now=self._clock.now())
        return None if shown is None else shown_document(shown)

    async def retry(self, written: Written) -> Document:
        """Make a slice of a choice pending again, from those after `after`; ``next`` begins the next slice."""
        choice, after = self._chosen(written)
        step = await self._casework().retry(choice, by=_by(written), now=self._clock.now(), after_id=after, most=SLICE)
        self._log.info("deliveries.retried", **_told(written, step))
        if step.done:
            self._on_revived()
        return step_document(step)

    async def discard(self, written: Written) -> Document:
        """Let go of a slice of a choice for good, as `retry`."""
        choice, after = self._chosen(written)
        step = await self._casework().discard(
            choice, by=_by(written), now=self._clock.now(), after_id=after, most=SLICE
        )
        self._log.info("deliveries.discarded", **_told(written, step))
        return step_document(step)

    async def explain(self, written: Written) -> Document:
        """The story of the requests with the correlation id `correlation_id`."""
        await self._notes.write(self._casework())
        correlation_id = written.get("correlation_id", "")
        story = await self._casework().explain(correlation_id, now=self._clock.now())
        return story_document(correlation_id, story)

    def _chosen(self, written: Written) -> tuple[Choice, int]:
        return read_choice(written, whole=written.get("all") == "yes"), read_number(written, "after", default=0)


def _by(written: Written) -> str:
    return written.get("by", "")[:100] or "somebody"


def _told(written: Written, step: Step) -> dict[str, object]:
    chosen = {name: text for name, text in written.items() if name not in {"by", "after", "all"}}
    return {"by": _by(written), "choice": chosen, "done": step.done, "passed_over": step.passed_over}
