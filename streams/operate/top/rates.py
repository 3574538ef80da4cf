"""Compares two readings of the same metrics: how much each counter grew, how fast, and how old hand-offs were.

Pure. A reading is what every process said at one time. Counters begin at 0 when a process starts, so what it counted since then
is its growth; what a process counted before it was first read is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

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
