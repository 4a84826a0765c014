"""Desks for tests that are not about decisions."""

from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.chain.decisions import Decider
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.errors import StoreUnavailable


def a_closed_desk() -> Desk:
    """Its store is not open: nothing can be decided."""

    def closed() -> Decider:
        raise StoreUnavailable("the store is not open")

    return Desk(index=ConsentIndex.empty, decider=closed)
