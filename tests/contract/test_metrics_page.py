"""The page of metrics: the whole catalogue, in its order, and every label with its values."""

import re

from deploy.reference.pages import documents
from streams.runtime import metrics

PAGE = documents()["METRICS.md"]


def test_each_metric_has_one_row() -> None:
    """Name, kind and meaning, in the catalogue's order."""
    rows = re.findall(r"^\| `(fanfare_\w+)` \| (\w+) \|.*\| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(family.name, family.kind.value, family.meaning) for family in metrics.catalogue()]


def test_each_label_that_is_linked_has_its_values() -> None:
    """A link's anchor is that of a heading, as pages are rendered."""
    anchors = {title.replace(" ", "-") for title in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) == anchors
