"""Sets aside records that this release cannot read, so that whoever follows a log goes on with what it held before.

One way for every follower. A record that cannot be read changes nothing: the older word stays. It is counted, logged with its
place, and gets a dead letter; the record itself stays in its log, so a release that can read it will. How many a process goes
without is a gauge, because the line that said so scrolls away: an entry of a compacted topic counts until another one
replaces it, every other record for as long as the process lives.
"""

import asyncio
import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import msgspec

from broker.letters import place_of
from broker.registry.fold import UnreadableEntryError
from schemas import topics
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.status import DeadLetter
from schemas.wire.header import NewerRecordError, UnreadableRecordError
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import NotGrantedError, Publisher, PublishError
from streams.kafka.reader import LogRecord
from streams.runtime import clock, metrics
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import Address
from streams.runtime.rate_limited_log import RateLimitedLine

UNREADABLE: Final = (
    *(UnreadableRecordError, UnreadableEntryError, msgspec.MsgspecError),
    *(ValueError, IndexError, OverflowError, RecursionError, struct.error),
)
"""Errors of whoever reads a record that is none, or columns that are none. Anything else is a defect, and ends the process."""
MOST_LETTERS: Final = 100
"""Dead letters of one process: who floods a topic with bytes of their own shall not flood that one as well."""
_OF_LANES: Final = {"work": topics.work, "outcomes": topics.outcomes, "receipts": topics.receipts}
_AGAIN_S: Final = 2.0
_ATTEMPTS: Final = 30

_json = msgspec.json.Encoder()


def dead_letter(letter: DeadLetter) -> Outgoing:
    """A refused record as it stands on ``dead-letters``."""
    return Outgoing(topics.DEAD_LETTERS, _json.encode(letter), key=f"{letter.topic}-{letter.partition}".encode())


def refuse_newer(topic: str, partition: int, offset: int, error: NewerRecordError) -> NoReturn:
    """Ends the process at a record that a newer release wrote where nobody may go on without it."""
    place = place_of(topic, partition, offset)
    fatal(Exit.REFUSED_START, detail=f"{place} was written by a newer release ({error}): start that one")


class SetAside:
    """Keeps account of what one process could not read. ``stage`` is who reads, in the word of letters and metrics."""

    def __init__(self, bootstrap: Address, stage: str, lane: str = metrics.ALL) -> None:
        self._bootstrap = bootstrap
        self.stage = stage
        self._lane = lane
        self._keyed: defaultdict[str, set[tuple[int, bytes]]] = defaultdict(set)
        """Topic -> partition and key of entries that cannot be read and were not replaced."""
        self._others: Counter[str] = Counter()
        """Topic -> records without a key."""
        self._letters: asyncio.Queue[DeadLetter] = asyncio.Queue()
        self._letters_left = MOST_LETTERS
        self._line = RateLimitedLine(Event.RECORD_UNREADABLE, component=stage)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Writes dead letters from now on, by a connection of their own that is made for the first one."""
        self._task = asyncio.ensure_future(self._write())

    async def stop(self) -> None:
        """Write no more; letters that are not written are lost, their records are not."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait([task], timeout=1.0)

    def each(self, topic: str, partition: int, records: Sequence[LogRecord], take: Callable[[LogRecord], None]) -> None:
        """Give each of ``records`` to ``take``, in order; one that it cannot read (:data:`UNREADABLE`) is set aside."""
        for record in records:
            try:
                take(record)
            except UNREADABLE as error:
                self.put(topic, partition, record, error)
            else:
                if record.key is not None and topic in self._keyed:
                    self._keyed[topic].discard((partition, record.key))

    def put(self, topic: str, partition: int, record: LogRecord, error: Exception, *, stage: str = "") -> None:
        """Set a record aside that could not be read because of ``error``. ``stage``: who reads it, if it is another one."""
        reader = stage or self.stage
        if record.key is None:
            self._others[topic] += 1
        else:
            self._keyed[topic].add((partition, record.key))
        metrics.UNREAD.of(_word_of(topic), self._lane).follow(lambda: float(self.count(topic)))
        metrics.ALERTS.of(Reason.UNREADABLE.word).inc()
        metrics.DEAD_LETTERS.of(reader, Reason.UNREADABLE.word).inc()
        self._line.say(topic=topic, partition=partition, offset=record.offset, error=type(error).__name__, stage=reader)
        if self._letters_left:
            self._letters_left -= 1
            self._letters.put_nowait(_letter(reader, topic, partition, record, error))

    def count(self, topic: str) -> int:
        """Returns how many records of ``topic`` this process goes without."""
        return self._others[topic] + len(self._keyed.get(topic, ()))

    async def _write(self) -> None:
        publisher = Publisher(self._bootstrap, f"{self.stage}-letters")
        connected = False
        try:
            while True:
                letter = await self._letters.get()
                for _ in range(_ATTEMPTS):  # a letter is not worth the process: it may well go on without
                    try:
                        if not connected:
                            await publisher.start()
                            connected = True
                        await publisher.publish(dead_letter(letter))
                    except NotGrantedError:
                        break
                    except PublishError:
                        await asyncio.sleep(_AGAIN_S)
                    else:
                        break
        finally:
            await publisher.stop()


def _word_of(topic: str) -> str:
    """Returns the metric's word for a topic: of a lane's the word without the lane."""
    return next((word for word, of in _OF_LANES.items() if topic in map(of, Lane)), topic)


def _letter(stage: str, topic: str, partition: int, record: LogRecord, error: Exception) -> DeadLetter:
    """Returns the letter about a record of ours: it holds no payload, for the record stays where it is."""
    # Other errors may quote what they met.
    why = str(error) if isinstance(error, UnreadableRecordError | UnreadableEntryError) else type(error).__name__
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=record.offset,
        reason=Reason.UNREADABLE.word,
        detail=f"{place_of(topic, partition, record.offset)} cannot be read by this release: {why}",
        stage=stage,
        at_ms=clock.now_ms(),
        payload_sha256=hashlib.sha256(record.value or b"").hexdigest(),
    )
