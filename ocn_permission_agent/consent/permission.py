"""The 17 permissions of a service and what they cover (permissions-contract.md §6, consent.md C3).

An id stands for requests to one interface of one module; 0, 1 and 2 stand for many at once. Two sets of ids are
therefore compared by what they cover, never id by id: a customer that agreed to ``{0}`` has agreed to what ``{6}``
covers.
"""

from collections.abc import Iterable

from ocn_permission_agent.ocpi.route import InterfaceRole, Module

#: One interface of one module: what a request is sent to, and the smallest thing that can be agreed to.
Interface = tuple[Module, InterfaceRole]

ALL = 0
ALL_SENDER = 1
ALL_RECEIVER = 2

#: The order in which the contract numbers the modules, from id 3: sender, receiver, next module.
_NUMBERED = (
    Module.LOCATIONS,
    Module.SESSIONS,
    Module.CDRS,
    Module.TARIFFS,
    Module.TOKENS,
    Module.COMMANDS,
    Module.CHARGING_PROFILES,
)
_ROLES = (InterfaceRole.SENDER, InterfaceRole.RECEIVER)
_INTERFACES: tuple[Interface, ...] = tuple((module, role) for module in _NUMBERED for role in _ROLES)
_ID_OF: dict[Interface, int] = {interface: 3 + index for index, interface in enumerate(_INTERFACES)}

#: Every id that means something; anybody can put others into a listing, and they are ignored (C10).
KNOWN_IDS = frozenset(range(17))
#: Copied commands cannot be told from real ones: these modules are sent only where a listing names them (13-16).
EXPLICIT_ONLY = frozenset({Module.COMMANDS, Module.CHARGING_PROFILES})

_COVERED: dict[int, frozenset[Interface]] = {
    ALL: frozenset(_INTERFACES),
    ALL_SENDER: frozenset(interface for interface in _INTERFACES if interface[1] is InterfaceRole.SENDER),
    ALL_RECEIVER: frozenset(interface for interface in _INTERFACES if interface[1] is InterfaceRole.RECEIVER),
    **{number: frozenset({interface}) for interface, number in _ID_OF.items()},
}


def permission_for(module: Module, role: InterfaceRole) -> int:
    """The narrowest id that covers requests to this interface: 3 to 16."""
    return _ID_OF[module, role]


def interfaces(permissions: Iterable[int]) -> frozenset[Interface]:
    """Everything that the ids cover; unknown ids cover nothing."""
    return frozenset().union(*(_COVERED.get(number, frozenset()) for number in permissions))


def covers(permissions: Iterable[int], module: Module, role: InterfaceRole) -> bool:
    """Whether any of the ids covers requests to this interface; unknown ids cover nothing."""
    wanted = (module, role)
    return any(wanted in _COVERED.get(number, frozenset()) for number in permissions)


def effective(agreed: Iterable[int], current: Iterable[int]) -> frozenset[Interface]:
    """What was agreed to and is still asked for (C3): widening is withheld, narrowing counts."""
    return interfaces(agreed) & interfaces(current)


def describe(number: int) -> str:
    """The permission in words, for people who decide; raises ValueError above 16."""
    if number == ALL:
        return "all requests of every module"
    if number == ALL_SENDER:
        return "all requests to sender interfaces"
    if number == ALL_RECEIVER:
        return "all requests to receiver interfaces"
    for (module, role), known in _ID_OF.items():
        if known == number:
            return f"{module.value}, {role.value} interface"
    raise ValueError(f"{number} is not a permission: 0 to 16 are known")
