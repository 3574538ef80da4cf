"""Publishing a replay: in order where it matters, bounded, stoppable, and never silent about a failure."""

import asyncio
from collections.abc import Iterator

import pytest

from schemas.lanes import HOUR_MS, Lane
from streams.dev.sources.feed import Feed, replay
from streams.dev.sources.timed import Timed, timed
from streams.runtime.clock import now_ms


def stream(*subjects: str, lane: Lane = Lane.UPDATE, apart_ms: int = 0) -> Iterator[Timed]:
    """Events about these subjects, so long after one another."""
    for count, subject in enumerate(subjects):
        head = {"type": "t", "source": f"//b/s{count}", "id": str(count), "subject": subject}
        yield timed(count * apart_ms, lane=lane, lifetime_ms=1_000, head=head, body={"template": subject})


class SlowBroker:
    """Acknowledges the events of a subject only when told to, and remembers what it saw."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.arrived = asyncio.Condition()

    async def publish(self, event: Timed) -> None:
        """Wait at the gate of the event's subject."""
        async with self.arrived:
            self.begun.append(event.event["id"])
            self.arrived.notify_all()
        await self.gates.setdefault(event.event["subject"], asyncio.Event()).wait()

    async def until(self, count: int) -> None:
        """Return when so many events have arrived."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.begun) >= count)

    def open(self, subject: str) -> None:
        """Acknowledge everything about a subject, now and later."""
        self.gates.setdefault(subject, asyncio.Event()).set()


async def test_one_subject_in_order_others_beside() -> None:
    """The second event about a flight waits for the acknowledgement of the first; other flights do not."""
    broker = SlowBroker()
    feed = Feed(broker.publish, now_ms=now_ms)
    running = asyncio.create_task(feed.run(replay(stream("a", "a", "b", "c"), speed=None, clock=feed.clock)))
    await broker.until(3)
    assert broker.begun == ["0", "2", "3"]
    for subject in "abc":
        broker.open(subject)
    tally = await running
    assert broker.begun == ["0", "2", "3", "1"]
    assert tally.published == {"a": 2, "b": 1, "c": 1}


async def test_codes_never_wait_for_one_another() -> None:
    """One-time codes share a purpose, not a thread: each goes out at once."""
    broker = SlowBroker()
    feed = Feed(broker.publish, now_ms=now_ms)
    replaying = replay(stream("login", "login", "login", lane=Lane.OTP), speed=None, clock=feed.clock)
    running = asyncio.create_task(feed.run(replaying))
    await broker.until(3)
    broker.open("login")
    await running


async def test_bounded() -> None:
    """No more than the allowed number is in flight, however much is due, and the replay says that it is behind."""
    broker = SlowBroker()
    feed = Feed(broker.publish, now_ms=now_ms, in_flight=2)
    running = asyncio.create_task(feed.run(replay(stream("a", "b", "c"), speed=None, clock=feed.clock)))
    await broker.until(2)
    assert broker.begun == ["0", "1"]
    broker.open("a")
    await broker.until(3)
    for subject in "bc":
        broker.open(subject)
    assert (await running).published.total() == 3


async def test_stop_interrupts_the_wait_and_finishes_what_is_in_flight() -> None:
    """Stopped while it waits for an event an hour ahead, a feed ends at once, after what was sent is acknowledged."""
    broker = SlowBroker()
    feed = Feed(broker.publish, now_ms=now_ms)
    running = asyncio.create_task(feed.run(replay(stream("a", "b", apart_ms=HOUR_MS), speed=1.0, clock=feed.clock)))
    await broker.until(1)
    feed.stop()
    broker.open("a")
    assert (await asyncio.wait_for(running, 5)).published == {"a": 1}
    assert feed.stopped


async def test_failure_is_loud() -> None:
    """When an event cannot be published the feed ends with that error, and what depends on it is not published."""
    seen = []

    async def publish(event: Timed) -> None:
        seen.append(event.event["id"])
        raise ConnectionError("no broker")

    feed = Feed(publish, now_ms=now_ms)
    with pytest.raises(ConnectionError):
        await feed.run(replay(stream("a", "a"), speed=None, clock=feed.clock))
    assert seen == ["0"]
