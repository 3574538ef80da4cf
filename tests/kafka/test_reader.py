"""Ranges of a log, read in bites that leave room for others between them."""

from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader, by_time
from tests.conftest import RealKafka
from tests.kafka.conftest import MakeTopic

RECORDS = 2_500


async def test_a_long_range_comes_in_bites(kafka: RealKafka, make_topic: MakeTopic) -> None:
    """Every record once and in order, to the end that was asked for; no bite holds the loop for longer than a thousand take."""
    topic = await make_topic(1)
    producer = ConfirmedProducer(kafka.bootstrap, "test")
    await producer.start()
    await producer.confirm([Outgoing(topic, str(number).encode(), partition=0) for number in range(RECORDS)])
    await producer.stop()
    reader = LogReader(kafka.bootstrap, "test", [(topic, 0)])
    await reader.start()
    for start, stop in ((0, RECORDS - 100), (1_200, 1_300), (7, RECORDS)):
        bites = [bite async for bite in reader.read((topic, 0), start, stop)]
        assert [int(record.value) for bite in bites for record in bite] == list(range(start, stop))
        assert all(0 < len(bite) <= 1_000 for bite in bites)
    await reader.stop()


async def test_two_logs_are_read_side_by_side(kafka: RealKafka, make_topic: MakeTopic) -> None:
    """By the time at which the broker appended them, although each is fetched in pieces of its own."""
    topic = await make_topic(2)
    producer = ConfirmedProducer(kafka.bootstrap, "test")
    await producer.start()
    for turn in range(5):
        numbers = range(turn * RECORDS, (turn + 1) * RECORDS)
        await producer.confirm([Outgoing(topic, str(number).encode(), partition=turn % 2) for number in numbers])
    await producer.stop()
    reader = LogReader(kafka.bootstrap, "test", [(topic, 0), (topic, 1)])
    await reader.start()
    reads = {(topic, 0): reader.read((topic, 0), 0, 3 * RECORDS), (topic, 1): reader.read((topic, 1), 0, 2 * RECORDS)}
    found = [int(record.value) async for bite in by_time(reads) for _, record in bite]
    await reader.stop()
    assert found == list(range(5 * RECORDS))
