"""Folds a second time, for any offset and time of the logs, what people forbade and what words of control hold or end.

*People*, from ``suppressions`` and their own opt-ins. A register for each (recipient, business, scope, list) holds the latest
evidence, capped at the time it was received; revoking wins a tie (PROTOCOL.md section 1.3, 16). A stop of marketing or of a list
is over once its person joined again later by an act of their own. Suppressions are few, so they are kept whole, with the joins
of those people, and folded again for each question.

*Control*, from ``controls``. Of two words about the same target the later stands, and whoever forbids wins the same moment; a
cancelled request never comes back (section 3.1).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from broker.audit.recipients import prefixes
from schemas.facts import AudienceChange, ControlAction, ControlScope, ControlWord, Scope, Suppression
from schemas.ids import NAME_BYTES, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Terms
from schemas.reasons import Reason

_FEW: Final = 8
_EVERY_BUSINESS: Final = "*"
_EVERY_LIST: Final = ""
_STRONGEST_FIRST: Final = (
    (Scope.BLOCK, Reason.BLOCKED),
    (Scope.ALL, Reason.STOPPED_ALL),
    (Scope.MARKETING, Reason.STOPPED),
    (Scope.OFFERS, Reason.RECIPIENT_OPTED_OUT),
    (Scope.LIST, Reason.STOPPED),
)


class Stop(NamedTuple):
    """Holds one word of one person: a stop, a block, or that it was taken back."""

    offset: int
    at_ms: int
    """Log time: when it was acknowledged."""
    business: str
    scope: int
    stamp: tuple[int, bool]
    """(evidence time, forbids): the greater one holds."""
    list: str


class Joined(NamedTuple):
    """Holds one opt-in of one person, by an act of their own."""

    offset: int
    """In the log of the audience."""
    at_ms: int
    """Log time: when the opt-in was acknowledged, milliseconds since the epoch."""
    business: str
    list: str
    evidence_ms: int
    """When the person consented, milliseconds since the epoch."""
    offers: bool


class Spoken(NamedTuple):
    """All that one person said about one business."""

    stops: tuple[Stop, ...] = ()
    joins: tuple[Joined, ...] = ()

    def returned_ms(self, scope: Scope, list_id: str) -> int:
        """When the person last joined in a way that takes back a stop of this scope; before all times if never."""
        if scope is Scope.LIST:
            return max((join.evidence_ms for join in self.joins if join.list == list_id), default=-1)
        if scope in (Scope.MARKETING, Scope.OFFERS):
            return max((join.evidence_ms for join in self.joins if join.offers), default=-1)
        return -1


NOTHING: Final = Spoken()
_NOBODY: Final[Mapping[int, Spoken]] = {}


def forbids(spoken: Spoken, lane: Lane, list_id: str) -> Reason | None:
    """Returns the strongest refusal that these words mean for ``lane``; ``list_id``: the list addressed, empty for none."""
    held: dict[tuple[str, int, str], tuple[int, bool]] = {}
    for stop in spoken.stops:
        # Words about all lists are words about each.
        named = list_id if stop.list == _EVERY_LIST and stop.scope == Scope.LIST else stop.list
        register = (stop.business, stop.scope, named)
        held[register] = max(held.get(register, stop.stamp), stop.stamp)
    for scope, reason in _STRONGEST_FIRST:
        since_ms = spoken.returned_ms(scope, list_id)
        standing = any(
            forbidden and at_ms >= since_ms
            for (_, of, named), (at_ms, forbidden) in held.items()
            if of == scope and named in {list_id, _EVERY_LIST}
        )
        if standing and _reaches(scope, lane, list_id):
            return reason
    return None


def blocks(spoken: Spoken) -> Spoken:
    """The blocks among these words alone."""
    return Spoken(tuple(stop for stop in spoken.stops if stop.scope == Scope.BLOCK))


def knows_opt_out(spoken: Spoken, business: str, at_ms: int) -> bool:
    """Returns whether a stop of this business's offers with evidence of ``at_ms`` or later is among these words."""
    wanted = (business, Scope.OFFERS)
    return any((stop.business, stop.scope) == wanted and stop.stamp >= (at_ms, True) for stop in spoken.stops)


def _is_about(stop: Stop, business: str) -> bool:
    """Returns True if a word is about a business; lists are always somebody's."""
    return stop.business == business or (stop.business == _EVERY_BUSINESS and stop.scope != Scope.LIST)


def _reaches(scope: Scope, lane: Lane, list_id: str) -> bool:
    match scope:
        case Scope.LIST:
            return bool(list_id)
        case Scope.MARKETING | Scope.OFFERS:
            return lane.rules.marketing
        case Scope.ALL:
            return not lane.rules.asked_for
        case Scope.BLOCK:
            return True


def upto_offset(spoken: Spoken, suppressed: int, audience: int) -> Spoken:
    """Returns the words up to and including these offsets of the two logs."""
    return Spoken(
        tuple(stop for stop in spoken.stops if stop.offset <= suppressed),
        tuple(join for join in spoken.joins if join.offset <= audience),
    )


def upto_time(spoken: Spoken, at_ms: int, joined_ms: int | None = None) -> Spoken:
    """Returns the words that Kafka had acknowledged at ``at_ms``; opt-ins at ``joined_ms`` if that is given."""
    until_ms = at_ms if joined_ms is None else joined_ms
    return Spoken(
        tuple(stop for stop in spoken.stops if stop.at_ms <= at_ms),
        tuple(join for join in spoken.joins if join.at_ms <= until_ms),
    )


class ShardStops:
    """The suppressions of one shard, and the opt-ins of the people whom they are about. Suppressions are read first."""

    __slots__ = ("_joins", "_people", "_sorted")

    def __init__(self) -> None:
        self._people: dict[bytes, list[Stop]] = {}
        self._joins: dict[bytes, list[Joined]] = {}
        self._sorted: npt.NDArray[np.uint64] | None = None

    def add(self, offset: int, at_ms: int, entry: Suppression) -> None:
        """The next suppression of the shard's log."""
        stamp = (min(entry.evidence_ms, entry.received_ms), entry.revoke)
        named = entry.list if entry.scope == Scope.LIST else _EVERY_LIST
        stop = Stop(offset, at_ms, entry.business, entry.scope, stamp, named)
        self._people.setdefault(entry.recipient, []).append(stop)
        self._sorted = None

    def add_joins(self, offset: int, at_ms: int, change: AudienceChange) -> None:
        """The next change of the shard's audience: joins by an act of people who ever stopped something are kept."""
        if not (change.join and change.acted and self._people):
            return
        evidence = np.frombuffer(change.evidence_ms, dtype=">i8").tolist()
        for place, evidence_ms in enumerate(evidence):
            recipient = change.recipients[place * NAME_BYTES : (place + 1) * NAME_BYTES]
            if recipient in self._people:
                joined_ms = min(evidence_ms, change.received_ms)
                join = Joined(offset, at_ms, change.business, change.list, joined_ms, change.offers)
                self._joins.setdefault(recipient, []).append(join)

    def concerning(self, recipients: bytes, business: str) -> Mapping[int, Spoken]:
        """Places in a column of ids whose people ever said something about ``business``, with what they said."""
        if not self._people:
            return _NOBODY
        found: dict[int, Spoken] = {}
        for place in self._candidates(recipients):
            recipient = recipients[place * NAME_BYTES : (place + 1) * NAME_BYTES]
            said = self._people.get(recipient, ())
            stops = tuple(stop for stop in said if _is_about(stop, business))
            if stops:
                joins = tuple(join for join in self._joins.get(recipient, ()) if join.business == business)
                found[place] = Spoken(stops, joins)
        return found or _NOBODY

    def _candidates(self, recipients: bytes) -> Iterable[int]:
        count = len(recipients) // NAME_BYTES
        if count <= _FEW:
            return range(count)
        if self._sorted is None:
            self._sorted = np.sort(prefixes(b"".join(self._people)))
        asked = prefixes(recipients)
        at = np.minimum(np.searchsorted(self._sorted, asked), len(self._sorted) - 1)
        places: list[int] = np.flatnonzero(self._sorted[at] == asked).tolist()
        return places


_OPERATORS: Final = ""


class Word(NamedTuple):
    """Holds one word that concerns a request."""

    at_ms: int
    """Log time: when it was acknowledged."""
    target: tuple[int, str, str]
    action: int
    evidence_ms: int
    """Time of the event that says it, milliseconds since the epoch; of two about one target the later stands."""


Words = tuple[Word, ...]


class ControlLog:
    """Holds the words of all lanes."""

    __slots__ = ("_said", "authors")

    def __init__(self) -> None:
        self._said: dict[Lane, dict[tuple[int, str, str], list[Word]]] = defaultdict(lambda: defaultdict(list))
        self.authors: set[str] = set()
        """Events (``source id``) and operators whose words stand in the log."""

    def add(self, lane: Lane, at_ms: int, entry: ControlWord) -> None:
        """Takes the next word of the log."""
        target = (entry.scope, entry.business, entry.target)
        self._said[lane][target].append(Word(at_ms, target, entry.action, entry.evidence_ms))
        self.authors.add(entry.by)

    def concerning(self, lane: Lane, name: bytes, terms: Terms) -> Words:
        """Returns all words about a request and whatever it belongs to."""
        said = self._said.get(lane)
        if not said:
            return ()
        targets = (
            (ControlScope.REQUEST, terms.business, text_of(name)),
            (ControlScope.SUBJECT, terms.business, terms.entity),
            (ControlScope.BUSINESS, _OPERATORS, terms.business),
            (ControlScope.SENDER, _OPERATORS, terms.sender),
            (ControlScope.TEMPLATE, _OPERATORS, terms.template),
            (ControlScope.LANE, _OPERATORS, ""),
        )
        places = [(int(scope), business, target) for scope, business, target in targets]
        return tuple(
            word for place in places if place[0] != ControlScope.SUBJECT or place[2] for word in said.get(place, ())
        )


def forbidden_between(words: Words, time_ms: int, from_ms: int, until_ms: int) -> str:
    """Returns what these words forbade a request from one moment to another without a break, as of the end; empty if nothing."""
    moments = [from_ms, *(word.at_ms for word in words if from_ms < word.at_ms < until_ms), until_ms]
    verdicts = [_halted(tuple(word for word in words if word.at_ms <= moment), time_ms) for moment in moments]
    return verdicts[-1] if all(verdicts) else ""


def cancelled(words: Words, time_ms: int) -> bool:
    """Returns whether these words end a request of that event time."""
    return any(
        word.action == ControlAction.CANCEL and (word.target[0] == ControlScope.REQUEST or time_ms <= word.evidence_ms)
        for word in words
    )


def _halted(words: Words, time_ms: int) -> str:
    """Returns what these words together forbid a request of that event time: ``cancelled``, ``paused``; empty if nothing."""
    if cancelled(words, time_ms):
        return "cancelled"
    newest: dict[tuple[int, str, str], tuple[int, int]] = {}
    for word in words:
        newest[word.target] = max(newest.get(word.target, (0, 0)), (word.evidence_ms, word.action))
    return "paused" if any(action == ControlAction.PAUSE for _, action in newest.values()) else ""
