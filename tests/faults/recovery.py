"""How long a fault silenced the shards that it hit, by the hand-offs that the gateway accepted.

The figure of a shard is its longest silence from the harm until everything was back: mostly the time to its next hand-off, but a
worker that learns of its end a little later, or a neighbour's coming and going, is not let off for a hand-off in between.
A fault counts only if it was alone on its lanes: one that was followed by another before it was over, or came while another
was not, is counted as *overlapped* and measured as part of no class. What the load itself leaves silent between two
hand-offs of a shard is said beside it: no recovery can be seen sooner.
"""

import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from schemas.lanes import Lane
from streams.dev.kafka.cluster import BROKER_SESSION_MS
from streams.dev.recordings.playback import Latencies
from tests.faults.brokers import FREEZE_S, STALL_S
from tests.faults.disks import FULL_S
from tests.faults.gateways import ILL_S
from tests.faults.scene import SESSION_MS, Done, Place

BOUNDS_S: Final = {
    "kill": 5.0,
    "point": 5.0,
    "claim": 5.0,
    "sigterm": 3.0,
    "sigstop": SESSION_MS / 1000 + 3,
    "disk": FULL_S + 5,
    "stall": STALL_S + 3,
    "freeze": FREEZE_S + 5,
    "broker": BROKER_SESSION_MS / 1000 + 5,
    "ill": ILL_S + 5,
    "throttle": 5.0,
    "skew": 5.0,
}
"""By kind of fault: what recovery may last at most."""

HandOffs = Mapping[Place, Sequence[int]]
"""Times of accepted hand-offs by shard, ascending."""


class Class(NamedTuple):
    """The faults of one kind against one kind of process. ``times_s``: one for each shard of each fault that counts."""

    kind: str
    faults: int
    overlapped: int
    unseen: int
    """Faults after whose end a shard had nothing more to hand off."""
    times_s: list[float]

    def figures(self) -> dict[str, object]:
        """As JSON; ``over`` counts shards above the bound."""
        found: dict[str, object] = {"faults": self.faults, "overlapped": self.overlapped, "unseen": self.unseen}
        if self.times_s:
            found |= {
                "shards": len(self.times_s),
                "p50": round(statistics.median(self.times_s), 2),
                "max": round(max(self.times_s), 2),
            }
        if self.kind in BOUNDS_S:
            bound_s = BOUNDS_S[self.kind]
            found |= {"bound": bound_s, "over": sum(time > bound_s for time in self.times_s)}
        return found


class _Outage(NamedTuple):
    fault: Done
    nexts_ms: list[int]
    """The first hand-off of each shard after everything was back; shards without one are left out."""
    over_ms: int

    def meets(self, other: "_Outage") -> bool:
        """Whether the two share a lane and a moment."""
        met = self.fault.began_ms <= other.over_ms and other.fault.began_ms <= self.over_ms
        return met and bool(self.lanes & other.lanes)

    @property
    def lanes(self) -> frozenset[Lane]:
        """The lanes that are in trouble: a plan that stands still starves the shards of its neighbours, too."""
        return frozenset(lane for lane, _ in self.fault.places)


def recovery(done: Sequence[Done], handed: HandOffs) -> dict[str, Class]:
    """By class (``kill worker``): what its faults cost. Faults that silence nobody are left out."""
    outages = list(_outages(done, handed))
    found: dict[str, Class] = {}
    for outage in outages:
        fault = outage.fault
        name = f"{fault.kind} {fault.name.partition('-')[0]}"
        known = found.get(name, Class(fault.kind, 0, 0, 0, []))
        overlapped = any(other is not outage and outage.meets(other) for other in outages)
        unseen = not overlapped and len(outage.nexts_ms) < len(fault.places)
        counts = not overlapped and not unseen
        times_s = [_silence_s(fault, handed[place]) for place in sorted(fault.places)] if counts else []
        found[name] = Class(
            fault.kind,
            known.faults + 1,
            known.overlapped + overlapped,
            known.unseen + unseen,
            known.times_s + times_s,
        )
    return dict(sorted(found.items()))


def gaps(done: Sequence[Done], handed: HandOffs) -> dict[str, dict[str, float]]:
    """By lane: seconds between two hand-offs of one shard while no fault was about its lane: the load's own doing."""
    outages = list(_outages(done, handed))
    found: dict[Lane, list[int]] = defaultdict(list)
    for (lane, _), times in handed.items():
        troubles = [(each.fault.began_ms, each.over_ms) for each in outages if lane in each.lanes]
        for before, after in pairwise(times):
            if not any(began <= after and before <= over for began, over in troubles):
                found[lane].append(after - before)
    return {
        lane.word: {
            "p50": round(statistics.median(times) / 1000, 2),
            "p99": round((Latencies(times).quantile(0.99) or 0) / 1000, 2),
            "max": round(max(times) / 1000, 2),
        }
        for lane, times in sorted(found.items())
    }


def _outages(done: Sequence[Done], handed: HandOffs) -> Iterator[_Outage]:
    for fault in done:
        if fault.places:
            nexts = [at for place in sorted(fault.places) if (at := _next(handed.get(place, ()), fault.ended_ms))]
            yield _Outage(fault, nexts, max([fault.ended_ms, *nexts]))


def _next(times: Sequence[int], after_ms: int) -> int | None:
    at = bisect_right(times, after_ms)
    return times[at] if at < len(times) else None


def _silence_s(fault: Done, times: Sequence[int]) -> float:
    first, last = bisect_right(times, fault.harmed_ms), bisect_right(times, fault.ended_ms)
    moments = [fault.harmed_ms, *times[first : last + 1]]
    return max(after - before for before, after in pairwise(moments)) / 1000
