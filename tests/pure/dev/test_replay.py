"""How a replay is paced and measured, with a Kafka that answers as late as a row says."""

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.lanes import DAY_MS, Lane
from streams.client import Event, NotPublishedError
from streams.commands.replay import app
from streams.dev.recordings.files import Entry
from streams.dev.recordings.playback import QUANTILES, Clock, Latencies, Replay, json_of, result_of, sentence_of
from streams.dev.recordings.preparation import spaced, steady
from streams.runtime import clock

instants = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).map(sorted)
REAL = Clock(clock.now_ms, clock.monotonic_ms)


@given(instants, st.floats(0.01, 1000), st.integers(1, 4))
def test_spacing_is_kept_at_any_speed(at_ms: list[int], speed: float, loops: int) -> None:
    """Each event of each loop once, in order, the first at once, its distance to the first divided by the speed."""
    plan = list(spaced(at_ms, speed=speed, loops=loops))
    assert [(loop, index) for loop, index, _ in plan] == [(i, j) for i in range(loops) for j in range(len(at_ms))]
    dues = [due for _, _, due in plan]
    assert dues == sorted(dues)
    assert dues[0] == 0
    for _, index, due in plan[: len(at_ms)]:
        assert abs(due - (at_ms[index] - at_ms[0]) / speed) <= 0.5


@given(st.integers(1, 50), st.floats(0.1, 10_000), st.integers(1, 3))
def test_a_rate_is_steady(count: int, rate: float, loops: int) -> None:
    """The n-th event is due n / rate seconds after the begin, through all loops."""
    plan = list(steady(count, rate=rate, loops=loops))
    assert len(plan) == count * loops
    assert all(abs(due - position * 1000 / rate) <= 0.5 for position, (_, _, due) in enumerate(plan))


@given(st.lists(st.integers(0, 1000), min_size=1), st.sampled_from(sorted(QUANTILES.values())))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(values: list[int], share: float) -> None:
    """Nearest rank, half a rank up or down; milliseconds below 2,048 are told exactly."""
    latencies = Latencies(values)
    found = latencies.quantile(share)
    assert found is not None
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 0.5
    assert sum(value < found for value in values) < share * len(values) + 0.5
    assert (latencies.quantile(1), len(latencies)) == (max(values), len(values))


@given(st.integers(2_048, DAY_MS))
def test_long_latencies_have_three_digits(value: int) -> None:
    """And what is longer than a day is a day."""
    found = Latencies([value]).quantile(0.5)
    assert found == pytest.approx(value, rel=0.001)
    assert Latencies([DAY_MS * 2]).quantile(1) == Latencies([DAY_MS]).quantile(1)
    assert Latencies([-1]).quantile(1) == 0


def test_the_log_of_latencies_is_read_by_others(tmp_path: Path) -> None:
    """One interval, with the times of the replay and every value."""
    Latencies(range(500)).write(tmp_path / "a.hlog", began_ms=1_000_000, ended_ms=1_030_000)
    read = HistogramLogReader(str(tmp_path / "a.hlog"), HdrHistogram(1, DAY_MS, 3))
    histogram = read.get_next_interval_histogram()
    assert (histogram.get_total_count(), histogram.get_max_value()) == (500, 499)
    assert histogram.get_end_time_stamp() - histogram.get_start_time_stamp() == 30_000
    assert read.get_next_interval_histogram() is None
    read.close()


def test_last_lines() -> None:
    """The sentence and the JSON hold the same figures; without an acknowledgement there is no latency."""
    some = result_of(Latencies(range(1, 101)), sent=102, due_ms=1_000, done_ms=2_000, interrupted=False)
    assert sentence_of(some) == (
        "102 records sent, 102.0 records/sec offered, 50.0 records/sec achieved, "
        "50 / 95 / 99 / 100 / 100 ms p50 / p95 / p99 / p99.9 / max, 2 errors"
    )
    assert msgspec.json.decode(json_of(some))["latency_ms"] == dict(zip(QUANTILES, [50, 95, 99, 100, 100], strict=True))
    none = result_of(Latencies(), sent=0, due_ms=0, done_ms=0, interrupted=True)
    assert "- / - / - / - / - ms" in sentence_of(none)


def entries(count: int) -> list[Entry]:
    """Events, one a millisecond."""
    event = {"type": "t", "source": "//a/b", "data": {}}
    return [Entry("requests.update", 0, n, None, {}, {**event, "id": str(n)}) for n in range(count)]


async def test_latency_counts_from_when_it_was_due() -> None:
    """A pause of the taker makes all that was due in it late, not only the event that met it."""
    paused = asyncio.Event()
    sent: list[str] = []
    behind: list[int] = []

    async def acknowledged() -> None:
        await paused.wait()

    async def enqueue(lane: Lane, event: Event, codes: Mapping[str, str]) -> Awaitable[object]:
        sent.append(event["id"])
        if event["id"] == "10":
            asyncio.get_running_loop().call_later(0.2, paused.set)
            await paused.wait()
            behind.append(replay.behind_ms)
        return acknowledged()

    taken, replay = entries(50), Replay(enqueue, REAL, name="r")
    result = await replay.run(taken, spaced([each.at_ms for each in taken], speed=1))
    assert sent == [each.value["id"] for each in taken]
    assert (result.sent, result.acknowledged, result.errors) == (50, 50, 0)
    assert result.latency_ms["p50"] >= 150
    assert behind[0] >= 190


async def test_errors_are_counted_and_do_not_end_it() -> None:
    """Whether Kafka's queue or Kafka itself refuses; the sentences are kept."""

    async def refused() -> None:
        raise NotPublishedError("no")

    async def taken() -> None:
        return None

    async def enqueue(lane: Lane, event: Event, codes: Mapping[str, str]) -> Awaitable[object]:
        number = int(event["id"])
        if number % 3 == 0:
            raise NotPublishedError("full")
        return refused() if number % 3 == 1 else taken()

    replay = Replay(enqueue, REAL, name="r")
    result = await replay.run(entries(9), steady(9, rate=1_000))
    assert (result.sent, result.acknowledged, result.errors) == (9, 3, 6)
    assert replay.errors == {"full": 3, "no": 3}


async def test_stop_ends_in_order() -> None:
    """What was let out is waited for, nothing more is, and the figures say that it was interrupted."""
    release = asyncio.Event()

    async def acknowledged() -> None:
        await release.wait()

    async def enqueue(lane: Lane, event: Event, codes: Mapping[str, str]) -> Awaitable[object]:
        if replay.sent == 5:
            replay.stop()
            asyncio.get_running_loop().call_later(0.02, release.set)
        return acknowledged()

    replay = Replay(enqueue, REAL, name="r")
    result = await replay.run(entries(1_000), steady(1_000, rate=0.001 * 10**6))
    assert (result.sent, result.acknowledged, result.interrupted) == (5, 5, True)


async def test_loops_are_runs_of_their_own() -> None:
    """Each loop has another source, so that nothing in it is a duplicate."""
    sources: list[str] = []

    async def taken() -> None:
        return None

    async def enqueue(lane: Lane, event: Event, codes: Mapping[str, str]) -> Awaitable[object]:
        sources.append(event["source"])
        return taken()

    await Replay(enqueue, REAL, name="r").run(entries(1), steady(1, rate=1_000, loops=3))
    assert sources == ["//a/b/r", "//a/b/r-2", "//a/b/r-3"]


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_pace_is_positive(value: float) -> None:
    """A pace at which nothing would ever happen is refused."""
    with pytest.raises(ValueError, match="above 0"):
        next(spaced([1], speed=value))
    with pytest.raises(ValueError, match="above 0"):
        next(steady(1, rate=value))


def test_a_setting_that_cannot_be_is_refused() -> None:
    """With a sentence, as every command does, and not with a traceback."""
    done = CliRunner(env={"FANFARE_SHARDS": "many"}).invoke(app, ["recording.jsonl"])
    assert done.exit_code == 1
    assert done.output.startswith("fanfare replay: FANFARE_SHARDS: ")
