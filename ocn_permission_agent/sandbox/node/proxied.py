"""What a node keeps under numbers of its own: next pages, the URLs of CDRs, callbacks (ocn-protocol.md b.4, f)."""

from dataclasses import dataclass

from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """A URL of `holder` that `asker` may reach through the node; `uid` is its number or the UUID another node gave."""

    uid: str
    resource: str
    asker: Party
    holder: Party


class ProxyNumbers:
    """All of them; numbers start at 1 and are never used twice."""

    def __init__(self) -> None:
        self._kept: dict[str, Proxied] = {}
        self._last_number = 0

    def keep(self, resource: str, *, asker: Party, holder: Party, uid: str | None = None) -> str:
        """Keep a URL; gives the uid, a new number unless one is given."""
        if uid is None:
            self._last_number += 1
            uid = str(self._last_number)
        self._kept[uid] = Proxied(uid=uid, resource=resource, asker=asker, holder=holder)
        return uid

    def find(self, uid: str, *, asker: Party, holder: Party) -> Proxied | None:
        """What stands under `uid` for exactly this pair, ignoring case."""
        kept = self._kept.get(uid)
        if kept is None or kept.asker.folded != asker.folded or kept.holder.folded != holder.folded:
            return None
        return kept

    def drop(self, uid: str) -> None:
        """Forget it: a next page is fetched once."""
        self._kept.pop(uid, None)
