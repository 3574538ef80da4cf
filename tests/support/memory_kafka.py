"""Kafka's part of a stage in memory: logs that are read and appended to at once, for tests of one shell alone."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence

from streams.kafka.faust_app.commits import Place
from streams.kafka.producer import Appended, ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader, LogRecord
from streams.runtime import clock


class MemoryLogs:
    """The partitions of a cluster, dense, from offset 0."""

    def __init__(self) -> None:
        self.records: defaultdict[Place, list[LogRecord]] = defaultdict(list)

    def append(self, record: Outgoing) -> Appended:
        """Append one record; a partition must be named."""
        assert record.partition is not None
        assert record.value is not None
        log = self.records[record.topic, record.partition]
        appended = Appended(len(log), clock.now_ms())
        log.append(LogRecord(*appended, record.key, record.value))
        return appended


class MemoryReader(LogReader):
    """Reads them."""

    def __init__(self, logs: MemoryLogs) -> None:
        super().__init__("", "memory", ())
        self._logs = logs

    async def bounds(self, place: Place) -> tuple[int, int]:
        """From 0 to the end."""
        return 0, len(self._logs.records[place])

    async def first_since(self, place: Place, at_ms: int) -> tuple[int, int] | None:
        """The first record of that time or later."""
        found = (record for record in self._logs.records[place] if record.timestamp_ms >= at_ms)
        return next(((record.offset, record.timestamp_ms) for record in found), None)

    async def read(self, place: Place, start: int, stop: int) -> AsyncGenerator[list[LogRecord], None]:
        """In bites as they come from Kafka."""
        for begin in range(start, stop, 1_000):
            yield self._logs.records[place][begin : min(stop, begin + 1_000)]


class MemoryProducer(ConfirmedProducer):
    """Appends to them."""

    def __init__(self, logs: MemoryLogs) -> None:
        super().__init__("", "memory")
        self._logs = logs

    async def confirm(self, records: Sequence[Outgoing]) -> list[Appended]:
        """As Kafka confirms."""
        return [self._logs.append(record) for record in records]


async def known() -> bool:
    """The group's answer to a member that it has."""
    return True
