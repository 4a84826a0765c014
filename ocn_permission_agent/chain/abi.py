"""Topics and selectors of the Registry and Permissions contracts, and calldata for the questions we ask.

Every function was called on the real bytecode. `hasUserAgreementByOcpi` and its like are deliberately absent: they
answer for parties that do not exist (permissions-contract.md T10, T13; consent.md C9).
"""

from ocn_permission_agent.chain.text import party_bytes
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.ocn.keccak import keccak
from ocn_permission_agent.ocpi.party import Party

#: 32-byte topics
SERVICE_UPDATE = keccak(b"ServiceUpdate(string,string,uint256[],address)")
SERVICE_AGREEMENT = keccak(b"ServiceAgreement(address,address)")
PARTY_UPDATE = keccak(b"PartyUpdate(bytes2,bytes3,address,uint8[],uint8[],uint8[],address)")
OPERATOR_UPDATE = keccak(b"OperatorUpdate(address,string)")
TOPICS = (SERVICE_UPDATE, SERVICE_AGREEMENT, PARTY_UPDATE, OPERATOR_UPDATE)

_GET_SERVICE = keccak(b"getService(address)")[:4]
_HAS_AGREEMENT = keccak(b"hasUserAgreementByAddress(address,address)")[:4]
_PARTY_BY_ADDRESS = keccak(b"getPartyDetailsByAddress(address)")[:4]
_PARTY_BY_KEY = keccak(b"getPartyDetailsByOcpi(bytes2,bytes3)")[:4]
_GET_PARTIES = keccak(b"getParties()")[:4]
_GET_PROVIDERS = keccak(b"getProviders()")[:4]
_AGREEMENTS_OF = keccak(b"getUserAgreementsByAddress(address)")[:4]
_GET_NODE = keccak(b"getNode(address)")[:4]


def get_service(provider: Address) -> bytes:
    """Permissions: what a provider lists."""
    return _GET_SERVICE + _word(provider)


def has_agreement(customer: Address, provider: Address) -> bytes:
    """Permissions: whether an agreement stands."""
    return _HAS_AGREEMENT + _word(customer) + _word(provider)


def party_by_address(account: Address) -> bytes:
    """Registry: the party of an address."""
    return _PARTY_BY_ADDRESS + _word(account)


def party_by_key(party: Party) -> bytes:
    """Registry: the address of a party, for the backward check of C1 alone."""
    country_code, party_id = party_bytes(party)
    return _PARTY_BY_KEY + country_code.ljust(32, b"\0") + party_id.ljust(32, b"\0")


def get_node(operator: Address) -> bytes:
    """Registry: an operator's domain."""
    return _GET_NODE + _word(operator)


def get_parties() -> bytes:
    """Registry: every address that ever registered a party."""
    return _GET_PARTIES


def get_providers() -> bytes:
    """Permissions: an address for each time that somebody listed a service without having one."""
    return _GET_PROVIDERS


def agreements_of(customer: Address) -> bytes:
    """Permissions: a provider for each grant of a customer, revoked ones too (T2). Never the truth, only a count."""
    return _AGREEMENTS_OF + _word(customer)


def _word(account: Address) -> bytes:
    return bytes(12) + bytes.fromhex(account[2:])
