"""`service set|delete`, `agreement create|revoke`: show, ask, send, wait.

What is shown and what is sent are two visits to the chain: between them a person reads. At the second visit the offer
must still be what was shown, and after the transaction is in its block it is compared once more.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from ocn_permission_agent.chain.fees import GWEI
from ocn_permission_agent.chain.gateway import Gateway, Receipt
from ocn_permission_agent.chain.intent import (
    ContractWrite,
    CreateAgreement,
    DeleteService,
    Intent,
    RevokeAgreement,
    SetService,
    direct_write,
    packed_of,
    raw_write,
)
from ocn_permission_agent.chain.proposal import ServiceProposal, problems_of
from ocn_permission_agent.chain.raw import sign_raw
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.scene import Scene, SceneReader
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.wallet import WalletKey
from ocn_permission_agent.chain.writer import ContractWriter, Prepared, in_coins
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.cli.sharing import changes, in_words, question
from ocn_permission_agent.cli.waiting import ConfirmationBar
from ocn_permission_agent.cli.wallet import KeyFiles, payer_key, wallet_key
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import load_chain_access
from ocn_permission_agent.consent.address import ZERO, Address, address
from ocn_permission_agent.consent.name import Name, read_name
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable, ConfigError, WriteRefused, WriteUnsettled
from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """What all four commands take."""

    config_file: Path | None
    key: KeyFiles
    yes: bool
    max_fee_gwei: float
    nonce: int | None
    timeout_seconds: float
    raw: bool
    payer: KeyFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One command, its keys read. `intended` becomes an intent once the provider's address is known."""

    settings: ChainSettings
    key: WalletKey
    payer: WalletKey | None
    intended: Callable[[Address], Intent]
    provider: Name
    options: WriteOptions

    @property
    def sender(self) -> WalletKey:
        """Who sends and pays."""
        return self.payer or self.key

    @property
    def signature_only(self) -> bool:
        """Whether nothing is to be sent."""
        return self.options.raw and self.payer is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """One endpoint of the right chain, open."""

    writer: ContractWriter
    reader: SceneReader
    source: ChainSource


def service_set(options: WriteOptions, *, name: str, url: str, permissions: tuple[int, ...]) -> None:
    """List a service, or change the listing."""
    proposal = ServiceProposal(name=name, url=url, permissions=permissions)
    if problems := problems_of(proposal):
        raise ConfigError(problems)
    _carry_out(options, lambda _: SetService(proposal=proposal), None)


def service_delete(options: WriteOptions) -> None:
    """Take the own service away."""
    _carry_out(options, lambda _: DeleteService(), None)


def agreement_create(options: WriteOptions, *, provider: str) -> None:
    """Agree to a provider's service."""
    _carry_out(options, lambda found: CreateAgreement(provider=found), _provider(provider))


def agreement_revoke(options: WriteOptions, *, provider: str) -> None:
    """End an agreement."""
    _carry_out(options, lambda found: RevokeAgreement(provider=found), _provider(provider))


def _provider(text: str) -> Name:
    try:
        found = read_name(text)
    except ValueError as error:
        raise ConfigError([f"--provider: {error}."]) from None
    if found == ZERO:
        raise ConfigError(["--provider: the zero address is nobody."])
    return found


def _carry_out(options: WriteOptions, intended: Callable[[Address], Intent], provider: Name | None) -> None:
    if not options.yes and not sys.stdin.isatty():
        raise ConfigError(["Nobody can be asked here: this is no terminal. Give --yes to go on without a question."])
    key = wallet_key(options.key)
    job = _Job(
        settings=load_chain_access(options.config_file),
        key=key,
        payer=payer_key(options.payer),
        intended=intended,
        provider=provider or address(key.address),
        options=options,
    )
    try:
        intent, scene = asyncio.run(_look(job))
        if not options.yes and not click.confirm(question(intent), err=True):
            raise CommandFailed("Nothing was sent.")
        if job.signature_only:
            _print_signature(job, intent)
            return
        asyncio.run(_send(job, intent, scene))
    except ChainReorganised as error:
        raise CommandFailed(f"The chain changed while we looked: {error}. Try again.") from error


async def _look(job: _Job) -> tuple[Intent, Scene]:
    """The first visit: show everything that the question is about. Nothing is signed for it."""
    async with _visit(job) as visit:
        head = await visit.source.head()
        provider = job.provider
        found = await visit.reader.address_of(provider, head) if isinstance(provider, Party) else provider
        intent = job.intended(found)
        scene = await visit.reader.read(signer=address(job.key.address), provider=found, at=head)
        _tell(in_words(intent, scene, raw=job.options.raw))
        if not job.options.raw:
            _tell_costs(await _prepared(visit, job, intent))
        else:
            # The direct call stands for the raw one: a signature that was not agreed to is shown to nobody.
            await visit.writer.try_direct(direct_write(intent), signer=scene.signer.address)
            if job.payer is not None:
                _tell([f"It is sent and paid by {job.payer.address}."])
    return intent, scene


async def _send(job: _Job, intent: Intent, shown: Scene) -> None:
    """The second visit."""
    signer, provider = shown.signer.address, shown.provider.address
    async with _visit(job) as visit:
        scene = await visit.reader.read(signer=signer, provider=provider, at=await visit.source.head())
        if isinstance(intent, CreateAgreement) and (differences := changes(shown, scene)):
            raise WriteRefused(f"The service changed meanwhile: {'; '.join(differences)}. Nothing was sent.")
        prepared = await _prepared(visit, job, intent)
        try:
            receipt = await _sent(visit, job, prepared)
        except WriteUnsettled as error:
            raise CommandFailed(
                f"{error} Look it up before you send anything else. While it is in no block it can be replaced: "
                f"run the command again with --nonce {prepared.nonce} and a higher --max-fee-gwei."
            ) from error
        (block,) = await visit.source.headers([receipt.block_number])
        _tell_outcome(intent, shown, await visit.reader.read(signer=signer, provider=provider, at=block))


async def _sent(visit: _Visit, job: _Job, prepared: Prepared) -> Receipt:
    transaction = await visit.writer.send(prepared, job.sender, announce=_announce)
    with ConfirmationBar(job.settings.confirmations) as bar:
        return await visit.writer.wait(
            prepared, transaction, timeout_seconds=job.options.timeout_seconds, report=bar.report
        )


async def _prepared(visit: _Visit, job: _Job, intent: Intent) -> Prepared:
    write = _signed(job, intent) if job.options.raw else direct_write(intent)
    return await visit.writer.prepare(write, sender=address(job.sender.address), nonce=job.options.nonce)


@asynccontextmanager
async def _visit(job: _Job) -> AsyncIterator[_Visit]:
    """The first endpoint that answers; one of another chain ends it all."""
    settings, clock = job.settings, SystemClock()
    for place, url in enumerate(settings.rpc_urls, start=1):
        async with (
            RpcClient(url=url, clock=clock) as rpc,
            Gateway(url=url, contract=settings.permissions) as gateway,
        ):
            source = ChainSource(rpc=rpc, settings=settings)
            writer = ContractWriter(
                gateway=gateway,
                source=source,
                settings=settings,
                cap=round(job.options.max_fee_gwei * GWEI),
                clock=clock,
            )
            try:
                await writer.check()
            except ChainUnavailable:
                if place == len(settings.rpc_urls):
                    raise
                continue
            yield _Visit(writer=writer, reader=SceneReader(source=source, settings=settings), source=source)
            return


# --- telling ----------------------------------------------------------------------------------------------------------


def _tell(lines: Iterable[str]) -> None:
    """What a person reads goes to standard error: standard output holds the transaction or the signature alone."""
    for line in lines:
        print(line, file=sys.stderr)


def _tell_costs(prepared: Prepared) -> None:
    lines = [f"It costs at most {in_coins(prepared.most_wei)} of the chain's coin, paid by {prepared.sender}."]
    if prepared.waiting:
        lines.append(
            f"{prepared.waiting} earlier transactions of this account are in no block yet; it comes after them."
        )
    _tell(lines)


def _announce(transaction: str) -> None:
    print(transaction, flush=True)


def _tell_outcome(intent: Intent, shown: Scene, found: Scene) -> None:
    """What the chain says in the transaction's own block."""
    wrong = _contradiction(intent, found)
    if wrong is not None:
        raise CommandFailed(f"The transaction is confirmed in block {found.block_number}, but {wrong}.")
    if isinstance(intent, CreateAgreement) and (differences := changes(shown, found)):
        raise CommandFailed(
            f"The agreement stands since block {found.block_number}, but the service changed before it did: "
            f"{'; '.join(differences)}. If you do not want this, revoke it now."
        )
    _tell([f"Done: confirmed in block {found.block_number}."])


def _contradiction(intent: Intent, found: Scene) -> str | None:
    match intent:
        case CreateAgreement():
            return None if found.agreed else "the contract shows no agreement there"
        case RevokeAgreement():
            return "the contract still shows the agreement there" if found.agreed else None
        case SetService(proposal=proposal):
            same = found.listing.permissions == frozenset(proposal.permissions)
            return None if same else "the contract lists other permissions there"
        case DeleteService():
            return "the contract still lists the service there" if found.listing.listed else None


def _print_signature(job: _Job, intent: Intent) -> None:
    """Calldata that anybody can send; it was tried as a direct call, and has been shown to nobody yet."""
    write = _signed(job, intent)
    document = {
        "chain_id": job.settings.chain_id,
        "to": job.settings.permissions,
        "function": write.function,
        "signer": job.key.address,
        "data": f"0x{write.data.hex()}",
    }
    print(json.dumps(document, indent=2))


def _signed(job: _Job, intent: Intent) -> ContractWrite:
    if isinstance(intent, DeleteService):
        raise CommandFailed("A deletion is never signed for others to send: the signature also unregisters the party.")
    return raw_write(intent, sign_raw(job.key, packed_of(intent)))
