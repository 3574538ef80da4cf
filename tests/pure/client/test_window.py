"""Events on their way: outcomes in turn, order kept and nothing left out, however often a producer breaks; and what is held."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from itertools import chain, cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import RequestName
from schemas.lanes import Lane
from streams.client import Client, Failed, NotPublishedError, Outcome, Published, UnknownPublishError
from streams.client.in_flight import Sending, Window
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Place, Publisher, PublishError

OK, LOST, DOUBTED, REFUSED, SILENT, AWAY = "ok", "lost", "doubted", "refused", "silent", "away"
"""What becomes of an attempt. Doubted: appended, but nobody says so. Silent: the deadline is over, appended later. Away: surely
not taken, this time."""


class BreakingLog(Publisher):
    """A log that appends in turn. After a lost or doubted record its producer takes nothing until it is replaced."""

    def __init__(self, fates: Iterator[str], prompt: Iterable[bool] = ()) -> None:
        super().__init__("nowhere:1")
        self._prompt = iter(prompt)
        self.values: list[bytes] = []
        self.most_waiting = 0
        self._fates = fates
        self._waiting = 0
        self._generation = 0
        self._broken_generation = -1

    @property
    def broken(self) -> bool:
        """Whether the queue that is in use takes nothing more."""
        return self._broken_generation == self._generation

    async def enqueue(self, record: Outgoing) -> Awaitable[Place]:
        """Take the record into the queue of a producer that is not known to be broken."""
        self._generation = max(self._generation, self._broken_generation + 1)
        self._waiting += 1
        self.most_waiting = max(self.most_waiting, self._waiting)
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._decide, record, future, self._generation)
        if next(self._prompt, False):
            await asyncio.sleep(0)  # it is decided before whoever sends goes on
        return future

    def _decide(self, record: Outgoing, future: "asyncio.Future[Place]", generation: int) -> None:
        self._waiting -= 1
        fate = AWAY if generation <= self._broken_generation else next(self._fates)
        if fate in (OK, DOUBTED, SILENT):
            self.values.append(record.value or b"")
        if fate in (LOST, DOUBTED, AWAY):
            self._broken_generation = generation
        if not future.cancelled():
            self._tell(fate, future)

    def _tell(self, fate: str, future: "asyncio.Future[Place]") -> None:
        match fate:
            case "ok":
                future.set_result(Place("requests.update", 0, len(self.values) - 1, 1))
            case "refused":
                future.set_exception(PublishError("it is too large", unknown=False))
            case "silent":
                future.set_exception(PublishError("nobody answered", unknown=True))
            case "away":
                future.set_exception(PublishError("it is full", unknown=False, again=True))
            case _:
                future.set_exception(PublishError("the producer is broken", unknown=True, again=True))


def sending(log: Publisher, number: int) -> Sending:
    """An event with that number."""
    event = {"source": "//shop/x", "id": str(number), "type": "t"}
    record = Outgoing("requests.update", b"%d" % number, partition=0)
    return Sending(log, record, RequestName(b"%016d" % number), lane=Lane.UPDATE, event=event)


async def published(log: BreakingLog, count: int, *, size: int, patience_ms: int = 60_000) -> list[Outcome]:
    """Every outcome of so many events."""
    window = Window(size, patience_ms, pause_s=0)
    outcomes = []
    for number in range(count):
        if window.full:
            outcomes.append(await window.take())
        await window.put(sending(log, number))
        while window.ready:
            outcomes.append(await window.take())
    while len(window):
        outcomes.append(await window.take())
    return outcomes


@given(
    st.lists(st.sampled_from([OK, OK, LOST, DOUBTED, AWAY]), max_size=40),
    st.integers(1, 7),
    st.integers(0, 20),
    st.lists(st.booleans(), min_size=1, max_size=30),
)
def test_whatever_breaks_all_arrive_in_order(fates: list[str], size: int, count: int, prompt: list[bool]) -> None:
    """Each is acknowledged in its turn; first appearances in the log have the order given; no more than allowed are held."""
    log = BreakingLog(chain(fates, repeat(OK)), cycle(prompt))
    outcomes = asyncio.run(published(log, count, size=size))
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Published)] == [str(n) for n in range(count)]
    assert list(dict.fromkeys(log.values)) == [b"%d" % number for number in range(count)]
    assert log.most_waiting <= size


@given(st.lists(st.sampled_from([OK, REFUSED, SILENT]), min_size=12, max_size=12), st.integers(1, 5))
def test_what_cannot_be_mended_is_told_in_its_turn_and_stops_nothing(fates: list[str], size: int) -> None:
    """Refused is surely not there, silent perhaps; both are sent once."""
    log = BreakingLog(iter(fates))
    outcomes = asyncio.run(published(log, 12, size=size))
    kinds = {OK: Published, REFUSED: NotPublishedError, SILENT: UnknownPublishError}
    told = [type(outcome.error) if isinstance(outcome, Failed) else type(outcome) for outcome in outcomes]
    assert told == [kinds[fate] for fate in fates]
    assert len(log.values) == sum(fate != REFUSED for fate in fates)


def test_patience_ends() -> None:
    """A producer that breaks for ever is given up; that it was in doubt once stays said."""
    for first, error in ((DOUBTED, UnknownPublishError), (AWAY, NotPublishedError)):
        log = BreakingLog(chain([first], repeat(AWAY)))
        (outcome,) = asyncio.run(published(log, 1, size=1, patience_ms=50))
        assert isinstance(outcome, Failed)
        assert type(outcome.error) is error
        assert outcome.event["id"] == "0"


async def test_a_full_window_takes_no_more() -> None:
    """Who puts without taking is told so at once; an empty one is of no use."""
    log = BreakingLog(repeat(OK))
    window = Window(1, 1_000)
    await window.put(sending(log, 1))
    with pytest.raises(ValueError, match="full"):
        await window.put(sending(log, 2))
    window.give_up()
    assert not len(window)
    with pytest.raises(ValueError, match="one event at least"):
        Window(0, 1_000)


async def test_events_are_drawn_no_faster_than_they_are_acknowledged() -> None:
    """A million events are never held; one without a name fails in its turn."""
    drawn = 0

    def events() -> Iterator[tuple[Lane, dict[str, str]]]:
        nonlocal drawn
        for drawn in range(1, 1_000_001):
            yield Lane.UPDATE, {"id": "without a source"} if drawn == 2 else {"source": "//shop/x", "id": str(drawn)}

    log = BreakingLog(repeat(OK))
    client = Client("nowhere:1")
    client._publisher = log
    client._partitions[Lane.UPDATE] = 4
    outcomes = []
    many = client.publish_many(events(), in_flight=3)
    async for outcome in many:
        outcomes.append(outcome)
        assert drawn <= len(outcomes) + 3
        if len(outcomes) == 20:
            break
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [number == 1 for number in range(20)]


async def test_outcomes_come_while_the_next_event_is_waited_for() -> None:
    """Of a source that gives one only when the one before is told."""
    told = asyncio.Semaphore(1)

    async def events() -> AsyncIterator[tuple[Lane, dict[str, str]]]:
        for number in range(5):
            await told.acquire()
            yield Lane.UPDATE, {"source": "//shop/x", "id": str(number)}

    client = Client("nowhere:1")
    client._publisher = BreakingLog(chain([OK, LOST, DOUBTED], repeat(OK)))
    client._partitions[Lane.UPDATE] = 4
    outcomes = []
    async with asyncio.timeout(20):
        async for outcome in client.publish_many(events(), in_flight=3):
            outcomes.append(outcome)
            told.release()
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Published)] == [
        str(number) for number in range(5)
    ]
