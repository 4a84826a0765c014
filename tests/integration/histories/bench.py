"""Customers, providers, strangers and forks on the real contracts, with a watcher beside them and the model's notes."""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from eth_abi.abi import decode

from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.chain.text import party_from_bytes
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.index import AgreementStatus, ConsentIndex
from ocn_permission_agent.consent.verdict import Verdict
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.chain.actors import deploy
from ocn_permission_agent.sandbox.chain.calls import (
    Contract,
    ContractCall,
    Signature,
    contract_call,
    packed_address,
    packed_modules,
    packed_service,
)
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.faults import RpcFault
from ocn_permission_agent.sandbox.contracts import ContractCodes
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import OTHER_DOMAIN, OWN_DOMAIN, Watched, watching
from tests.integration.histories.model import CONFIRMATIONS, OTHER, OWN, Deed, Model, Now, Stop

CUSTOMERS = ("cpo", "cpo_b", "stranger", "billing", "analytics")
PROVIDERS = ("billing", "analytics")
PEOPLE = ("cpo", "cpo_b", "stranger", *PROVIDERS)
HOME_KEYS = {"cpo": "DECPO", "cpo_b": "DECPB", "stranger": "XXXXX", "billing": "NLBIL", "analytics": "FRANA"}
KEYS = ("DECPO", "deCPO", "DECPB", "deCPB", "NLBIL", "nlBIL", "FRANA", "\\x80", "XXXXX")
HUGE = 2_100
ZERO = "0x" + "0" * 40
BROKEN = Signature(v=0, r=bytes(32), s=bytes(32))


def key_bytes(key: str) -> tuple[bytes, bytes]:
    """A key of `KEYS`; one of them is no text at all."""
    raw = b"\xff\x00\n\\\x80" if key == "\\x80" else key.encode()
    return raw[:2], raw[2:]


class Bench:
    """Everything of one history; open it first, close it last."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._opened = AsyncExitStack()
        self._watching = AsyncExitStack()
        self.model = Model(home=OWN_DOMAIN)
        self.snapshots: list[tuple[str, int]] = []
        #: calls that the contracts accepted and refused, by function; what a step drew need not have been possible
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.listings: list[tuple[str, bytes, bytes, list[int]]] = []
        self._names = {wallet.address.lower(): name for name, wallet in WALLETS.items()}

    async def open(self, codes: ContractCodes | None) -> None:
        client = await self._opened.enter_async_context(ChainClient(self._url))
        contracts = await deploy(client, WALLETS["deployer"], codes)
        self.deployment = Deployment(url=self._url, client=client, contracts=contracts)
        await self.node(OWN, OWN_DOMAIN)
        await self.node(OTHER, OTHER_DOMAIN)
        for who in ("cpo", "cpo_b", "billing", "analytics"):
            await self.party(who, HOME_KEYS[who], OTHER if who in PROVIDERS else OWN)
        await self.service("billing", [6, 8])
        await self.service("analytics", [0])
        await self.agreement("cpo", "billing", "createAgreement", relayed=False)
        await self.agreement("cpo", "analytics", "createAgreement", relayed=True)
        await self.agreement("cpo_b", "billing", "createAgreement", relayed=True)
        await self.mine(CONFIRMATIONS + 1)
        await self.watch()
        await self.poll()
        for deed in self.model.deeds:
            if deed.what == "party":
                self.model.pins_at_start[deed.key.upper(), deed.operator] = deed.who
        await self.mine(1)

    async def close(self) -> None:
        await self._watching.aclose()
        await self._opened.aclose()

    async def watch(self) -> None:
        """Start the watcher, anew if it runs."""
        await self._watching.aclose()
        self._watching = AsyncExitStack()
        self.watched: Watched = await self._watching.enter_async_context(
            watching(self.deployment, self._folder / "agent.db")
        )
        decider = Decider(
            store=DecisionStore(self.watched.database),
            view=self.watched.view,
            clock=SystemClock(),
            log=self.watched.log,
            withdraw=self._withdraw,
        )
        self.desk = Desk(index=lambda: self.watched.view.index, decider=lambda: decider)

    async def _withdraw(self) -> int:
        return 0

    async def poll(self) -> None:
        await self.watched.poll()
        self.model.head = self.watched.view.index.block_number

    @property
    def index(self) -> ConsentIndex:
        return self.watched.view.index

    # --- deeds ----------------------------------------------------------------------------------------------------

    async def _do(self, sender: str, call: ContractCall, **noted: Any) -> bool:
        """Send a call; note it if the contracts accepted it."""
        try:
            receipt = await self.deployment.actor(sender).transact(call)
        except RpcFault:
            self.refused[call.signature.partition("(")[0]] += 1
            return False
        self.accepted[call.signature.partition("(")[0]] += 1
        if noted:
            place = (receipt.block_number, receipt.logs[0].log_index)
            self.model.deeds.append(Deed(block=place[0], order=place[1], transaction=receipt.transaction_hash, **noted))
        return True

    async def home(self, domain: str) -> None:
        """Our own node moves: by leaving first, because a domain that was replaced is never free again."""
        if (await self.now()).domains[OWN] not in {"", domain}:
            await self.node(OWN, "")
        await self.node(OWN, domain)

    async def node(self, operator: str, domain: str) -> bool:
        call = contract_call(Contract.REGISTRY, "setNode", domain) if domain else None
        call = call or contract_call(Contract.REGISTRY, "deleteNode")
        return await self._do(operator, call, what="node", who=operator, domain=domain)

    async def party(self, who: str, key: str, operator: str) -> bool:
        country_code, party_id = key_bytes(key)
        address = WALLETS[operator].address
        call = contract_call(Contract.REGISTRY, "setParty", country_code, party_id, [0], address)
        return await self._do(who, call, what="party", who=who, key=key, operator=operator)

    async def leave(self, who: str, *, relayed: bool = False) -> bool:
        if not relayed:
            return await self._do(who, contract_call(Contract.REGISTRY, "deleteParty"), what="left", who=who)
        call = contract_call(Contract.REGISTRY, "deletePartyRaw", WALLETS[who].address, *self._own(who))
        return await self._do("emsp", call, what="left", who=who, how="relayed")

    async def service(self, who: str, ids: list[int], *, name: bytes = b"S", url: bytes = b"u") -> bool:
        call = contract_call(Contract.PERMISSIONS, "setService", name, url, ids)
        self.listings.append((who, name, url, ids))
        return await self._listed(who, who, call, name=name, url=url, ids=ids, how="direct")

    async def service_again(self, place: int, *, shifted: bool = False) -> bool:
        """T6: a stranger puts back any listing that its provider ever signed; shifted, an id becomes part of a URL."""
        who, name, url, ids = self.listings[place % len(self.listings)]
        if shifted:
            url, ids = url + ids[0].to_bytes(32, "big"), ids[1:]
        signature = WALLETS[who].sign_packed(packed_service(name, url, ids))
        call = contract_call(Contract.PERMISSIONS, "setServiceRaw", name, url, ids, *signature.arguments)
        return await self._listed("emsp", who, call, name=name, url=url, ids=ids, how="relayed")

    async def modules(self, who: str, ids: list[int]) -> None:
        """A relayed list of modules, whose signature is one for a service as well (T6d)."""
        address = WALLETS[who].address
        signature = WALLETS[who].sign_packed(packed_modules(address, ids, []))
        await self._do(
            "emsp", contract_call(Contract.REGISTRY, "setPartyModulesRaw", address, ids, [], *signature.arguments)
        )
        if who in PROVIDERS:
            self.listings.append((who, packed_address(address), b"", ids))

    async def _listed(
        self, sender: str, who: str, call: ContractCall, *, name: bytes, url: bytes, ids: list[int], how: str
    ) -> bool:
        known = frozenset(number for number in ids if number <= 16)
        return await self._do(
            sender,
            call,
            what="service",
            who=who,
            how=how,
            ids=known or frozenset({99}),
            nameless=not name and not url,
            huge=len(ids) >= HUGE,
        )

    async def delete_service(self, who: str, *, relayed: bool = False, named: str = "") -> bool:
        listings = [deed for deed in self.model.deeds if deed.what == "service" and deed.who == who]
        huge = bool(listings) and listings[-1].huge
        noted = {"what": "service", "who": who, "nameless": True, "huge": huge, "ids": frozenset({99})}
        if not relayed:
            return await self._do(who, contract_call(Contract.PERMISSIONS, "deleteService"), **noted)
        # T5d: the address that was signed is not compared with the signer, so any agreement's signature will do.
        signed = WALLETS[named or who].address
        signature = WALLETS[who].sign_packed(packed_address(signed))
        call = contract_call(Contract.PERMISSIONS, "deleteServiceRaw", signed, *signature.arguments)
        return await self._do("emsp", call, how="relayed", **noted)

    def _own(self, who: str) -> tuple[int, bytes, bytes]:
        """One signature over the own address deletes party and service alike (T5e)."""
        return WALLETS[who].sign_packed(packed_address(WALLETS[who].address)).arguments

    async def agreement(self, customer: str, provider: str, verb: str, *, relayed: bool) -> bool:
        """`verb` is createAgreement or revokeAgreement."""
        address = WALLETS[provider].address
        listings = [deed for deed in self.model.deeds if deed.what == "service" and deed.who == provider]
        ids = None if not listings or listings[-1].huge else listings[-1].ids
        what = "grant" if verb == "createAgreement" else "revoke"
        noted = {"what": what, "who": customer, "to": provider, "ids": ids}
        if not relayed:
            return await self._do(customer, contract_call(Contract.PERMISSIONS, verb, address), **noted)
        signature = WALLETS[customer].sign_packed(packed_address(address))
        call = contract_call(Contract.PERMISSIONS, f"{verb}Raw", address, *signature.arguments)
        return await self._do("emsp", call, how="relayed", **noted)

    async def zero_address(self, provider: str) -> None:
        """T13: anybody registers nobody, and agrees in its name."""
        operator = WALLETS[OWN].address
        party = contract_call(Contract.REGISTRY, "setPartyRaw", ZERO, b"ZZ", b"ZZZ", [0], operator, *BROKEN.arguments)
        await self._do("emsp", party)
        address = WALLETS[provider].address
        await self._do("emsp", contract_call(Contract.PERMISSIONS, "createAgreementRaw", address, *BROKEN.arguments))

    async def renew(self, customer: str, provider: str) -> None:
        """What people do to make things right again: register, list, agree anew, wait."""
        await self.node(OTHER, OTHER_DOMAIN)
        await self.home(OWN_DOMAIN)
        for who, operator in ((customer, OWN), (provider, OTHER)):
            await self.party(who, HOME_KEYS[who], operator)
        await self.service(provider, [6, 8, 13])
        await self.agreement(customer, provider, "revokeAgreement", relayed=False)
        await self.agreement(customer, provider, "createAgreement", relayed=False)
        await self.mine(CONFIRMATIONS + 1)

    async def mine(self, blocks: int) -> None:
        await self.deployment.client.mine(blocks)

    async def remember(self) -> None:
        self.snapshots.append((await self.deployment.client.snapshot(), await self.deployment.client.block_number()))

    async def fork(self, place: int, higher: int) -> None:
        """Back to a remembered block, and on along other blocks, above where we stood."""
        place %= len(self.snapshots)
        snapshot, height = self.snapshots[place]
        del self.snapshots[place:]
        before = await self.deployment.client.block_number()
        await self.deployment.client.revert(snapshot)
        await self.mine(before - height + higher)
        await self.watched.poll()
        self.model.fork(height, await self.deployment.client.block_number())

    # --- decisions ------------------------------------------------------------------------------------------------

    async def stop(self, customer: str, provider: str) -> None:
        """Each named by its key if it has one, else by address, or not at all when empty."""
        now = await self.now()
        written, stop = {}, Stop()
        for role, who in (("customer", customer), ("provider", provider)):
            if not who:
                continue
            key = now.parties.get(who, ("", ""))[0]
            readable = bool(key) and key != "\\x80"
            written[role] = f"{key[:2]}*{key[2:]}" if readable else WALLETS[who].address
            setattr(stop, f"{role}_key", key if readable else "")
            alike = [each for each, (other, _) in now.parties.items() if other.upper() == key.upper()]
            setattr(stop, role, who if not readable or alike == [who] else "")
        if stop not in self.model.stops and written and not self._known(stop):
            await self.desk.add_stop(written)
            self.model.stops.append(stop)
            self._written = written

    def _known(self, stop: Stop) -> bool:
        """The desk refuses a stop that names the same, whatever addresses it had."""

        def named(each: Stop) -> tuple[str, str]:
            return (each.customer_key.upper() or each.customer, each.provider_key.upper() or each.provider)

        return any(named(each) == named(stop) for each in self.model.stops)

    async def unstop(self) -> None:
        if self.model.stops:
            await self.desk.remove_stop(self._written)
            self.model.stops.pop()

    async def confirm(self, customer: str, provider: str) -> None:
        """What an operator does who confirms whatever can be confirmed."""
        for status in self.agreements():
            pair = (self.name(status.customer_address), self.name(status.provider_address))
            verdict = status.verdict
            if pair == (customer, provider) and verdict.confirmable and verdict.transaction_hash:
                await self.desk.confirm_agreement(
                    {
                        "customer": status.customer_address,
                        "provider": status.provider_address,
                        "transaction_hash": verdict.transaction_hash,
                    }
                )
                self.model.confirmed.add((customer, provider, verdict.transaction_hash))

    async def confirm_key(self, who: str) -> None:
        now = await self.now()
        key, operator = now.parties.get(who, ("", ""))
        if operator == OWN and key != "\\x80":
            await self.desk.confirm_party({"party": f"{key[:2]}*{key[2:]}", "address": WALLETS[who].address})
            self.model.confirmed_keys[key.upper()] = who

    # --- what there is --------------------------------------------------------------------------------------------

    def name(self, address: str) -> str:
        return self._names[address]

    def agreements(self) -> list[AgreementStatus]:
        return [
            status
            for status in self.index.agreements()
            if self._names.get(status.customer_address) in CUSTOMERS
            and self._names.get(status.provider_address) in PROVIDERS
        ]

    def verdict(self, customer: str, provider: str) -> Verdict | None:
        found = [
            status.verdict
            for status in self.agreements()
            if (self.name(status.customer_address), self.name(status.provider_address)) == (customer, provider)
        ]
        return found[0] if found else None

    def heard(self, key: str, module: str, role: str) -> set[tuple[str, str]]:
        """(customer, provider) of everybody who hears a request of this key."""
        sender = party_from_bytes(*key_bytes(key))
        entitlements = self.index.providers_for(sender, Module(module), InterfaceRole(role))
        return {(self.name(each.customer_address), self.name(each.provider_address)) for each in entitlements}

    async def now(self) -> Now:
        """Ask the contracts, at the head."""
        pairs = [(customer, provider) for customer in CUSTOMERS for provider in PROVIDERS]
        calls = [
            *(
                contract_call(
                    Contract.PERMISSIONS,
                    "hasUserAgreementByAddress",
                    WALLETS[customer].address,
                    WALLETS[provider].address,
                )
                for customer, provider in pairs
            ),
            *(contract_call(Contract.REGISTRY, "getPartyDetailsByOcpi", *key_bytes(key)) for key in KEYS),
            *(contract_call(Contract.REGISTRY, "getPartyDetailsByAddress", WALLETS[who].address) for who in PEOPLE),
            *(contract_call(Contract.PERMISSIONS, "getService", WALLETS[who].address) for who in PROVIDERS),
            *(contract_call(Contract.REGISTRY, "getNode", WALLETS[who].address) for who in (OWN, OTHER)),
        ]
        contracts = self.deployment.contracts
        answers = await self.deployment.client.batch(
            *(
                ("eth_call", [{"to": contracts.address_of(call.contract), "data": "0x" + call.data.hex()}, "latest"])
                for call in calls
            )
        )
        raw = iter(bytes.fromhex(answer[2:]) for answer in answers)
        flags = {pair: bool(int.from_bytes(next(raw), "big")) for pair in pairs}
        by_raw = {key_bytes(key): key for key in KEYS}
        keys = {key: self._names.get("0x" + next(raw)[12:32].hex(), "") for key in KEYS}
        parties = {}
        for who in PEOPLE:
            country_code, party_id, *_, operator, _ = decode(
                ["bytes2", "bytes3", "uint8[]", "uint8[]", "uint8[]", "address", "bytes"], next(raw)
            )
            if int(operator, 16):
                parties[who] = (by_raw[country_code, party_id], self._names[operator])
        ids = {
            who: list(decode(["bytes2", "bytes3", "bytes", "bytes", "uint256[]"], next(raw))[4]) for who in PROVIDERS
        }
        domains = {who: decode(["bytes"], next(raw))[0].decode() for who in (OWN, OTHER)}
        return Now(flags=flags, keys=keys, parties=parties, ids=ids, domains=domains)


assert CONFIRMATIONS == 2
