"""Looking for what logs did not tell: the state compared with the index without any log, and old logs read again.

Logs can be lost by an endpoint, silently; the state cannot lie about itself as long as one endpoint tells the truth.
So at the start and every hour everything that the contracts hold is compared with what we know. What differs is closed
by the watcher's next look (C2, C5), compared between endpoints, and looked for in the logs of the whole chain.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.decode import Malformed, read_addresses, read_flag
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.errands import Errands
from ocn_permission_agent.chain.follower import FoundLog
from ocn_permission_agent.chain.reader import StateReader
from ocn_permission_agent.chain.scan import Scanner
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource, Question
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.touched import Touched, everything, touched_by
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import FIRST_OBSERVATION
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics

#: entries looked at before others get their turn
_PIECE = 200
#: before an audit that came to nothing is tried again
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """`differences` between state and index; `recovered` logs that had not been told."""

    block_number: int
    differences: int
    recovered: int


class Auditor:
    """Audits at its own pace beside the watcher, by another endpoint than the followed one if there is one.

    Args:
        watcher: knows the newest block.
        errands: what the watcher is asked for, and tells.
        endpoints: whom to ask.
        store: what logs we have.
        settings: which chain.
        clock: paces the audits.
        metrics: counts differences.
        log: one line per audit.
    """

    def __init__(
        self,
        *,
        watcher: Watcher,
        errands: Errands,
        endpoints: Endpoints,
        store: ChainStore,
        settings: ChainSettings,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._watcher = watcher
        self._errands = errands
        self._endpoints = endpoints
        self._store = store
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log

    async def run(self) -> None:
        """Audit at the start, every `audit_seconds`, and soon after the watcher met a contradiction."""
        await self._errands.first_poll()
        while True:
            try:
                await self.audit_once()
            except ChainReorganised:
                # Another endpoint than the followed one may be a block behind: ordinary.
                await self._clock.sleep(self._settings.poll_seconds)
            except ChainUnavailable as error:
                self._log.warning("audit.failed", reason=str(error))
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                await self._until_due(self._settings.audit_seconds)

    async def audit_once(self) -> AuditReport | None:
        """Compare everything now; None before the first sync.

        Raises:
            ChainUnavailable, ChainReorganised: try again, at a newer block.
            StoreUnavailable: likewise.
        """
        tip = self._watcher.tip
        if tip is None:
            return None
        source = self._endpoints.other()
        differing, count = await self._compare(source, tip.facts, tip.header)
        recovered = 0
        suspicious = self._errands.take_contradiction()
        if count or suspicious or _contradicted(tip.facts):
            self._errands.look_at(differing)
            self._endpoints.dispute(differing)
            recovered = await self._read_logs_again(source, tip.header.number)
        self._metrics.consent_audit_differences.inc(count)
        report = AuditReport(block_number=tip.header.number, differences=count, recovered=recovered)
        tell = self._log.error if count else self._log.info
        tell(
            "audit.completed",
            endpoint=source.endpoint,
            head=report.block_number,
            differences=count,
            recovered=recovered,
        )
        return report

    async def _compare(self, source: ChainSource, facts: Facts, at: Header) -> tuple[Touched, int]:
        """What differs, and in how many entries."""
        found = await self._discover(source, facts, at)
        reader = StateReader(source=source, settings=self._settings)
        differing, count = Touched(), 0
        for piece in (everything(facts) | found).pieces(_PIECE):
            _, observations = await reader.observe(facts, piece, at)
            count += len(observations)
            differing |= touched_by(observations)
            await asyncio.sleep(0)
        unknown = await self._unknown_agreements(source, facts, found, at)
        return differing | Touched(pairs=unknown), count + len(unknown)

    async def _discover(self, source: ChainSource, facts: Facts, at: Header) -> Touched:
        """Whatever the contracts know and the index may not."""
        registry, permissions = self._settings.registry, self._settings.permissions
        questions = [
            Question(contract=registry, data=abi.get_parties()),
            Question(contract=permissions, data=abi.get_providers()),
        ]
        parties, providers = (_listed(answer) for answer in await source.ask(questions, at))
        customers = sorted(parties | set(facts.pairs))
        asked = [Question(contract=permissions, data=abi.agreements_of(customer)) for customer in customers]
        pairs: set[tuple[Address, Address]] = set()
        for start in range(0, len(asked), _PIECE):
            answers = await source.ask(asked[start : start + _PIECE], at)
            for customer, answer in zip(customers[start:], answers, strict=False):
                pairs |= {(customer, provider) for provider in _listed(answer)}
        services = providers | {provider for _, provider in pairs}
        return Touched(
            pairs=frozenset(pairs),
            services=frozenset(services),
            parties=frozenset(parties | services),
            customers=frozenset(customers),
            listings=frozenset(services),
        )

    async def _unknown_agreements(
        self, source: ChainSource, facts: Facts, found: Touched, at: Header
    ) -> frozenset[tuple[Address, Address]]:
        """Pairs that agreed and of which we have no log at all; nothing is copied for them, but something is lost."""
        pairs = sorted(pair for pair in found.pairs if facts.pair(*pair) is None)
        questions = [Question(contract=self._settings.permissions, data=abi.has_agreement(*pair)) for pair in pairs]
        answers = await source.ask(questions, at)
        return frozenset(pair for pair, answer in zip(pairs, answers, strict=True) if answer and _stands(answer))

    async def _read_logs_again(self, source: ChainSource, until: int) -> int:
        """Read every log up to a block, and hand in those that we do not have."""
        known = {
            (event.evidence.block_number, event.evidence.position.log_index)
            for event in await self._store.events(after=-1, until=until)
            if event.evidence.position.log_index < FIRST_OBSERVATION
        }
        scanner = Scanner(source=source, settings=self._settings)
        lost: list[FoundLog] = []
        async for piece in scanner.ranges(self._watcher.first_block, until):
            new = [log for log in piece.logs if (log.block_number, log.log_index) not in known]
            hashes = {log.block_number: log.block_hash for log in new}
            lost += [
                FoundLog(event=event, block_hash=hashes[event.evidence.block_number])
                for event in await scanner.decode(new, recent=False)
            ]
        if lost:
            self._errands.take_found(lost)
        return len(lost)

    async def _until_due(self, seconds: float) -> None:
        """For so long, or until the watcher met a contradiction that is new."""
        async with asyncio.TaskGroup() as group:
            sleeping = group.create_task(_sleep(self._clock, seconds))
            woken = group.create_task(self._errands.contradiction())
            await asyncio.wait((sleeping, woken), return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
            woken.cancel()


def _contradicted(facts: Facts) -> bool:
    return any(True for _ in facts.contradicted_pairs())


def _listed(answer: bytes | None) -> set[Address]:
    """The addresses of a list; none of one that is too large to be read, for which only known entries are compared."""
    if answer is None:
        return set()
    try:
        return _nonzero(read_addresses(answer))
    except Malformed as error:
        raise ChainUnavailable(f"the contracts answered something that {error}") from error


def _nonzero(accounts: Iterable[Address]) -> set[Address]:
    return set(accounts) - {ZERO}


def _stands(answer: bytes) -> bool:
    try:
        return read_flag(answer)
    except Malformed as error:
        raise ChainUnavailable(f"the contracts answered something that {error}") from error


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
