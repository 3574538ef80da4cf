"""Versions of facts: never an older one after a newer one.

A fact is (business, entity, facet); its version is the producer's, rising. The newest is kept per shard, set at takeover
before any hand-off, and asked again at every hand-off (PROTOCOL.md section 4). Facet ``*`` (a cancellation) dominates
every fact of its entity whose event time is not newer.
"""

from collections.abc import Iterable, Iterator

from schemas.delivery_journal import Newest
from schemas.ids import fact_key
from schemas.lanes import HOUR_MS
from schemas.plan_journal import Terms

ALL_FACETS = "*"
_NEVER = Newest(b"", -1, -1, 0)


class Versions:
    """The newest version of each fact that this shard was asked to tell."""

    __slots__ = ("_newest", "_stated_ms")

    def __init__(self) -> None:
        self._newest: dict[bytes, Newest] = {}
        self._stated_ms: dict[bytes, int] = {}
        """When the journal last said a fact's newest version, milliseconds since the epoch; missing while no record has it."""

    def see(self, terms: Terms, at_ms: int | None = None) -> None:
        """A request about a fact was taken; ``at_ms`` when the journal says so, None while it does not yet."""
        if terms.version < 0:
            return
        fact = fact_key(terms.business, terms.entity, terms.facet)
        old = self._newest.get(fact, _NEVER)
        # As long as the name's window: whatever was published before this version is refused as stale after it.
        keep_ms = max(old.keep_ms, terms.expires_ms + HOUR_MS, terms.keep_ms)
        newer = (terms.version, terms.time_ms) >= (old.version, old.time_ms)
        version, time_ms = (terms.version, terms.time_ms) if newer else (old.version, old.time_ms)
        self._newest[fact] = Newest(fact, version, time_ms, keep_ms)
        if at_ms is not None and newer:  # the opening of an older version says nothing of the newest
            self._stated_ms[fact] = at_ms

    def restore(self, entry: Newest, at_ms: int) -> None:
        """A restated entry was folded."""
        old = self._newest.get(entry.fact, _NEVER)
        best = max(entry, old, key=lambda one: (one.version, one.time_ms))
        self._newest[entry.fact] = Newest(entry.fact, best.version, best.time_ms, max(entry.keep_ms, old.keep_ms))
        self._stated_ms[entry.fact] = at_ms

    def superseded(self, terms: Terms) -> bool:
        """Returns whether a newer version of what this request tells is known."""
        if terms.version < 0:
            return False
        own = self._newest.get(fact_key(terms.business, terms.entity, terms.facet), _NEVER)
        if own.version > terms.version:
            return True
        if terms.facet == ALL_FACETS:
            return False
        whole = self._newest.get(fact_key(terms.business, terms.entity, ALL_FACETS), _NEVER)
        # By event time and not by version: a cancellation is numbered among those of facet ``*``, not among this one's.
        return whole.time_ms >= terms.time_ms

    def facts(self) -> list[bytes]:
        """Returns the facts of which the journal has said a newest version."""
        return list(self._stated_ms)

    def stated_until(self, stamp_ms: int, now_ms: int, among: Iterable[bytes]) -> Iterator[Newest]:
        """Entries ``among`` some facts that were last said until ``stamp_ms`` and still matter; forgets the others."""
        for fact in among:
            if self._stated_ms.get(fact, stamp_ms + 1) > stamp_ms:
                continue
            entry = self._newest[fact]
            if entry.keep_ms > now_ms:
                yield entry
            else:
                del self._newest[fact], self._stated_ms[fact]
