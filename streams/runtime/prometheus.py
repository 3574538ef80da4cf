"""Defines the kinds of metrics: counters, gauges and histograms with labels from closed sets, read by Prometheus.

Children are plain objects kept in a dictionary: ask once (``METRIC.of("plan", "otp")``), keep the child, and an increment
costs an addition. Histograms take a weight, because one frame carries thousands of messages of one age. One event loop
writes; a scrape from it reads. Rules: Prometheus' naming and instrumentation guides (base units, ``_total``, bounded labels).
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import product
from typing import Final, Generic, TypeVar

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

OTHER: Final = "other"
"""The value for whatever a foreign system says that a closed set does not know."""


class Kind(StrEnum):
    """The three kinds, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Label:
    """A label and the closed set of its values."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: Iterable[str]) -> None:
        self.name = name
        self.values = tuple(values)

    def known(self, value: str) -> str:
        """``value`` if the set has it, else ``other``: for words of foreign systems."""
        return value if value in self.values else OTHER


class CounterChild:
    """A sum that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which is not negative."""
        self.value += amount


class GaugeChild:
    """A value that comes and goes."""

    __slots__ = ("_read",)

    def __init__(self) -> None:
        self._read: Callable[[], float] = lambda: 0.0

    def set(self, value: float) -> None:
        """The value from now on."""
        self._read = lambda: value

    def follow(self, read: Callable[[], float]) -> None:
        """Ask ``read`` at each scrape."""
        self._read = read

    @property
    def value(self) -> float:
        """The value now."""
        return self._read()


class HistogramChild:
    """Counts how often values fell into each bucket, and adds them up."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        """``weight`` things had ``value``."""
        place = 0
        for bound in self._bounds:
            if value <= bound:
                break
            place += 1
        self.counts[place] += weight
        self.total += value * weight

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, ``+Inf`` last."""
        rows, seen = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self.counts, strict=True):
            seen += count
            rows.append((bound, float(seen)))
        return rows


_Child = TypeVar("_Child", CounterChild, GaugeChild, HistogramChild)


class Family(Collector, Generic[_Child]):
    """A metric of the catalogue with its children. Registers itself; two of one name are refused."""

    kind: Kind

    def __init__(self, registry: CollectorRegistry, name: str, meaning: str, *labels: Label) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.children: dict[tuple[str, ...], _Child] = {}
        registry.register(self)

    @property
    def unit(self) -> str:
        """Returns the unit from the metric's name: ``seconds``, ``micro``, or ``1`` for a plain count."""
        word = self.name.removesuffix("_total").rpartition("_")[2]
        return word if word in {"seconds", "micro", "bytes"} else "1"

    def of(self, *values: str) -> _Child:
        """The child with these label values, in the order declared; ``ValueError`` for one outside its closed set."""
        child = self.children.get(values)
        if child is None:
            for label, value in zip(self.labels, values, strict=True):
                if value not in label.values:
                    raise ValueError(f"{self.name}: {label.name} has no value {value!r}")
            child = self.children[values] = self._born()
        return child

    def begin(self, *values: str | None) -> None:
        """Have a child for these label values, ``None`` for all of a label: a rate needs what is absent at first."""
        known = [label.values if value is None else (value,) for label, value in zip(self.labels, values, strict=True)]
        for each in product(*known):
            self.of(*each)

    def drop(self, *values: str) -> None:
        """Forget a child, so that a shard that has gone is not shown as it was."""
        self.children.pop(values, None)

    def collect(self) -> Iterable[Metric]:
        """For a scrape; gauges that follow a function are read now. A metric that nobody has touched is left out."""
        return [self._read()] if self.children else []

    def _born(self) -> _Child:
        raise NotImplementedError

    def _read(self) -> Metric:
        raise NotImplementedError

    def _names(self) -> list[str]:
        return [label.name for label in self.labels]

    def describe(self) -> list[Metric]:
        """The name alone, so that registering reads no gauge and sees two metrics of one name."""
        return [Metric(self.name.removesuffix("_total"), self.meaning, self.kind.value)]


class Counter(Family[CounterChild]):
    """A counter; its name ends in ``_total``."""

    kind = Kind.COUNTER

    def _born(self) -> CounterChild:
        return CounterChild()

    def _read(self) -> Metric:
        family = CounterMetricFamily(self.name, self.meaning, labels=self._names())
        for values, child in list(self.children.items()):
            family.add_metric(values, child.value)
        return family


class Gauge(Family[GaugeChild]):
    """A gauge."""

    kind = Kind.GAUGE

    def _born(self) -> GaugeChild:
        return GaugeChild()

    def _read(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.meaning, labels=self._names())
        for values, child in list(self.children.items()):
            family.add_metric(values, child.value)
        return family


class Histogram(Family[HistogramChild]):
    """A histogram with classic buckets, chosen around what is promised."""

    kind = Kind.HISTOGRAM

    def __init__(
        self, registry: CollectorRegistry, name: str, meaning: str, *labels: Label, bounds: Sequence[float]
    ) -> None:
        self.bounds = tuple(bounds)
        super().__init__(registry, name, meaning, *labels)

    def _born(self) -> HistogramChild:
        return HistogramChild(self.bounds)

    def _read(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.meaning, labels=self._names())
        for values, child in list(self.children.items()):
            family.add_metric(values, child.buckets(), child.total)
        return family
