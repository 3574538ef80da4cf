"""Replaying a stream against a clock, with a clock that only this test moves."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from schemas.lanes import Lane
from schemas.wire.timestamps import text_of
from streams.dev.sources.feed import Clock, replay
from streams.dev.sources.timed import Timed, timed

NOW_MS = 1_800_000_000_000


@dataclass
class FakeTime:
    """A clock that advances only by sleeping, or when somebody takes long."""

    now_ms: int = NOW_MS
    naps: list[float] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        """This clock as a replay takes it."""
        return Clock(lambda: self.now_ms, self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Advance."""
        self.naps.append(seconds)
        self.now_ms += round(seconds * 1000)


def stream(*offsets_ms: int) -> Iterator[Timed]:
    """Events so long after the first."""
    for count, offset in enumerate(offsets_ms):
        head = {"type": "t", "source": "//b/s", "id": str(count), "subject": "x"}
        yield timed(1_000 + offset, lane=Lane.UPDATE, lifetime_ms=60_000, head=head, body={})


@pytest.mark.parametrize(
    ("speed", "due_ms"),
    [
        pytest.param(1.0, [0, 1_000, 1_000, 61_000], id="as it was"),
        pytest.param(60.0, [0, 17, 17, 1_017], id="an hour a minute"),
        pytest.param(0.5, [0, 2_000, 2_000, 122_000], id="slow motion"),
        pytest.param(None, [0, 0, 0, 0], id="as fast as it goes"),
    ],
)
async def test_speed(speed: float | None, due_ms: list[int]) -> None:
    """Events are let out when they are due at the speed asked for, stamped with that instant, none early."""
    time = FakeTime()
    out = [
        (event, time.now_ms) async for event in replay(stream(0, 1_000, 1_000, 61_000), speed=speed, clock=time.clock)
    ]
    assert [now_ms - NOW_MS for _, now_ms in out] == due_ms
    assert [event.at_ms - NOW_MS for event, _ in out] == due_ms
    assert [event.event["time"] for event, _ in out] == [text_of(NOW_MS + due) for due in due_ms]
    assert [event.event["expirytime"] for event, _ in out] == [text_of(NOW_MS + due + 60_000) for due in due_ms]


async def test_open_loop() -> None:
    """Whoever takes an event slowly makes it late, and the next ones not later: the schedule does not move."""
    time = FakeTime()
    behind_ms = []
    async for event in replay(stream(0, 100, 200, 1_000), speed=1.0, clock=time.clock):
        behind_ms.append(time.now_ms - event.at_ms)
        if event.event["id"] == "0":
            time.now_ms += 500
    assert behind_ms == [0, 400, 300, 0]


async def test_lets_others_run() -> None:
    """Even without a wait the loop is given away now and then."""
    time = FakeTime()
    out = [event async for event in replay(stream(*[0] * 200), speed=None, clock=time.clock)]
    assert len(out) == 200
    assert time.naps == [0] * 4


async def test_is_lazy() -> None:
    """An endless stream can be replayed: only what is taken is read."""
    taken = 0

    def endless() -> Iterator[Timed]:
        nonlocal taken
        while True:
            taken += 1
            yield from stream(0)

    replaying = replay(endless(), speed=None, clock=FakeTime().clock)
    await anext(replaying)
    await replaying.aclose()  # type: ignore[attr-defined]
    assert taken == 1


@pytest.mark.parametrize("speed", [0.0, -1.0])
async def test_speed_is_positive(speed: float) -> None:
    """A speed at which nothing would ever happen is refused."""
    with pytest.raises(ValueError, match="above 0"):
        await anext(replay(stream(0), speed=speed, clock=FakeTime().clock))
