"""Judges readings of metrics: how much each counter grew and how fast, and in a sentence whether the deployment is healthy.

Pure. A reading is what every process said at one time. Counters begin at 0 when a process starts, so what it counted since then
is its growth; what a process counted before it was first read is not.

The thresholds are those of the alerts (``deploy/prometheus/alerts.rules.yml``) as far as one look can tell them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from schemas.lanes import Lane
from streams.operate.scrape import Labels, Scrape, buckets_in, matching, quantile

Key = tuple[str, Labels]
"""A sample's name and labels."""

_BEGAN: Final[Key] = ("process_start_time_seconds", frozenset())
_COUNTS: Final = ("_total", "_bucket")
_OURS: Final = "fanfare_"


class Reading(msgspec.Struct, frozen=True):
    """Holds the answers of all processes at ``at_ms`` (wall time)."""

    at_ms: int
    """When they answered, milliseconds since the epoch."""
    scrapes: tuple[Scrape, ...]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all processes of the samples called ``name`` that have ``labels``."""
        return sum(scrape.total(name, **labels) for scrape in self.scrapes)

    def highest(self, name: str, **labels: str) -> float | None:
        """The highest sample called ``name`` that has ``labels``; ``None`` if there is none."""
        found = [value for scrape in self.scrapes if (value := scrape.highest(name, **labels)) is not None]
        return max(found, default=None)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of ``name`` by the values of ``label``."""
        return _by(((key, value) for scrape in self.scrapes for key, value in scrape.samples.items()), name, label)


class Growth(msgspec.Struct, frozen=True):
    """Holds the growth of every counter of the deployment within ``span_ms``."""

    span_ms: int
    """Milliseconds between the two readings."""
    counts: Mapping[Key, float]

    def rate(self, name: str, **labels: str) -> float:
        """Counts a second of ``name``, over all samples that have ``labels``; 0 within no time."""
        grown = sum(count for _, count in matching(self.counts, name, labels))
        return grown * 1_000 / self.span_ms if self.span_ms > 0 else 0.0

    def rates(self, name: str, label: str) -> dict[str, float]:
        """Counts a second of ``name`` by the values of ``label``."""
        seconds = self.span_ms / 1_000
        return {value: count / seconds for value, count in _by(self.counts.items(), name, label).items() if seconds > 0}

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """The ``share`` quantile of what the histogram ``name`` observed meanwhile; ``None`` if that is nothing."""
        return quantile(buckets_in(self.counts, name, labels), share)


def growth(before: Reading, after: Reading) -> Growth:
    """Returns the growth of all counters between two readings, added up over processes."""
    known = {scrape.process.name: scrape.samples for scrape in before.scrapes if scrape.samples}
    parts = [_grown(known.get(scrape.process.name), scrape.samples, before.at_ms) for scrape in after.scrapes]
    return Growth(after.at_ms - before.at_ms, _added(parts))


def since_start(reading: Reading) -> Growth:
    """All that the processes of a reading counted since they began; over no time, so it has no rates."""
    return Growth(0, _added([_counters(scrape.samples) for scrape in reading.scrapes]))


def together(parts: Sequence[Growth]) -> Growth:
    """Growth over spans that follow one another."""
    return Growth(sum(part.span_ms for part in parts), _added([part.counts for part in parts]))


def _grown(before: Mapping[Key, float] | None, after: Mapping[Key, float], before_ms: int) -> Mapping[Key, float]:
    """Growth of one process' counters; all of them if it began after ``before_ms``, when it was last read or missed."""
    now = _counters(after)
    if before is None:
        return now if after.get(_BEGAN, 0) * 1_000 >= before_ms else {}
    begun_again = after.get(_BEGAN) != before.get(_BEGAN) or any(
        now.get(key, 0) < was for key, was in _counters(before).items()
    )
    return now if begun_again else {key: count - before.get(key, 0) for key, count in now.items()}


def _counters(samples: Mapping[Key, float]) -> dict[Key, float]:
    return {key: value for key, value in samples.items() if key[0].startswith(_OURS) and key[0].endswith(_COUNTS)}


def _added(parts: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    total: dict[Key, float] = {}
    for part in parts:
        for key, count in part.items():
            total[key] = total.get(key, 0) + count
    return total


def _by(samples: Iterable[tuple[Key, float]], name: str, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (known, held), value in samples:
        if known == name:
            word = dict(held).get(label, "")
            found[word] = found.get(word, 0) + value
    return found


HEALTHY: Final = "healthy"
_HEARTBEAT_S: Final = 60.0
_INPUT_S: Final = 30.0
_STOPS_S: Final = 1.0


def verdict(scrapes: Sequence[Scrape]) -> str:
    """Returns ``healthy``, or the first thing that is not: processes before lanes, causes before what follows from them."""
    return next(_complaints(scrapes), HEALTHY)


def _complaints(scrapes: Sequence[Scrape]) -> Iterator[str]:
    for each in scrapes:
        if each.ready != "ok" and not (each.ready == "away" and each.process.optional):
            how = "does not answer" if each.ready == "away" else f"is not ready ({each.ready})"
            yield f"{each.process.name} {how} on port {each.process.port}"
    for lane in Lane:
        yield from _of_lane(scrapes, lane.word)


def _of_lane(scrapes: Sequence[Scrape], lane: str) -> Iterator[str]:
    for topic, what in (("suppressions", "the STOPs"), ("controls", "what is paused")):
        seen_s = _highest(scrapes, "fanfare_tail_age_seconds", lane=lane, topic=topic)
        if seen_s > _STOPS_S:
            yield f"lane {lane} last saw {what} {seen_s:.0f} s ago and holds messages back"
    for stage in ("plan", "deliver"):
        oldest_s = _highest(scrapes, "fanfare_stage_oldest_seconds", lane=lane, stage=stage)
        if oldest_s > _INPUT_S:
            yield f"an input of {stage} in lane {lane} has been unfinished for {oldest_s:.0f} s"
    silent_s = _highest(scrapes, "fanfare_heartbeat_age_seconds", lane=lane)
    if silent_s > _HEARTBEAT_S:
        yield f"nothing has crossed a shard of lane {lane} for {silent_s:.0f} s"


def _highest(scrapes: Sequence[Scrape], name: str, **labels: str) -> float:
    found = (value for each in scrapes if (value := each.highest(name, **labels)) is not None)
    return max(found, default=0.0)
