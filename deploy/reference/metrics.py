"""Writes ``deploy/METRICS.md``: every metric with its labels, values and buckets, from ``streams/runtime/metrics.py``."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from streams.runtime import metrics
from streams.runtime.prometheus import Family, Histogram, Label

_HEAD: Final = """\
# Metrics

Made from streams/runtime/metrics.py by `python -m deploy.reference`; not edited by hand.

Every process answers `/metrics` on its fixed port (`fanfare status` lists them); Prometheus reads them with
[prometheus/prometheus.yml](prometheus/prometheus.yml). The names below are all that an alert or a dashboard may use.
Labels are closed sets, never an id, a business or a number. A metric that nothing has touched yet is left out of a scrape, so a
rule that subtracts or divides needs `or vector(0)`. Counters begin at 0 when a process starts.
"""

_ROW: Final = "| `{name}` | {kind} | {unit} | {labels} | {meaning} |"


def metrics_page(families: Sequence[Family[Any]]) -> Iterator[str]:
    """Lines of the reference: one row a metric, then the labels with their values, then the buckets."""
    yield _HEAD
    yield from ("| metric | kind | unit | labels | meaning |", "| --- | --- | --- | --- | --- |")
    for family in families:
        labels = ", ".join(f"[`{label.name}`](#{_anchor(label, families)})" for label in family.labels)
        yield _ROW.format(
            name=family.name, kind=family.kind, unit=family.unit, labels=labels or "none", meaning=family.meaning
        )
    yield "\n## Labels"
    for label in _labels(families):
        users = ", ".join(f"`{family.name}`" for family in families if label in family.labels)
        yield f"\n### {_title(label, families)}\n\n{_values(label)}\n\nUsed by {users}."
    yield "\n## Buckets\n\nUpper bounds of the histograms (label `le`), each with `_bucket`, `_sum` and `_count`.\n"
    for family in families:
        if isinstance(family, Histogram):
            yield f"- `{family.name}`: {', '.join(f'{bound:g}' for bound in family.bounds)}"


def _labels(families: Sequence[Family[Any]]) -> list[Label]:
    """Each label once, in the order of first use; two labels may have one name and different values."""
    found: dict[int, Label] = {}
    for family in families:
        for label in family.labels:
            found.setdefault(id(label), label)
    return list(found.values())


def _title(label: Label, families: Sequence[Family[Any]]) -> str:
    """The label's name, with a number if others are called the same."""
    alike = [each for each in _labels(families) if each.name == label.name]
    return label.name if len(alike) == 1 else f"{label.name} {alike.index(label) + 1}"


def _anchor(label: Label, families: Sequence[Family[Any]]) -> str:
    return _title(label, families).replace(" ", "-")


def _values(label: Label) -> str:
    if label is metrics.SHARD:
        return f"`0` to `{len(label.values) - 1}`, as many as the deployment has."
    return ", ".join(f"`{value}`" for value in label.values)
