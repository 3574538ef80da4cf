"""Recomputes every limit over the union of the gateway's logs: what one person gets, and what each sender number sends.

*A person*: :data:`PERSON_LIMITS` has a row for each limit.

*A number's throughput:* its lanes together keep within a bucket that holds one second of its rate, once a listener, because
listeners count apart (PROTOCOL.md section 1.4).

*A number's windows.* In any T seconds a lane may hand off R*T + 2q + 2eR + b messages of a sender (PROTOCOL.md section 5): R is
the lane's share of the sender's throughput, q = max(1, R/50) a tick's worth at both ends, e what clocks and a frame's way may
differ by, b = R/10 the burst with which plan reserves for explicit recipients. Every window that ends at an acceptance is looked
at. Heartbeats are exempt, and no throughput counts against them.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from broker.audit.invariants import Breach, Findings
from broker.audit.recipients import prefixes
from broker.audit.sources import Limits
from schemas.gateway_api import GatewayEvent
from schemas.ids import NAME_BYTES
from schemas.registry import Sender

WINDOWS_S: Final = (1, 10)
"""The windows that are looked at."""
_REGISTERED_MS: Final = 10_000
"""So long after a new rate was registered the one before may still be used."""
_TICKS_PER_S: Final = 20
_BURSTS_PER_S: Final = 10

_Numbers = npt.NDArray[np.int64]
Versions = Sequence[tuple[int, Sender]]
"""Every version of a sender: from when, and what was registered."""


class Handed:
    """Acceptances of one sender in one lane, as columns in the order of the log."""

    __slots__ = ("at_ms", "counts")

    def __init__(self) -> None:
        self.at_ms = array("q")
        self.counts = array("I")

    def add(self, at_ms: int, count: int) -> None:
        """Takes an acceptance of ``count`` messages."""
        self.at_ms.append(at_ms)
        self.counts.append(count)

    def bursts(self) -> Iterator[tuple[int, int]]:
        """Time and count of each acceptance."""
        return zip(self.at_ms, self.counts, strict=True)


class Busiest(msgspec.Struct, frozen=True):
    """The window of one length in which a lane of a sender came nearest to its bound."""

    sender: str
    lane: str
    seconds: int
    messages: int
    """Handed off in it."""
    bound: int
    ends_ms: int
    """When it ended."""

    @property
    def share(self) -> float:
        """Returns how much of the bound was used; above 1 it was broken."""
        return self.messages / self.bound


class Rates:
    """The hand-offs of all senders, by lane."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._handed: dict[tuple[str, str], Handed] = defaultdict(Handed)
        self._listeners: dict[str, set[int]] = defaultdict(set)

    def add(self, event: GatewayEvent, count: int, at_ms: int, log: int) -> None:
        """Takes an acceptance of ``count`` messages by the listener that writes ``log``, at ``at_ms`` by Kafka's clock."""
        self._handed[event.sender, event.lane].add(at_ms, count)
        self._listeners[event.sender].add(log)

    def close(self, findings: Findings, senders: Mapping[str, Versions]) -> tuple[Busiest, ...]:
        """Report what went too fast; the busiest windows of all that have a rate, those nearest to their bound first."""
        self._close_throughput(findings, senders)
        found: list[Busiest] = []
        for (sender, lane), handed in self._handed.items():
            if sender in senders:
                found += self._busiest(sender, lane, handed, senders[sender])
        for one in found:
            if one.messages > one.bound:
                detail = f"{one.sender}, {one.lane}: {one.messages} in {one.seconds} s, {one.bound} allowed"
                findings.report(Breach.RATE_EXCEEDED, "gateway", detail, messages=one.messages - one.bound)
        return tuple(sorted(found, key=lambda one: one.share, reverse=True))

    def _close_throughput(self, findings: Findings, senders: Mapping[str, Versions]) -> None:
        of_sender: dict[str, list[Handed]] = defaultdict(list)
        for (sender, _), handed in self._handed.items():
            of_sender[sender].append(handed)
        for sender, each in of_sender.items():
            rates = [entry.rate_per_s for _, entry in senders.get(sender, ())]
            if rates:
                bursts = sorted(burst for one in each for burst in one.bursts())
                self._throughput(findings, sender, max(rates), bursts)

    def _throughput(self, findings: Findings, sender: str, rate_per_s: int, bursts: Iterable[tuple[int, int]]) -> None:
        saved_ms = self._limits.sender_burst_ms * len(self._listeners[sender]) + self._limits.jitter_ms
        tokens = deepest = rate_per_s * saved_ms / 1_000
        then_ms = over = 0
        for at_ms, count in bursts:
            tokens = min(deepest, tokens + (at_ms - then_ms) * rate_per_s / 1_000) - count
            then_ms = at_ms
            if tokens < 0:
                over += round(-tokens)
                tokens = 0.0
        if over:
            detail = f"{sender} at {rate_per_s}/s, {over} messages over"
            findings.report(Breach.SENDER_LIMIT, "gateway", detail, messages=over)

    def _busiest(self, sender: str, lane: str, handed: Handed, versions: Versions) -> Iterator[Busiest]:
        times = np.frombuffer(handed.at_ms, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        times = times[order]
        through = np.cumsum(np.frombuffer(handed.counts, dtype=np.uint32)[order], dtype=np.int64)
        for seconds in WINDOWS_S:
            before = np.searchsorted(times, times - seconds * 1_000, side="right")
            messages = through - np.where(before, through[before - 1], 0)
            bounds = self.bound(_per_s(times, seconds, lane, versions, self._limits), seconds)
            worst = int(np.argmax(messages / bounds))
            yield Busiest(sender, lane, seconds, int(messages[worst]), int(bounds[worst]), int(times[worst]))

    def bound(self, per_s: _Numbers, seconds: int) -> _Numbers:
        """Returns how many messages a lane with this share may hand off in any window of this length."""
        ticks = 2 * np.maximum(1, per_s // _TICKS_PER_S)
        clocks = 2 * self._limits.drift_ms * per_s // 1_000
        bounds: _Numbers = per_s * seconds + ticks + clocks + np.maximum(1, per_s // _BURSTS_PER_S)
        return bounds


def _per_s(times: _Numbers, seconds: int, lane: str, versions: Versions, limits: Limits) -> _Numbers:
    """For each window's end the greatest share that was registered within it."""
    per_s = np.zeros(len(times), dtype=np.int64)
    ends = [*(from_ms for from_ms, _ in versions[1:]), None]
    for place, ((from_ms, sender), until_ms) in enumerate(zip(versions, ends, strict=True)):
        held = np.ones(len(times), dtype=np.bool_) if place == 0 else times >= from_ms
        if until_ms is not None:
            held &= times - seconds * 1_000 - _REGISTERED_MS < until_ms
        per_s[held] = np.maximum(per_s[held], share_of(sender, lane, limits.shares))
    return per_s


def share_of(sender: Sender, lane: str, shares: Mapping[str, int]) -> int:
    """Messages a second that a lane has of a sender's throughput; ``shares`` are percentages where it names none."""
    return sender.rate_per_s * (sender.shares or shares).get(lane, 0) // 100


def nearest(busiest: Iterable[Busiest], count: int) -> dict[str, dict[str, int]]:
    """The ``count`` lanes of senders that came nearest to a bound, as JSON."""
    found: dict[str, dict[str, int]] = {}
    for one in busiest:
        key = f"{one.sender} {one.lane}"
        if key in found or len(found) < count:
            figures = found.setdefault(key, {})
            figures[f"worst_{one.seconds}s"], figures[f"bound_{one.seconds}s"] = one.messages, one.bound
    return found


def _over_pair_limit(times_ms: Sequence[int], limits: Limits) -> list[int]:
    """GCRA: a message every so often, and a burst borrowed from the future."""
    slack_ms = limits.pair_every_ms * (limits.pair_burst - 1) + limits.jitter_ms
    over: list[int] = []
    paid_ms = 0
    for at_ms in times_ms:
        paid_ms = max(paid_ms, at_ms)
        if paid_ms - at_ms > slack_ms:
            over.append(at_ms)
        else:
            paid_ms += limits.pair_every_ms
    return over


class PersonLimit(NamedTuple):
    """Holds how one limit is checked."""

    word: str
    group: Callable[[GatewayEvent], str | None]
    """Returns in which group a hand-off counts, for each person by themselves; None: it does not count."""
    most: Callable[[Limits], int]
    """Returns how many messages to one person are legal whenever they came: nobody with fewer is looked at."""
    over: Callable[[Sequence[int], Limits], Sequence[int]]
    """Returns which of the times (ms, ascending) of one person's messages were too soon.

    They are the gateway's acceptances. A limit that counts at the first decision forgives what may lie between the two.
    """


PERSON_LIMITS: Final = (
    PersonLimit("pair limit", lambda event: event.sender, lambda limits: limits.pair_burst, _over_pair_limit),
)


class _Told:
    """When each person of each group was handed a message: 16 bytes a message."""

    __slots__ = ("_at_ms", "_pairs", "_seeds")

    def __init__(self) -> None:
        self._pairs = array("Q")
        """The first 8 bytes of the recipient, mixed with the group."""
        self._at_ms = array("q")
        self._seeds: dict[str, int] = {}

    def add(self, group: str, recipients: bytes, at_ms: int) -> None:
        """Takes an acceptance."""
        seed = self._seeds.get(group)
        if seed is None:
            seed = self._seeds[group] = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest())
        people = prefixes(recipients) ^ np.uint64(seed)
        self._pairs.frombytes(people.tobytes())
        self._at_ms.extend([at_ms] * len(people))

    def more_than(self, most: int) -> Iterator[list[int]]:
        """Yields the times of each person with more than ``most`` messages, ascending."""
        pairs = np.frombuffer(self._pairs, dtype=np.uint64)
        times = np.frombuffer(self._at_ms, dtype=np.int64)
        order = np.lexsort((times, pairs))
        times = times[order]
        _, firsts, counts = np.unique(pairs[order], return_index=True, return_counts=True)
        for at in (counts > most).nonzero()[0]:
            yield times[firsts[at] : firsts[at] + counts[at]].tolist()


class LimitsKept:
    """Takes every acceptance; :meth:`close` says which were too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._told = [(limit, _Told()) for limit in PERSON_LIMITS]
        self._rates = Rates(limits)

    def handed(self, event: GatewayEvent, recipients: bytes, at_ms: int, log: int) -> None:
        """Takes an acceptance by the listener that writes ``log``, at ``at_ms`` by Kafka's clock."""
        for limit, told in self._told:
            group = limit.group(event)
            if group is not None:
                told.add(group, recipients, at_ms)
        self._rates.add(event, len(recipients) // NAME_BYTES, at_ms, log)

    def close(self, findings: Findings, senders: Mapping[str, Versions]) -> tuple[Busiest, ...]:
        """Report what went too fast; the busiest windows of each sender's lanes."""
        for limit, told in self._told:
            for times_ms in told.more_than(limit.most(self._limits)):
                over = limit.over(times_ms, self._limits)
                if over:
                    detail = (
                        f"{limit.word}: {len(over)} of {len(times_ms)} messages to one person, the first at {over[0]}"
                    )
                    findings.report(Breach.PERSON_LIMIT, "gateway", detail, messages=len(over))
        return self._rates.close(findings, senders)
