"""Holds what the audit knows: requests by name, their parts by shard, the places of their messages, and the facts beside them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from broker.audit.clocks import GatewayClock
from broker.audit.invariants import Findings
from broker.audit.message_columns import Ranks
from broker.audit.prohibitions import ControlLog, ShardStops, Spoken, Words, blocks
from broker.audit.recipients import ShardPeople, Word
from broker.audit.sources import Logged, Place, Rules
from schemas.ids import HEARTBEAT_BUSINESS, NAME_BYTES, shard_of, text_of
from schemas.lanes import Lane
from schemas.registry import PriceCard, Sender, Template
from schemas.topics import plans


class Fact(NamedTuple):
    """Identifies the fact that a request tells: newer versions supersede it; ``whole`` is the fact about the entire entity."""

    own: bytes
    whole: bytes
    version: int
    time_ms: int
    """Time of the event, milliseconds since the epoch."""


class Request(msgspec.Struct, eq=False, gc=False):
    """Holds one name with its first valid verdict. Fields that only an accepted request has keep their default else."""

    name: bytes
    lane: Lane
    verdict: int
    place: tuple[int, int]
    """Partition and offset of the verdict."""
    verdict_ms: int
    """Log time of the verdict."""
    origin: tuple[int, int]
    """Partition and offset of the input."""
    fingerprint: bytes
    keep_ms: int
    """Until when the name is remembered, milliseconds since the epoch."""
    told: bool = False
    business: str = ""
    sender: str = ""
    list: str = ""
    card: int = 0
    category: int = 0
    start_ms: int = 0
    """When it may begin, milliseconds since the epoch."""
    expires_ms: int = 0
    """When it expires, milliseconds since the epoch."""
    test: bool = False
    """Never billed."""
    confirmation: bool = False
    """It confirms a STOP, so that only a block forbids it."""
    fact: Fact | None = None
    time_ms: int = 0
    """Of the event."""
    words: Words = ()
    """Pauses, resumptions and cancellations in whose scope it is."""

    @property
    def where(self) -> str:
        """Where the verdict stands, as it is printed."""
        return f"{plans(self.lane)}/{self.place[0]}@{self.place[1]}"

    @property
    def accepted(self) -> bool:
        """Returns whether it became messages."""
        return self.verdict == 0

    @property
    def heartbeat(self) -> bool:
        """Returns whether it is one of ours, counted apart."""
        return self.business.partition("-")[0] == HEARTBEAT_BUSINESS

    def __str__(self) -> str:
        return text_of(self.name)


class Part(msgspec.Struct, eq=False, gc=False):
    """Holds the part of a request that one shard has: its messages are ``count`` places from ``base``."""

    request: Request
    shard: int
    digest: int
    """Of the work item that the verdict makes."""
    base: int = 0
    count: int = 0
    frozen: bool = False
    """True once it is known which person has which rank: ``base`` and ``count`` hold."""
    recipients: bytes = b""
    ordinals: npt.NDArray[np.uint32] | None = None
    asked: tuple[int, ...] = ()
    """Offsets of ``work`` at which it stands."""
    opened: bool = False
    opened_ms: int = 0
    """Log time of its first opening; 0 where that is not in the log any more."""
    answered_ms: int = 0
    """The gateway's latest word in the journal."""
    heard_ms: int = 0
    """Log time of the latest decision or answer."""
    evidence_ms: int = 0
    """Log time of the latest receipt."""
    told: tuple[tuple[int, int], ...] | None = None
    """The newest status of settle: how many came to what (:mod:`broker.audit.business_topics`)."""
    told_seq: int = -1
    told_at: int = -1
    held: bool = False
    """True while deliver's journal says that nothing of it is handed off."""
    held_upto: int = -1
    stops: Mapping[int, Spoken] | None = None
    """By rank, everybody who ever said something; None: not looked up yet."""
    leavers: Mapping[int, Sequence[Word]] | None = None
    """By rank, everybody who ever left the list that it is addressed to; None: not looked up yet."""

    def freeze(self, recipients: bytes, base: int) -> None:
        """Its ranks are these people, at the places from ``base``."""
        self.recipients, self.count, self.base, self.frozen = recipients, len(recipients) // NAME_BYTES, base, True

    @property
    def listed(self) -> bool:
        """Returns whether it is addressed to a list."""
        return bool(self.request.list)

    def __str__(self) -> str:
        return f"request {self.request}, shard {self.shard}"


class Registered:
    """Holds what operators registered; of entries that changed every version is kept."""

    def __init__(self) -> None:
        self.senders: dict[str, list[tuple[int, Sender]]] = defaultdict(list)
        """Log time and entry of every version."""
        self.templates: dict[str, list[Template]] = defaultdict(list)
        self.cards: dict[int, PriceCard] = {}
        self._sealed: dict[str, tuple[int, frozenset[str]]] = {}
        """Template -> how many versions were looked at, and what was found."""

    def sealed_parameters(self, template: str) -> frozenset[str]:
        """The slots of a template that hold secrets."""
        versions = self.templates.get(template, ())
        looked_at, found = self._sealed.get(template, (0, frozenset()))
        if looked_at != len(versions):
            found = frozenset(p.name for entry in versions for p in entry.parameters if p.sealed)
            self._sealed[template] = (len(versions), found)
        return found


class Book:
    """All of it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.findings = Findings()
        self.counts: Counter[str] = Counter()
        """Figures that are no violations: repeats absorbed, voids, late receipts and the like."""
        self.registered = Registered()
        self.requests: dict[bytes, Request] = {}
        self.parts: dict[tuple[Lane, int], dict[bytes, Part]] = defaultdict(dict)
        self.ranks = Ranks()
        self.people: dict[int, ShardPeople] = defaultdict(ShardPeople)
        self.stops: dict[int, ShardStops] = defaultdict(ShardStops)
        self.controls = ControlLog()
        self.dead: dict[tuple[str, int, int], str] = {}
        """(topic, partition, offset) of every dead letter -> SHA-256 of its payload."""
        self.void_sends: dict[tuple[Lane, int, bytes], list[tuple[int, int]]] = defaultdict(list)
        """Rank intervals that void records decided to send."""
        self.void_names: set[bytes] = set()
        """Names that void records gave verdicts about."""
        self.opt_ins: dict[bytes, bool] = {}
        """Name of every opt-in -> whether the audience has all of it."""
        self.commands: dict[bytes, bool] = {}
        """Name of every control event -> whether its word stands in ``controls``."""
        self.answered: set[tuple[bytes, int]] = set()
        """(name, offset) of inputs that a status answered without a verdict of their own."""
        self.begun: dict[Place, tuple[int, int]] = {}
        """First offset and first time of each log that was read."""
        self.clocks = {lane: GatewayClock(rules.skew_ms) for lane in Lane}

    def stops_of(self, part: Part) -> Mapping[int, Spoken]:
        """By rank, everybody of ``part`` who ever said something about its business."""
        if part.stops is None:
            spoken = self.stops[part.shard].concerning(part.recipients, part.request.business)
            part.stops = {at: blocks(said) for at, said in spoken.items()} if part.request.confirmation else spoken
        return part.stops

    def leavers_of(self, part: Part) -> Mapping[int, Sequence[Word]]:
        """By rank, everybody of ``part`` who ever left its list, and all that was said about them."""
        if part.leavers is None:
            left = self.people[part.shard].list(part.request.business, part.request.list).leavers()
            ordinals = part.ordinals.tolist() if part.ordinals is not None and left else ()
            part.leavers = {rank: left[ordinal] for rank, ordinal in enumerate(ordinals) if ordinal in left}
        return part.leavers

    def all_parts(self) -> Iterator[Part]:
        """Every part of every accepted request."""
        for shard in self.parts.values():
            yield from shard.values()

    def begins(self, place: Place) -> int:
        """The offset at which a log begins."""
        given = self.rules.starts.get(place)
        return given if given is not None else self.begun.get(place, (0, 0))[0]

    def trimmed(self, place: Place, at_ms: int) -> bool:
        """Returns whether what was written to a log at ``at_ms`` may have been taken by retention."""
        return self.begins(place) > 0 and at_ms <= self.begun.get(place, (0, self.rules.now_ms))[1]

    def excused(self, lane: Lane, at_ms: int) -> bool:
        """Returns whether the verdict behind something said at ``at_ms`` may have been taken by retention."""
        windows = self.rules.windows[lane]
        return any(
            place[0] == plans(lane) and first > 0 and at_ms <= first_ms + windows.settle_fold_ms
            for place, (first, first_ms) in self.begun.items()
        )

    def knows(self, recipient: bytes) -> bool:
        """Returns whether a recipient id is one of the people of this dump. Slow: for what is found, not for searching."""
        shard = shard_of(recipient, self.rules.shards)
        if self.people[shard].knows(recipient):
            return True
        return any(recipient in part.recipients for lane in Lane for part in self.parts[lane, shard].values())

    def committed(self, record_place: Place, offset: int) -> bool:
        """Returns whether a group says that it has finished that input."""
        return offset < self.rules.committed.get(record_place, 0)


class LogOrder:
    """Watches that each log is dense and in order (compacted ones excepted)."""

    def __init__(self, begun: dict[Place, tuple[int, int]]) -> None:
        self._begun = begun
        self._next: dict[str, dict[int, int]] = defaultdict(dict)

    def ends(self, topic: str) -> dict[int, int]:
        """By partition, which offset comes next. Who reads a record raises it, and asks about one that is not next."""
        return self._next[topic]

    def missing_before(self, record: Logged) -> int:
        """Returns how many records are missing between the one before and this one; negative if they are out of order."""
        ends = self._next[record.topic]
        expected = ends.get(record.partition)
        if expected is None:
            self._begun[record.topic, record.partition] = (record.offset, record.timestamp_ms)
            return 0
        return record.offset - expected

    def covers(self, place: Place, offset: int, begin: int) -> bool:
        """Returns whether a log holds, or once held, a record at ``offset``."""
        return offset < begin or offset < self._next[place[0]].get(place[1], 0)
