"""What two readings say together: growth of counters whatever begins again, and quantiles that keep to their bucket."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.operate.scrape import Process, Scrape
from streams.operate.top.readings import Growth, Key, Reading, growth, since_start, together
from streams.runtime.metrics import AGE_S
from streams.runtime.prometheus import HistogramChild

WORKER = Process("worker otp", 1)
NAME = "fanfare_messages_total"
AGES = "fanfare_handoff_age_seconds"
SENT = (NAME, frozenset({("lane", "otp"), ("state", "accepted")}))


def reading(at_ms: int, count: float | None, *, began_s: float = 1) -> Reading:
    """One process that has counted so much; None: it is away."""
    if count is None:
        return Reading(at_ms, (Scrape(WORKER, "away"),))
    samples: dict[Key, float] = {SENT: count, ("process_start_time_seconds", frozenset()): began_s}
    return Reading(at_ms, (Scrape(WORKER, "ok", samples),))


def counted(grown: Growth) -> float:
    """What the counter grew by."""
    return sum(grown.counts.values())


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=20))
def test_growth_adds_up_to_what_was_counted(steps: Sequence[int]) -> None:
    """However often it is looked at, the parts make the whole."""
    totals = [sum(steps[: place + 1]) for place in range(len(steps))]
    readings = [reading(1_000 * place, total) for place, total in enumerate(totals)]
    whole = together([growth(before, after) for before, after in pairwise(readings)])
    assert counted(whole) == totals[-1] - totals[0]
    assert whole.span_ms == readings[-1].at_ms - readings[0].at_ms


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=20))
def test_a_process_that_begins_again_counts_from_nothing(steps: Sequence[tuple[int, bool]]) -> None:
    """Each look sees what was counted since the last one or, after a new beginning, since that."""
    count, began_s, wanted = 0, 1.0, 0
    readings = [reading(0, 0)]
    for place, (more, again) in enumerate(steps, start=1):
        count = more if again else count + more
        began_s = float(place) if again else began_s
        wanted += more
        readings.append(reading(1_000 * place, count, began_s=began_s))
    parts = [growth(before, after) for before, after in pairwise(readings)]
    assert counted(together(parts)) == wanted
    assert all(count >= 0 for part in parts for count in part.counts.values())


def test_what_was_counted_before_the_first_look_is_no_growth() -> None:
    """A process that was away counts from its return, unless it began meanwhile."""
    assert counted(growth(reading(50_000, None), reading(60_000, 700, began_s=10))) == 0
    assert counted(growth(reading(50_000, None), reading(60_000, 7, began_s=55))) == 7
    assert counted(growth(reading(50_000, 700), reading(60_000, None))) == 0
    assert counted(since_start(reading(60_000, 700))) == 700


def test_a_rate_is_over_the_span_and_the_labels() -> None:
    """Thirty more within ten seconds are three a second, of that lane only."""
    grown = growth(reading(50_000, 100), reading(60_000, 130))
    assert grown.rate(NAME, lane="otp") == pytest.approx(3)
    assert grown.rate(NAME, lane="update") == 0
    assert grown.rates(NAME, "state") == {"accepted": pytest.approx(3)}
    assert since_start(reading(60_000, 130)).rate(NAME) == 0


def histogram(values: Sequence[float]) -> Mapping[Key, float]:
    """Its samples as they stand in a scrape."""
    held = HistogramChild(AGE_S)
    for value in values:
        held.observe(value)
    return {(f"{AGES}_bucket", frozenset({("lane", "otp"), ("le", bound)})): count for bound, count in held.buckets()}


AGE = st.floats(0, 100_000, allow_nan=False)


@given(st.lists(AGE, max_size=30), st.lists(AGE, min_size=1, max_size=30), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(before: list[float], new: list[float], share: float) -> None:
    """Only what was observed between two readings counts; the bucket that holds the true quantile holds ours."""
    readings = [
        Reading(at, (Scrape(WORKER, "ok", histogram(values)),)) for at, values in ((0, before), (9, before + new))
    ]
    found = growth(*readings).quantile(AGES, share, lane="otp")
    ordered = sorted(new)
    true = next(value for place, value in enumerate(ordered, start=1) if place >= share * len(ordered))
    place = bisect_left(AGE_S, true)
    bounds = (0.0, *AGE_S, AGE_S[-1])
    assert found is not None
    assert min(bounds[place], AGE_S[-1]) <= found <= bounds[place + 1]


@given(st.lists(AGE, min_size=1, max_size=30))
def test_quantiles_rise_with_their_share(values: list[float]) -> None:
    """A p99 is never below the p50; of nothing there is none."""
    after = Reading(9, (Scrape(WORKER, "ok", histogram(values)),))
    found = [since_start(after).quantile(AGES, share) for share in (0.1, 0.5, 0.99, 1.0)]
    assert all(low is not None and high is not None and low <= high for low, high in pairwise(found))
    assert growth(after, after).quantile(AGES, 0.5) is None
