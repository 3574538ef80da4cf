"""Several logs read as one: by the time of their records, each in its own order, whatever bites they come in."""

from collections.abc import AsyncGenerator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.reader import LogRecord, by_time

logs = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=9).map(sorted), st.integers(1, 4)), min_size=1, max_size=3
)


async def _bites(times: Sequence[int], bite: int) -> AsyncGenerator[list[LogRecord], None]:
    records = [LogRecord(offset, at_ms, None, b"") for offset, at_ms in enumerate(times)]
    for first in range(0, len(records), bite):
        yield records[first : first + bite]
        yield []


@given(logs)
async def test_logs_are_read_by_time(logs: list[tuple[list[int], int]]) -> None:
    """Everything once; of one time the first log's come first."""
    reads = {("log", number): _bites(times, bite) for number, (times, bite) in enumerate(logs)}
    found = [(record.timestamp_ms, place[1], record.offset) async for bite in by_time(reads) for place, record in bite]
    every = [(at_ms, number, offset) for number, (times, _) in enumerate(logs) for offset, at_ms in enumerate(times)]
    assert found == sorted(every)
