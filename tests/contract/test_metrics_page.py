"""The page of metrics: no drift from the catalogue, and every link on it leads somewhere."""

import re

import pytest

from streams import metrics
from streams.reference import FOLDER, documents

PAGE = documents()["METRICS.md"]


@pytest.mark.parametrize("place", documents())
def test_what_is_written_is_what_the_catalogue_says(place: str) -> None:
    """Run ``python -m streams.reference`` after changing a metric."""
    assert (FOLDER / place).read_text("utf-8") == documents()[place]


def test_each_metric_has_one_row() -> None:
    """Name, kind and meaning, in the catalogue's order."""
    rows = re.findall(r"^\| `(fanfare_\w+)` \| (\w+) \|.*\| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(family.name, family.kind.value, family.meaning) for family in metrics.catalogue()]


def test_each_label_that_is_linked_has_its_values() -> None:
    """A link's anchor is that of a heading, as pages are rendered."""
    anchors = {title.replace(" ", "-") for title in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) == anchors
