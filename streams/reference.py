"""``python -m streams.reference``: write every page that follows from the program.

``deploy/METRICS.md`` and the dashboard ``deploy/prometheus/dashboard.json`` follow from the catalogue of metrics,
``deploy/SETTINGS.md`` from the settings, ``deploy/CLI.md`` from the commands.

Nobody edits them: a test demands that what is written is what the program says. Works in a checkout only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from streams import metrics
from streams.cli_page import cli_page
from streams.dashboard import dashboard
from streams.instruments import Family, Histogram, Label
from streams.settings_page import settings_page

FOLDER: Final = Path(__file__).parents[1] / "deploy"

_HEAD: Final = """\
# Metrics

Made from streams/metrics.py by `python -m streams.reference`; not edited by hand.

Every process answers `/metrics` on its fixed port (`fanfare status` lists them); Prometheus reads them with
[prometheus/prometheus.yml](prometheus/prometheus.yml). The names below are all that an alert or a dashboard may use.
Labels are closed sets, never an id, a business or a number. A metric that nothing has touched yet is left out of a scrape, so a
rule that subtracts or divides needs `or vector(0)`. Counters begin at 0 when a process starts.
"""

_ROW: Final = "| `{name}` | {kind} | {unit} | {labels} | {meaning} |"


def documents() -> dict[str, str]:
    """Every page by its place below ``deploy``."""
    families = metrics.catalogue()
    return {
        "METRICS.md": "\n".join(metrics_page(families)) + "\n",
        "SETTINGS.md": "\n".join(settings_page()) + "\n",
        "CLI.md": "\n".join(cli_page()) + "\n",
        "prometheus/dashboard.json": dashboard(families),
    }


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


def main() -> None:
    """Write every page to ``deploy``."""
    for place, text in documents().items():
        (FOLDER / place).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
