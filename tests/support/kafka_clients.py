"""Clients of Kafka over logs in memory, as far as ``streams/kafka`` uses them: its readers, tails and producers run as they are.

A request travels to the broker and its answer back; both take their time, by a seed. What has left a process arrives though
the process is dead by then. One append of a producer to a partition is under way at a time, as aiokafka's idempotent one has it.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeVar

import aiokafka.errors
from aiokafka import TopicPartition

from streams.runtime.kafka_access import Address

Place = tuple[str, int]
_T = TypeVar("_T")

_CHOICES_MS = (*(0,) * 20, 1, 3, 20)
_MOST_RECORDS = 5


class Record(NamedTuple):
    """A record as a consumer gets it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes


class Stamped(Protocol):
    """A record of a log."""

    @property
    def offset(self) -> int:
        """Where it stands."""

    @property
    def at_ms(self) -> int:
        """LogAppendTime."""

    @property
    def record(self) -> bytes:
        """Its value."""


class Partition(Protocol):
    """A log: dense from ``start`` to ``end``."""

    start: int
    end: int

    def append(self, at_ms: int, record: bytes) -> int:
        """Append; its offset."""

    def read(self, start: int, stop: int) -> Sequence[Stamped]:
        """The records of ``[start, stop)``."""

    def first_since(self, at_ms: int) -> int | None:
        """The offset of the first record stamped at ``at_ms`` or later."""


class Cluster:
    """The broker and the way to it. ``partition`` gives the log of a place, ``now_ms`` LogAppendTime."""

    def __init__(self, rng: random.Random, now_ms: Callable[[], int], partition: Callable[[Place], Partition]) -> None:
        self.rng = rng
        self.now_ms = now_ms
        self.partition = partition
        self.lost = 0.0
        """How often an append is not acknowledged as it should be, though it may stand in the log."""
        self.choices_ms: Sequence[int] = _CHOICES_MS
        """How long a request or an answer may take, each as likely."""
        self.append_choices_ms: Sequence[int] = _CHOICES_MS
        """The same for appends and their acknowledgements."""
        self._on_the_way: list[tuple[int, int, Callable[[], None]]] = []
        self._sent = 0

    def post(self, arrives: Callable[[], None], delay_ms: int | None = None) -> None:
        """Something is sent; ``arrives`` is called when it is there."""
        delay_ms = self.rng.choice(self.choices_ms) if delay_ms is None else delay_ms
        self._sent += 1
        heapq.heappush(self._on_the_way, (self.now_ms() + delay_ms, self._sent, arrives))

    def carry(self) -> None:
        """Whatever is due arrives."""
        way = self._on_the_way
        while way and way[0][0] <= self.now_ms():
            heapq.heappop(way)[2]()

    async def ask(self, question: Callable[[], _T], *, after_ms: int = 0) -> _T:
        """The answer that the broker gives when the question is there; ``after_ms`` later if it is told to wait.

        Raises what the question raises there.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def asked() -> None:
            try:
                answer: object = question()
            except Exception as error:  # noqa: BLE001 - it is an answer
                answer = error
            self.post(lambda: _settle(future, answer))

        # It has not left the process before the next turn of its loop.
        loop.call_soon(self.post, asked, self.rng.choice(self.choices_ms) + after_ms)
        return await future

    # -- what ``streams/kafka/clients.py`` builds

    def consumer(self, _address: Address, _name: str, **options: Any) -> "MemoryConsumer":
        """A consumer without a group."""
        return MemoryConsumer(self, wait_ms=options["fetch_max_wait_ms"])

    def producer(self, _address: Address, _name: str, **_options: Any) -> "MemoryProducer":
        """An idempotent producer."""
        return MemoryProducer(self)

    async def led(self, _producer: object, _address: Address, topics: Collection[str]) -> set[str]:
        """Those with a leader: all."""
        return await self.ask(lambda: set(topics))


class _State:
    """One assigned partition of a consumer, with the fields that aiokafka's has."""

    def __init__(self, cluster: Cluster, place: TopicPartition) -> None:
        self._cluster = cluster
        self._place = place
        self.position = 0
        self.paused = False
        self.timestamp = 0
        self.highwater = 0
        self.buffered: deque[Record] = deque()
        self.seeks = 0

    @property
    def log(self) -> Partition:
        """The partition; whoever never reads one may be assigned it though there is none."""
        return self._cluster.partition(tuple(self._place))


class MemoryConsumer:
    """Reads partitions that it was assigned; ``wait_ms`` is how long a fetch may find nothing."""

    def __init__(self, cluster: Cluster, *, wait_ms: int) -> None:
        self._cluster = cluster
        self._wait_ms = wait_ms
        self._states: dict[TopicPartition, _State] = {}
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._client = SimpleNamespace(_wait_on_metadata=self._partitions_of)
        self._fetcher = SimpleNamespace(_proc_fetch_request=self._fetch)

    async def start(self) -> None:
        """Connect."""
        await self._cluster.ask(lambda: None)

    async def stop(self) -> None:
        """Close."""
        if self._task is not None:
            self._task.cancel()

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """These from now on."""
        self._states = {place: _State(self._cluster, place) for place in places}
        self._task = asyncio.ensure_future(self._follow())

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read from ``offset`` on; what was fetched is dropped."""
        state = self._states[place]
        state.position, state.seeks = offset, state.seeks + 1
        state.buffered.clear()
        self._changed.set()

    def pause(self, *places: TopicPartition) -> None:
        """Fetch nothing of these."""
        for place in places:
            self._states[place].paused = True

    def resume(self, *places: TopicPartition) -> None:
        """Fetch again."""
        for place in places:
            self._states[place].paused = False
        self._changed.set()

    async def position(self, place: TopicPartition) -> int:
        """The offset that is handed over next."""
        return self._states[place].position

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The log start offsets."""
        return await self._cluster.ask(lambda: {place: self._log(place).start for place in places})

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets that the next appends get."""
        return await self._cluster.ask(lambda: {place: self._log(place).end for place in places})

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, Any]:
        """The first record since each time, or None."""
        return await self._cluster.ask(lambda: {place: self._first(place, at_ms) for place, at_ms in times.items()})

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """What was fetched; empty after ``timeout_ms`` without anything."""
        wanted = places or tuple(self._states)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while not any(self._states[place].buffered for place in wanted):
                    if self._error is not None:
                        raise self._error
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return {}
        taken = {place: self._take(self._states[place], max_records) for place in wanted}
        self._changed.set()
        return {place: records for place, records in taken.items() if records}

    @staticmethod
    def _take(state: _State, most: int | None) -> list[Record]:
        count = len(state.buffered) if most is None else min(most, len(state.buffered))
        records = [state.buffered.popleft() for _ in range(count)]
        if records:
            state.position = records[-1].offset + 1
        return records

    # -- fetching, which goes on while what was fetched is worked on

    async def _follow(self) -> None:
        while True:
            empty = [place for place, state in self._states.items() if not (state.paused or state.buffered)]
            if not empty:
                self._changed.clear()
                await self._changed.wait()
                continue
            rows = [(place.topic, [(place.partition,)]) for place in empty]
            try:
                await self._fetcher._proc_fetch_request(self, 0, SimpleNamespace(topics=rows))
            except aiokafka.errors.OffsetOutOfRangeError as error:
                self._error = error
            self._changed.set()
            await asyncio.sleep(0)

    def state_value(self, place: TopicPartition) -> _State:
        """The state of an assigned partition."""
        return self._states[place]

    async def _fetch(self, _assignment: Any, _node: int, request: Any) -> bool:
        states = [self._states[TopicPartition(topic, row[0])] for topic, rows in request.topics for row in rows]
        asked = [(state, state.position, state.seeks) for state in states]
        nothing = all(position >= state.log.end for state, position, _ in asked)
        fetched = await self._cluster.ask(
            lambda: [self._answer(state.log, position) for state, position, _ in asked],
            after_ms=self._wait_ms if nothing else 0,
        )
        for (state, _, seeks), (records, highwater) in zip(asked, fetched, strict=True):
            if state.seeks == seeks:
                state.timestamp, state.highwater = max(self._cluster.now_ms(), state.timestamp + 1), highwater
                state.buffered.extend(records)
        return True

    def _answer(self, log: Partition, position: int) -> tuple[list[Record], int]:
        if position < log.start:
            raise aiokafka.errors.OffsetOutOfRangeError
        stop = position + self._cluster.rng.randint(1, _MOST_RECORDS)
        records = [Record(one.offset, one.at_ms, None, one.record) for one in log.read(position, min(stop, log.end))]
        return records, log.end

    async def _partitions_of(self, _topic: str) -> set[int]:
        return await self._cluster.ask(lambda: {0})

    def _log(self, place: TopicPartition) -> Partition:
        return self._cluster.partition(tuple(place))

    def _first(self, place: TopicPartition, at_ms: int) -> Any:
        offset = self._log(place).first_since(at_ms)
        if offset is None:
            return None
        return SimpleNamespace(offset=offset, timestamp=self._log(place).read(offset, offset + 1)[0].at_ms)


class Placed(NamedTuple):
    """Where a record stands, as aiokafka says it."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class MemoryProducer:
    """Appends; one record of a partition is on its way at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._queues: dict[Place, deque[tuple[bytes, asyncio.Future[Placed | None]]]] = {}

    async def start(self) -> None:
        """Connect."""
        await self._cluster.ask(lambda: None)

    async def stop(self) -> None:
        """Close; what is on its way may arrive."""

    async def send(
        self, topic: str, *, value: bytes, key: bytes | None, partition: int | None, headers: Any
    ) -> "asyncio.Future[Placed | None]":
        """Put a record into the queue of its partition; the future gets its place."""
        del headers
        place = (topic, 0 if partition is None else partition)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Placed | None] = loop.create_future()
        queue = self._queues.setdefault(place, deque())
        queue.append((value, future))
        if len(queue) == 1:
            loop.call_soon(self._launch, place)
        del key
        return future

    def _launch(self, place: Place) -> None:
        """The first record of a queue leaves the process."""
        value, _ = self._queues[place][0]
        cluster = self._cluster
        fate = cluster.rng.random()
        if fate < cluster.lost:
            self._fail(place, value, fate / cluster.lost)
        else:
            cluster.post(lambda: self._land(place, value), cluster.rng.choice(cluster.append_choices_ms))

    def _land(self, place: Place, value: bytes) -> None:
        now_ms = self._cluster.now_ms()
        placed = Placed(*place, self._cluster.partition(place).append(now_ms, value), now_ms)
        cluster = self._cluster
        cluster.post(lambda: self._acknowledge(place, placed), cluster.rng.choice(cluster.append_choices_ms))

    def _fail(self, place: Place, value: bytes, fate: float) -> None:
        """Something is wrong with the broker: written or not, the answer is an error, has no offset, or never comes."""
        cluster = self._cluster

        def written() -> None:
            cluster.partition(place).append(cluster.now_ms(), value)

        if fate < 0.5:
            cluster.post(written)
        match int(fate * 300) % 3:
            case 0:
                cluster.post(lambda: self._acknowledge(place, aiokafka.errors.NotEnoughReplicasAfterAppendError()))
            case 1:
                cluster.post(lambda: self._acknowledge(place, Placed(*place, -1, -1)))
            case _:
                pass

    def _acknowledge(self, place: Place, answer: Placed | BaseException) -> None:
        _, future = self._queues[place].popleft()
        _settle(future, answer)
        if self._queues[place]:
            future.get_loop().call_soon(self._launch, place)


def _settle(future: "asyncio.Future[Any]", answer: object) -> None:
    """Answers whoever still waits."""
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
