"""Nobody is given up while nothing forbids telling them and there is time: what ended too soon, as far as the logs can prove it.

- An answer of the gateway that says *later* (throttled, ill, a frame past its time) ends nothing before the expiry.
- What ended as the platform's refusal was refused: with a code, and the gateway's own log has that line.
- Nothing is called expired before its expiry: by the worker's clock if the broker says so, as far as Kafka's bears it out, by the
  gateway's if the gateway does.
- What expires *untried* (never decided to be sent, never told to wait) had no room: if it was open in its shard for
  :data:`OPEN_MS`, if the gateway took something of that shard in both halves of the last :data:`LAST_MS` (so owner and gateway
  were there), and if its sender's lane used less than a twentieth of that shard's part of its share meanwhile, it was forgotten.

What was tried at least once and expired then is no finding: the journal does not say what the gateway would have answered.
"""

from collections import defaultdict
from typing import Final

import msgspec
import numpy as np

from broker.audit.invariants import Breach
from broker.audit.journal_rules import FIRST_TERMINAL, Said
from broker.audit.knowledge import Book, Part
from broker.audit.limit_checks import Handed, share_of
from broker.audit.sources import Limits
from schemas.gateway_api import Code, GatewayEvent
from schemas.ids import name_of
from schemas.lanes import Lane
from schemas.reasons import Reason, State, word_of

OPEN_MS: Final = 20_000
"""Milliseconds that a message must have been open to be judged; after less it may not have had its turn."""
LAST_MS: Final = 10_000
"""The span before an expiry in which the shard must have been at work, and its sender idle."""
_USED: Final = 20
"""A number is idle that used less than a twentieth of its share: a machine that is too busy misses most slots, and not all."""
_LATER: Final = frozenset(
    {Code.STALE_FRAME, Code.SENDER_THROTTLED, Code.TRANSIENT, Code.SERVICE_UNAVAILABLE, Code.PAIR_THROTTLED}
)
_PLATFORMS: Final = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.TEMPLATE_REFUSED,
        Reason.CONTENT_REFUSED,
        Reason.CODE_NOT_OPENED,
        Reason.SENDER_RESTRICTED,
        Reason.GATEWAY_REFUSED,
    }
)
"""Ends that only an answer of the gateway can bring."""

_Shard = tuple[Lane, int]


class _Untried(msgspec.Struct, eq=False, gc=False):
    """Messages of one part that expired without having been tried."""

    part: Part
    count: int
    where: str


class Early:
    """Takes decisions and answers first, then the gateway's logs; :meth:`close` says what ended too soon."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._refused: dict[int, tuple[int, Part, str]] = {}
        """Place of each message that the gateway is said to have refused: its code, its part, where that stands."""
        self._untried: list[_Untried] = []
        self._handed: dict[tuple[Lane, int, str], Handed] = defaultdict(Handed)
        """Hand-offs by shard and sender, heartbeats among them."""

    # -- the journal

    def excepted(self, said: Said, part: Part, rank: int, status: int, *, code: int, gateway_ms: int) -> None:
        """An answer about one message that is not *accepted*; ``code`` 0: it was withheld, and the gateway not asked."""
        message = f"{part}, rank {rank}, {word_of(status)}"
        expires_ms = part.request.expires_ms
        if status == Reason.EXPIRED:
            if (gateway_ms if code else said.at_ms) < expires_ms:
                self._book.findings.report(Breach.EXPIRED_EARLY, said.record.where, message)
        elif _too_soon(status, code) and said.at_ms < expires_ms:
            self._book.findings.report(Breach.ENDED_EARLY, said.record.where, f"{message} for code {code}")
        if code and status >= FIRST_TERMINAL and said.record.timestamp_ms <= self._book.rules.now_ms:
            self._refused[part.base + rank] = (code, part, said.record.where)

    def expired(self, said: Said, part: Part, lo: int, hi: int) -> None:
        """The broker decided that these places have expired."""
        if said.at_ms < part.request.expires_ms:
            detail = f"{part}, rank {lo - part.base}, {hi - lo} in all"
            self._book.findings.report(Breach.EXPIRED_EARLY, said.record.where, detail, messages=hi - lo)
        since_ms = max(part.opened_ms, part.request.start_ms)
        untried = self._book.ranks.status.count(State.PENDING, lo, hi)
        if untried and part.opened_ms and not part.request.words and since_ms + OPEN_MS <= part.request.expires_ms:
            self._untried.append(_Untried(part, untried, said.record.where))

    # -- the gateway's logs

    def refused(self, event: GatewayEvent, part: Part | None) -> None:
        """The gateway wrote that it refused some ranks."""
        if part is None or not self._refused:
            return
        for first, count in event.ranks:
            for place in range(part.base + first, part.base + first + count):
                if place in self._refused and self._refused[place][0] == event.code:
                    del self._refused[place]

    def handed(self, event: GatewayEvent, lane: Lane, count: int, at_ms: int) -> None:
        """The gateway took ``count`` messages at ``at_ms`` by Kafka's clock."""
        self._handed[lane, event.shard, event.sender].add(at_ms, count)

    def close(self) -> None:
        """Report what the gateway never said, and who was forgotten."""
        for place, (code, part, where) in self._refused.items():
            detail = f"{part}, rank {place - part.base}, code {code} is not in the gateway's log"
            self._book.findings.report(Breach.ENDED_EARLY, where, detail)
        limits = self._book.rules.limits
        if limits is None or not self._untried:
            return
        busy: dict[_Shard, list[Handed]] = defaultdict(list)
        for (lane, number, _), handed in self._handed.items():
            busy[lane, number].append(handed)
        for untried in self._untried:
            shard = (untried.part.request.lane, untried.part.shard)
            if self._at_work(busy[shard], untried.part.request.expires_ms) and self._idle(untried.part, limits):
                detail = f"{untried.part}, {untried.count} untried"
                self._book.findings.report(Breach.EXPIRED_IDLE, untried.where, detail, messages=untried.count)

    def _at_work(self, handed: list[Handed], expires_ms: int) -> bool:
        """Returns whether the shard handed something off in both halves of the last span before ``expires_ms``."""
        halves = ((expires_ms - LAST_MS, expires_ms - LAST_MS // 2), (expires_ms - LAST_MS // 2, expires_ms))
        return all(any(_between(one, *half) for one in handed) for half in halves)

    def _idle(self, part: Part, limits: Limits) -> bool:
        request = part.request
        versions = self._book.registered.senders.get(request.sender, ())
        shares = [share_of(sender, request.lane.word, limits.shares) for _, sender in versions]
        part_of_share = min(shares, default=0) * LAST_MS // 1_000 // self._book.rules.shards
        handed = self._handed.get((request.lane, part.shard, request.sender))
        used = 0 if handed is None else _between(handed, request.expires_ms - LAST_MS, request.expires_ms)
        return used * _USED < part_of_share


def _too_soon(status: int, code: int) -> bool:
    """Returns whether an answer ends a message for a code that means *later*, or as the platform's refusal without a code."""
    if code in _LATER:
        return status >= FIRST_TERMINAL or status == State.IN_DOUBT
    return status in _PLATFORMS and not code


def _between(handed: Handed, from_ms: int, until_ms: int) -> int:
    """Returns how many messages were handed off in a span."""
    times = np.frombuffer(handed.at_ms, dtype=np.int64)
    counts = np.frombuffer(handed.counts, dtype=np.uint32)
    return int(counts[(times >= from_ms) & (times < until_ms)].sum())


def part_of(book: Book, event: GatewayEvent, lane: Lane) -> Part | None:
    """The part that a line of the gateway's log is about, if its ranks are known."""
    part = book.parts[lane, event.shard].get(name_of(event.request))
    return part if part is not None and part.frozen else None
