"""A write to the contracts in words: what will be shared, with whom, and what else follows (pure)."""

from collections.abc import Iterable, Iterator

from ocn_permission_agent.chain.intent import CreateAgreement, DeleteService, Intent, RevokeAgreement, SetService
from ocn_permission_agent.chain.scene import Entry, Listing, Scene
from ocn_permission_agent.consent.permission import describe, interfaces

RAW_WARNING = (
    "Warning: --raw makes a permanent bearer token. What is signed names no function, no contract, no chain and has no",
    "number that runs on. Once it is on the chain anybody can read it, and use it again, for ever:",
)
_RAW_AGREEMENT = (
    "  – to make, end and make again this very agreement, also after you revoked it directly;",
    "  – to delete the service that you yourself may list.",
    "Agents close an agreement that was made so a second time, until you renew it by a direct transaction.",
)
_RAW_SERVICE = (
    "  – to put this listing back after you narrowed or deleted it;",
    "  – with name, url and first permissions cut at other places, for where one ends is not signed.",
)


def in_words(intent: Intent, scene: Scene, *, raw: bool) -> list[str]:
    """What the person must know before saying yes."""
    match intent:
        case CreateAgreement():
            lines = list(_create(scene))
        case RevokeAgreement():
            lines = list(_revoke(scene))
        case SetService():
            lines = list(_set(intent, scene))
        case DeleteService():
            lines = list(_delete(scene))
    if raw:
        lines += ["", *RAW_WARNING, *(_RAW_SERVICE if isinstance(intent, SetService) else _RAW_AGREEMENT)]
    return lines


def question(intent: Intent) -> str:
    """What is asked before anything is signed."""
    match intent:
        case CreateAgreement():
            return "Agree to this?"
        case RevokeAgreement():
            return "Revoke it?"
        case SetService():
            return "List it so?"
        case DeleteService():
            return "Delete the service?"


def changes(shown: Scene, found: Scene) -> list[str]:
    """What of the provider's offer is no longer as it was shown; empty when a yes still means the same."""
    said: list[str] = []
    if shown.listing.permissions != found.listing.permissions or shown.listing.unknown_ids != found.listing.unknown_ids:
        said.append(f"it now lists the permissions {_ids(found.listing)}, not {_ids(shown.listing)}")
    if (shown.listing.name, shown.listing.url) != (found.listing.name, found.listing.url):
        said.append(f"it is now called {_service_name(found.listing)}")
    if shown.provider != found.provider:
        said.append(f"its provider is now {_who(found.provider)}")
    return said


def _create(scene: Scene) -> Iterator[str]:
    yield "You are about to agree to this service:"
    yield from _the_service(scene.provider, scene.listing)
    yield f"  Read at      block {scene.block_number}"
    yield ""
    yield f"{_who(scene.signer)} would share with it, until you revoke:"
    yield from _permissions(scene.listing.permissions)
    if scene.listing.unknown_ids:
        yield f"  and {scene.listing.unknown_ids} numbers that mean nothing; agents ignore them"
    if scene.provider.party is None:
        yield "Note: the provider is not registered as a party; agents send nothing to it while this is so."
    elif not scene.provider.domain:
        yield "Note: the provider's node has no address in the Registry; copies would wait until it has one."


def _revoke(scene: Scene) -> Iterator[str]:
    yield "You are about to revoke the agreement with this service:"
    yield from _the_service(scene.provider, scene.listing)
    yield f"{_who(scene.signer)} would no longer share anything with it. Agents stop as soon as they see the revoke."


def _set(intent: SetService, scene: Scene) -> Iterator[str]:
    proposal = intent.proposal
    yield f'{_who(scene.signer)} is about to list the service "{proposal.name}", {proposal.url}'
    yield "Every customer that agrees to it would share with you:"
    yield from _permissions(proposal.permissions)
    if not scene.listing.listed:
        return
    yield f"Until now it is {_service_name(scene.listing)} with the permissions {_ids(scene.listing)}."
    if interfaces(proposal.permissions) - interfaces(scene.listing.permissions):
        yield "It becomes wider: customers that agreed before share the new part only once they agree anew."
    if interfaces(scene.listing.permissions) - interfaces(proposal.permissions):
        yield "It becomes narrower: what is left out is no longer shared, as soon as agents see it."


def _delete(scene: Scene) -> Iterator[str]:
    yield f"{_who(scene.signer)} is about to delete the service {_service_name(scene.listing)}."
    yield "All agreements with it end for good: listed again, every customer must revoke and agree anew."
    yield "While it is deleted the contract does not even let customers revoke."


def _the_service(provider: Entry, listing: Listing) -> Iterator[str]:
    yield f"  Provider     {_who(provider)}"
    yield f"  Service      {_service_name(listing)}"
    yield f"  Its node     {provider.domain or 'none'}"


def _permissions(numbers: Iterable[int]) -> Iterator[str]:
    for number in sorted(numbers):
        yield f"  {number:>2}  {describe(number)}"


def _who(entry: Entry) -> str:
    return f"{entry.party} ({entry.address})" if entry.party else f"{entry.address} (no registered party)"


def _service_name(listing: Listing) -> str:
    return f'"{listing.name}", {listing.url}' if listing.listed else "(nothing is listed now)"


def _ids(listing: Listing) -> str:
    known = [str(number) for number in sorted(listing.permissions)]
    others = [f"{listing.unknown_ids} unknown ones"] if listing.unknown_ids else []
    return ", ".join(known + others) or "none"
