"""What can be asked about the index, by the API and by the commands alike (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlencode

from ocn_permission_agent.admin.listing import (
    AgreementFilter,
    Document,
    agreement_document,
    agreements_document,
    party_document,
    service_document,
    services_document,
)
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.name import Name, read_name
from ocn_permission_agent.consent.verdict import Standing


class Asked(Enum):
    """Each question, with its path below ``/api/v1/``."""

    #: every service
    SERVICES = "services"
    #: one provider's
    SERVICE = "services/{provider}"
    #: every agreement; `customer`, `provider` and `standing` choose
    AGREEMENTS = "agreements"
    #: one pair's, interface by interface
    AGREEMENT = "agreements/{customer}/{provider}"
    #: one party
    PARTY = "parties/{party}"


class BadQuestion(ValueError):
    """A name or a standing that cannot be read; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that was understood. `written` is how it was put."""

    kind: Asked
    names: Mapping[str, Name]
    standing: Standing | None
    written: Mapping[str, str]

    def answer(self, index: ConsentIndex, *, fresh: bool) -> Document | None:
        """The document; None when nobody is meant."""
        names = self.names
        match self.kind:
            case Asked.SERVICES:
                return services_document(index, fresh=fresh)
            case Asked.SERVICE:
                return service_document(index, names["provider"], fresh=fresh)
            case Asked.AGREEMENTS:
                chosen = AgreementFilter(
                    customer=names.get("customer"), provider=names.get("provider"), standing=self.standing
                )
                return agreements_document(index, chosen, fresh=fresh)
            case Asked.AGREEMENT:
                return agreement_document(index, names["customer"], names["provider"], fresh=fresh)
            case Asked.PARTY:
                return party_document(index, names["party"], fresh=fresh)

    @property
    def nobody(self) -> str:
        """What to say when there is no answer."""
        named = self.written
        match self.kind:
            case Asked.AGREEMENT:
                return f"There never was an agreement of {named['customer']} with {named['provider']}."
            case Asked.PARTY:
                return f"No party {named['party']} is registered. One that left can be shown by its address."
            case _:
                return f"{named.get('provider', 'Nobody')} never listed a service."

    @property
    def path(self) -> str:
        """Where the admin listener answers it."""
        in_path = {name: quote(text, safe="*") for name, text in self.written.items()}
        path = f"/api/v1/{self.kind.value.format_map(in_path)}"
        query = {name: text for name, text in self.written.items() if f"{{{name}}}" not in self.kind.value}
        return f"{path}?{urlencode(query)}" if query else path


def read_question(kind: Asked, written: Mapping[str, str]) -> Question:
    """Understand what was written; what does not belong to the question is passed over.

    Raises:
        BadQuestion: a name is neither a party nor an address, or there is no such standing.
    """
    wanted = {"customer", "provider", "party"} & set(written)
    names: dict[str, Name] = {}
    for name in sorted(wanted):
        try:
            names[name] = read_name(written[name])
        except ValueError as error:
            raise BadQuestion(f"{name}: {error}.") from None
    standing = None
    if "standing" in written:
        try:
            standing = Standing(written["standing"])
        except ValueError:
            raise BadQuestion("standing: must be open, held or closed.") from None
        wanted.add("standing")
    return Question(kind=kind, names=names, standing=standing, written={name: written[name] for name in sorted(wanted)})
