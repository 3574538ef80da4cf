"""Tables on pages written by hand have the rows and figures that the code has."""

from pathlib import Path

import pytest

from schemas.lanes import Lane
from streams.simulator.faults import Fault, FaultKind

DOCS = Path(__file__).parents[2] / "deploy" / "docs"


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table under ``head``, a row of the page."""
    _, _, after = (DOCS / page).read_text().partition(f"\n{head}\n")
    table = after.partition("\n\n")[0].splitlines()[1:]
    assert table, f"{page} has no table under {head}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_every_kind_of_fault_stands_on_the_page() -> None:
    """Who wants to make the gateway ill finds all that it can do, in the order of the code."""
    told = [kind.strip("`") for kind, *_ in rows("load-test.md", "| `kind` | what the gateway does then | `ms` |")]
    assert told == [kind.value for kind in FaultKind]


def test_every_field_of_a_fault_stands_on_the_page() -> None:
    """With its default, as far as that is a number; those that the gateway sets itself are left out."""
    told = {name.strip("`"): without for name, _, without in rows("load-test.md", "| field | meaning | without it |")}
    assert told.keys() == set(Fault.__struct_fields__) - {"kind", "until_ms", "struck"}
    plain = Fault(FaultKind.MESSAGE)
    assert (told["ms"], told["code"], float(told["rate"])) == (str(plain.ms), str(int(plain.code)), plain.rate)


@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.word)
def test_the_pair_limit_of_a_lane_stands_on_the_page(lane: Lane) -> None:
    """As `fanfare explain` names it."""
    limit = lane.rules.pair_limit
    told = rows("concepts.md", "| lane | messages a minute | at once, after a rest |")
    assert [lane.word, str(limit.per_minute), str(limit.burst)] in told
