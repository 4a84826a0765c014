"""C12: are these the chain, the contracts and the operator that we were told of? Asked at start and after trouble."""

from dataclasses import dataclass
from enum import Enum

from ocn_permission_agent.chain.abi import get_node
from ocn_permission_agent.chain.decode import Malformed, read_domain
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource, Question
from ocn_permission_agent.chain.text import shown
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import ChainUnavailable


class Severity(Enum):
    """What a problem means. Either refuses the start on an empty store, and holds every copy on a synced one."""

    #: what answers is not what we were told of: nothing that it says is read
    FOREIGN = "foreign"
    #: the right Registry knows this operator otherwise than we were told: it is followed all the same
    OWN_ENTRY = "own_entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A check that failed, as a sentence for the operator."""

    severity: Severity
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the checks found; `genesis_hash` is that of the endpoint."""

    genesis_hash: str
    problems: tuple[Problem, ...]

    @property
    def sentence(self) -> str | None:
        """All problems in one line; None when there are none."""
        return "; ".join(problem.sentence for problem in self.problems) or None

    @property
    def readable(self) -> bool:
        """Whether the endpoint may be followed."""
        return all(problem.severity is Severity.OWN_ENTRY for problem in self.problems)


async def check_chain(
    source: ChainSource,
    *,
    settings: ChainSettings,
    remembered_genesis: str | None,
    operator: Address,
    public_url: str,
) -> Findings:
    """Run every check.

    Args:
        source: the endpoint.
        settings: what we were told.
        remembered_genesis: of the store; None at first contact.
        operator: address of the operator key.
        public_url: what platforms use to reach this node; must equal the operator's domain byte for byte
            (OCN Node 1.x compares it so, ocn-protocol.md b.1).

    Raises:
        ChainUnavailable: no usable answer.
    """
    problems: list[str] = []
    chain_id = await source.chain_id()
    if chain_id != settings.chain_id:
        problems.append(f"the endpoint serves chain {chain_id}, not {settings.chain_id}")
    (genesis,) = await source.headers([0])
    expected = settings.genesis_hash.lower() or remembered_genesis or genesis.hash
    if genesis.hash != expected:
        problems.append(f"the endpoint's genesis block is {genesis.hash}, not {expected}")
    if not problems:
        problems += await check_contracts(source, settings)
    found = [Problem(severity=Severity.FOREIGN, sentence=sentence) for sentence in problems]
    if not found:
        found += await _check_operator(source, settings, operator, public_url)
    return Findings(genesis_hash=genesis.hash, problems=tuple(found))


async def check_contracts(source: ChainSource, settings: ChainSettings) -> list[str]:
    """Whether both contracts are there and belong together; one sentence for each problem."""
    problems = []
    for name, contract in (("Registry", settings.registry), ("Permissions", settings.permissions)):
        found = await source.has_code(contract, "latest")
        if found is None:
            raise ChainUnavailable(f"{source.endpoint} does not tell whether there is code at {contract}")
        if not found:
            problems.append(f"there is no contract at {contract}, where the {name} should be")
    if problems:
        return problems
    slot = await source.first_slot(settings.permissions)
    if slot[-20:].hex() != settings.registry[2:]:
        problems.append(
            f"the Permissions contract at {settings.permissions} belongs to the Registry 0x{slot[-20:].hex()}, "
            f"not {settings.registry}"
        )
    return problems


async def _check_operator(
    source: ChainSource, settings: ChainSettings, operator: Address, public_url: str
) -> list[Problem]:
    question = Question(contract=settings.registry, data=get_node(operator))
    (answer,) = await source.ask([question], await source.head())
    try:
        domain = shown(read_domain(answer or b""))
    except Malformed:
        sentence = f"the Registry at {settings.registry} does not answer as one"
        return [Problem(severity=Severity.FOREIGN, sentence=sentence)]
    if not domain:
        sentence = f"the operator key's address {operator} is not a registered node operator"
    elif domain != public_url:
        sentence = f"the Registry says that this operator's node is at {domain}, not at {public_url} (proxy.public_url)"
    else:
        return []
    return [Problem(severity=Severity.OWN_ENTRY, sentence=sentence)]
