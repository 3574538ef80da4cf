"""What `fanfare registry apply` and `fanfare publish` say unasked: what was left to defaults, and how long a list takes."""

from broker.registry.entry_rules import remarks
from schemas.lanes import Lane
from schemas.registry import Business, Parameter, Sender, Template
from schemas.status import Status
from streams.commands.statuses import lines_of, status_row

BUSINESS = Business("bakery", "The Bakery")
SENDER = Sender("bakery/main", "bakery", "+15550100", rate_per_s=10)
OWN = Template("ready", "utility", (Parameter("order"),), {"en": "{order}"}, business="bakery")
COMMON = Template("shut", "utility", (), {"en": "We are shut."})


def test_a_sender_without_shares_is_told_how_it_is_divided() -> None:
    """Of ten a second each lane may use a tenth of its percentage."""
    (said,) = remarks([BUSINESS, SENDER, OWN])
    parts = ", ".join(f"{lane.word} {lane.rules.share_percent // 10}" for lane in Lane)
    assert said == f"sender/bakery/main has no shares: its 10 a second are divided by default ({parts})"


def test_a_template_without_a_business_is_everybodys() -> None:
    """All of them in one line."""
    (said,) = remarks([COMMON, OWN, Template("open", "utility", (), {"en": "We are open."}, business="*")])
    assert said == "without a `business` every business may use a template: shut, open"


def test_nothing_is_said_where_nothing_is_left_to_defaults() -> None:
    """Shares and a business of its own."""
    shared = Sender("bakery/main", "bakery", "+15550100", rate_per_s=10, shares={"update": 100})
    assert list(remarks([BUSINESS, shared, OWN])) == []


def test_acceptance_of_a_list_says_when_it_will_be_through() -> None:
    """Below the line about the state; other states repeat nothing."""
    detail = "120 people at 3 a second: through at about 2026-11-30T03:18:20.947Z."
    status = Status("r", "//bakery/shop", "list1", "accepted", 1, 1, shards=8, detail=detail)
    assert list(lines_of(status, "+0.500 s")) == ["accepted   +0.500 s  list1", f"           {detail}"]
    running = Status("r", "//bakery/shop", "list1", "running", 2, 1, detail=detail, counts={"pending": 120})
    assert list(lines_of(running, "+0.500 s")) == ["running    +0.500 s  list1  120 pending"]


def test_a_reason_of_another_release_is_told_as_it_came() -> None:
    """What can be done about it is known to that release alone."""
    status = Status("r", "//bakery/shop", "e1", "refused", 1, 1, reason="of_tomorrow", detail="It is of tomorrow.")
    assert list(lines_of(status, "+0.500 s")) == [
        "refused    +0.500 s  e1  of_tomorrow",
        "           It is of tomorrow.",
    ]
    assert "next_step" not in status_row(status)
