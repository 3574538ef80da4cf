"""How far a clock is from Kafka's, by the times of appends: what is sure, what is taken off, and whom to believe."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.kafka_clock import AHEAD_MS, KafkaClock
from streams.kafka import kafka_time
from streams.kafka.kafka_time import KafkaTime
from streams.runtime import clock, metrics
from tests.pure.schedules.shells.process import standing

HOUR_MS = 3_600_000
T0 = 1_900_000_000_000
SLOWEST_MS = 4_000


class Way(NamedTuple):
    """One append: how long the record was on its way, how long its acknowledgement, and what passed before."""

    there_ms: int
    back_ms: int
    before_ms: int = 1_000
    place: int = 0


WAYS = st.lists(
    st.builds(Way, *(st.integers(0, SLOWEST_MS),) * 2, st.integers(0, 90_000), st.integers(0, 3)), min_size=1
)


class Appends:
    """A process whose clock is ``ahead_ms`` ahead of Kafka's, and appends."""

    def __init__(self, ahead_ms: int) -> None:
        self.clock = KafkaClock()
        self.ahead_ms = ahead_ms
        self.kafka_ms = T0

    def append(self, way: Way, broker_ahead_ms: int = 0) -> None:
        """One append; the broker's clock may be ahead of those of all others."""
        self.kafka_ms += way.before_ms + way.there_ms
        appended_ms = self.kafka_ms + broker_ahead_ms
        self.kafka_ms += way.back_ms
        now_ms, took_ms = self.kafka_ms + self.ahead_ms, way.there_ms + way.back_ms
        self.clock.note(way.place, appended_ms, now_ms=now_ms, took_ms=took_ms, monotonic_ms=self.kafka_ms - T0)

    @property
    def left_ms(self) -> int:
        """How far the corrected clock is ahead of Kafka's."""
        return self.ahead_ms - self.clock.correction_ms


@given(WAYS, st.integers(-2 * HOUR_MS, 2 * HOUR_MS))
def test_what_is_taken_off_is_certain(ways: list[Way], ahead_ms: int) -> None:
    """However slow the ways: never ahead of Kafka once corrected, behind by the last way at most; nothing without cause."""
    appends = Appends(ahead_ms)
    for way in ways:
        appends.append(way)
        sure_ms = appends.clock.ahead_ms
        assert abs(sure_ms) <= abs(ahead_ms)
        assert sure_ms * ahead_ms >= 0
        if appends.clock.correction_ms:
            assert abs(ahead_ms) > AHEAD_MS // 2
            assert -(way.there_ms + way.back_ms) <= appends.left_ms <= 0
        else:
            assert abs(ahead_ms) <= AHEAD_MS + way.there_ms + way.back_ms


@given(WAYS, st.integers(-AHEAD_MS, AHEAD_MS))
def test_small_differences_change_nothing(ways: list[Way], ahead_ms: int) -> None:
    """Clocks that NTP keeps are what they are."""
    appends = Appends(ahead_ms)
    for way in ways:
        appends.append(way)
        assert appends.clock.correction_ms == 0


@given(WAYS, st.sampled_from([-HOUR_MS, HOUR_MS]), st.integers(-AHEAD_MS // 2, AHEAD_MS // 2))
def test_a_broker_that_is_wrong_moves_nobody_who_appends_elsewhere(
    ways: list[Way], wrong_ms: int, ahead_ms: int
) -> None:
    """The clock nearest to ours is believed, whichever partition was appended to last."""
    appends = Appends(ahead_ms)
    appends.append(Way(2, 2, place=0))
    for way in ways:
        appends.append(way._replace(before_ms=0, there_ms=way.there_ms // 1_000), wrong_ms if way.place else 0)
        appends.append(Way(2, 2, 0), 0)
        assert appends.clock.correction_ms == 0


def test_a_clock_that_is_set_right_is_its_own_again() -> None:
    """Within the jump that the watchdog allows; the first append tells."""
    appends = Appends(3_000)
    appends.append(Way(2, 3))
    assert appends.left_ms == -3
    appends.ahead_ms = 0
    appends.append(Way(2, 3))
    assert appends.clock.correction_ms == 0


def test_it_stays_corrected_until_the_difference_is_half_as_large() -> None:
    """Time would go back and forth by a second for a clock on the threshold."""
    appends, seen = Appends(0), []
    for ahead_ms in (990, 1_020, 990, 600, 480, 990):
        appends.ahead_ms = ahead_ms
        appends.append(Way(0, 0))
        seen.append(appends.clock.correction_ms)
    assert seen == [0, 1_020, 990, 600, 0, 0]


def test_what_a_partition_said_long_ago_is_forgotten() -> None:
    """It was another's when the broker's clock was set, or the clock here."""
    appends = Appends(0)
    appends.append(Way(1, 1, place=1))
    appends.ahead_ms = HOUR_MS
    appends.append(Way(1, 1, 61_000, place=2))
    assert appends.left_ms == -1


def test_it_keeps_the_partitions_that_were_appended_to_last() -> None:
    """A process that owns thousands compares at the same cost."""
    appends = Appends(HOUR_MS)
    for place in range(1_000):
        appends.append(Way(1, 1, 0, place))
    assert len(appends.clock._bounds) == 64


class Machine:
    """Clocks of a machine, ``ahead_ms`` ahead of Kafka's, and the lines that are logged."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms
        self.monotonic_ms = 5_000
        self.lines: list[dict[str, Any]] = []

    @property
    def kafka_ms(self) -> int:
        """Kafka's time."""
        return T0 + self.monotonic_ms


@pytest.fixture
def machine() -> Iterator[Machine]:
    """An hour ahead."""
    machine = Machine(HOUR_MS)
    with standing(
        (clock, "now_ms", lambda: machine.kafka_ms + machine.ahead_ms),
        (clock, "monotonic_ms", lambda: machine.monotonic_ms),
        (kafka_time, "log", lambda event, **fields: machine.lines.append({"event": event, **fields})),
    ):
        yield machine


def test_a_process_starts_from_kafkas_time(machine: Machine) -> None:
    """From the first acknowledgement on; the metric shows it, and a line of log once a minute."""
    time = KafkaTime("worker")
    assert time.now_ms() == machine.kafka_ms + HOUR_MS
    for _ in range(13):
        sent_ms = machine.monotonic_ms
        machine.monotonic_ms += 10
        time.note("plans", machine.kafka_ms - 4, sent_ms)
        assert -6 <= time.now_ms() - machine.kafka_ms <= 0
        machine.monotonic_ms += 10_000
    assert metrics.KAFKA_CLOCK.of("worker").value == pytest.approx(3_600, abs=0.02)
    assert [line["ahead_s"] for line in machine.lines] == [3_600.0, 3_600.0, 3_600.0]


def test_nobody_is_told_of_a_clock_that_is_right(machine: Machine) -> None:
    """A difference below a second is within what ways take."""
    machine.ahead_ms = 900
    time = KafkaTime("webhook")
    time.note("receipts", machine.kafka_ms, machine.monotonic_ms)
    assert time.now_ms() == machine.kafka_ms + 900
    assert not machine.lines


async def test_who_needs_kafkas_time_waits_for_the_first_comparison(machine: Machine) -> None:
    """Settle ends windows, and has no journal to append to: those of its process are being claimed."""
    time = KafkaTime("worker")
    waiting = asyncio.ensure_future(time.wait_known())
    await asyncio.sleep(0)
    assert not waiting.done()
    time.note("plans", machine.kafka_ms, machine.monotonic_ms)
    async with asyncio.timeout(1):
        await waiting
    assert time.now_ms() <= machine.kafka_ms
