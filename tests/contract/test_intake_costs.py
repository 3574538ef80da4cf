"""What a request costs intake, counted in calls and not in seconds: bad ones no more than good ones, few keys or many."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schemas.lanes import Lane
from schemas.reasons import MAX_FAULTS
from schemas.registry import ApiKey, Business, Entry, Sender, Template, key_of
from schemas.request import MAX_RECIPIENTS
from schemas.topics import SHARDS
from streams.intake.admission import Caller, Directory, digest_of
from streams.intake.http_events import Posted, taken
from streams.intake.problems import Problem
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from tests.support.plan_bench import BUSINESS, NOW_MS, event, registry

Spoil = Callable[[int, dict[str, Any]], object]


def calls_in(work: Callable[[], object]) -> int:
    """Count what ``work`` calls, once it has been done before: what is looked up the first time only is no part of it."""
    work()
    counts: Counter[str] = Counter()

    def count(_frame: object, kind: str, _called: object) -> None:
        counts[kind] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts["call"] + counts["c_call"]


def posted(spoil: Spoil) -> list[Posted]:
    """Build an event to a thousand people with a parameter each, each of them spoilt."""
    whole = event(people=())
    people = [{"address": f"tel:+4915112{n:06d}", "params": {"flight": f"UA{n}"}} for n in range(MAX_RECIPIENTS)]
    for number, person in enumerate(people):
        spoil(number, person)
    whole["data"]["to"] = {"recipients": people}
    return [Posted(msgspec.json.encode(whole))]


def check(events: list[Posted]) -> object:
    """Check as intake does."""
    return taken(Lane.UPDATE, events, Caller(BUSINESS, registry()), shards=SHARDS, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("spoil", "faults"),
    [
        pytest.param(lambda n, one: one.update(address=f"x{n}"), MAX_FAULTS, id="no numbers"),
        pytest.param(lambda n, one: one.update(address=f"tel:+1{1_000_000_000 + n}"), MAX_FAULTS, id="of nobody"),
        pytest.param(lambda n, one: n % 20 or one.update(address=f"tel:+49{n}"), 50, id="one in twenty"),
        pytest.param(lambda n, one: n % 11 or one.update(address=f"tel:+49{n}"), 91, id="just short of enough"),
        pytest.param(lambda _, one: one.update(locale="English, please"), MAX_FAULTS, id="languages"),
        pytest.param(lambda n, one: one.update({f"adress{n}": "x"}), MAX_FAULTS, id="unknown fields"),
        pytest.param(lambda n, one: one.update(address=n), MAX_FAULTS, id="addresses of another type"),
        pytest.param(lambda _, one: one.pop("address"), MAX_FAULTS, id="without addresses"),
        pytest.param(lambda _, one: one.update(address="tel:+4915112345678"), MAX_FAULTS, id="one person all over"),
        pytest.param(lambda _, one: one.update(params={"flght": "x"}), MAX_FAULTS, id="unknown parameters"),
        pytest.param(lambda _, one: one.update(params={"flight": 1}), MAX_FAULTS, id="parameters of another type"),
        pytest.param(
            lambda _, one: one.update(params={"flight": {"sealed": "k1." + "A" * 80}}), MAX_FAULTS, id="sealed"
        ),
        pytest.param(lambda _, one: one.update(params={"flight": "\u202e"}), MAX_FAULTS, id="bidi overrides"),
    ],
)
def test_a_thousand_bad_recipients_cost_no_more_than_good_ones(spoil: Spoil, faults: int) -> None:
    """Whoever has a hundred mistakes is told of them, and nobody looks on."""
    good, bad = posted(lambda _, __: None), posted(spoil)
    found = check(bad)
    assert isinstance(found, Problem)
    assert len(found.errors) == faults
    assert not isinstance(check(good), Problem)
    assert calls_in(lambda: check(bad)) <= calls_in(lambda: check(good))


def directory_of(businesses: int) -> Directory:
    """Return a directory where each business has a key, a number and a template."""
    entries: list[Entry] = []
    for number in range(businesses):
        name = f"shop-{number}"
        entries += (
            Business(name, "Shop"),
            ApiKey(name, name, digest_of(f"key {number}")),
            Sender(f"{name}/main", name, "+18005550101"),
            Template(f"news_{number}", "utility", (), {"en": "News"}, business=name),
        )
    directory = Directory(SetAside("", "intake"), dev=True)
    records = [
        LogRecord(offset, 0, key_of(entry).encode(), msgspec.json.encode(entry)) for offset, entry in enumerate(entries)
    ]
    directory.apply(0, records)
    return directory


@pytest.mark.parametrize("key", ["key 7", "nobody's"])
def test_a_key_among_a_thousand_costs_what_one_among_ten_does(key: str) -> None:
    """It is looked up by its digest; so is a wrong one."""
    few, many = directory_of(10), directory_of(1_000)
    assert (few.caller(key) is None) == (many.caller(key) is None) == (key == "nobody's")
    assert calls_in(lambda: few.caller(key)) == calls_in(lambda: many.caller(key))


def test_the_entries_of_a_business_are_found_without_those_of_others() -> None:
    """After a change of the registry each business's view is made anew, as dear as what it holds."""
    few, many = directory_of(10), directory_of(1_000)
    views = [directory._registry.view_of for directory in (few, many)]
    assert [len(view("shop-7").entries()) for view in views] == [3, 3]
    assert calls_in(lambda: views[0]("shop-7")) == calls_in(lambda: views[1]("shop-7"))
