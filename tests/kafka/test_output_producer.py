"""What is for a topic that is gone is given up, and nothing else is."""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError

from streams.kafka.output_producer import MayGo, OutputProducer
from streams.kafka.producer import Appended, Outgoing

WORK, GOOD, GONE = "work.otp", "status.airline", "status.gone"


class UnknownError(Exception):
    """Stands for the end of the process."""


class Producer(OutputProducer):
    """A producer, and what Kafka does with what it sends."""

    def __init__(self, again_ms: int) -> None:
        may_go = MayGo(lambda topic: topic.startswith("status."), self._give_up, doubt_s=0.005, again_ms=again_ms)
        super().__init__("", "test", may_go, linger_ms=0, deadline_ms=50)
        self.log: list[bytes | None] = []
        self.lost: list[bytes | None] = []
        self.silent: set[str] = set()
        """Topics whose appends nobody acknowledges."""
        self.refusing: set[str] = set()
        self.leaderless: set[str] = set()

    def _give_up(self, record: Outgoing) -> None:
        self.lost.append(record.value)

    async def _appended(self, records: Sequence[Outgoing]) -> list[Appended]:
        for record in records:
            if record.topic in self.refusing:
                raise UnknownTopicOrPartitionError
            if record.topic in self.silent:
                await asyncio.Event().wait()
            self.log.append(record.value)
        return [Appended(0, 0) for _ in records]

    async def _gone(self, topics: set[str]) -> set[str]:
        return topics & self.leaderless

    def _unknown(self, _records: Sequence[Outgoing], why: str) -> NoReturn:
        raise UnknownError(why)

    async def say(self, text: bytes) -> list[Appended]:
        """One record to each topic."""
        return await self.confirm([Outgoing(topic, text + topic.encode()) for topic in (GONE, GOOD, WORK)])


@pytest.mark.parametrize("how", ["silent", "refusing"])
@pytest.mark.parametrize("again_ms", [60_000, 0])
async def test_a_topic_that_is_gone_costs_its_own_records(how: str, again_ms: int) -> None:
    """All others are appended; once Kafka was asked again and says that it is there, so are its own."""
    producer = Producer(again_ms)
    getattr(producer, how).add(GONE)
    producer.leaderless.add(GONE)
    assert len(await producer.say(b"1 ")) == 2
    assert len(await producer.say(b"2 ")) == 2
    assert set(producer.log) == {b"1 status.airline", b"1 work.otp", b"2 status.airline", b"2 work.otp"}
    assert producer.lost == [b"1 status.gone", b"2 status.gone"]

    getattr(producer, how).clear()
    producer.leaderless.clear()
    await producer.say(b"3 ")
    assert (b"3 status.gone" in producer.log) == (again_ms == 0)
    assert (b"3 status.gone" in producer.lost) == (again_ms > 0)


@pytest.mark.parametrize("how", ["silent", "refusing"])
async def test_nothing_is_given_up_while_its_topic_is_there(how: str) -> None:
    """Kafka that is slow, or does not answer, takes the way of every append: its outcome is unknown."""
    producer = Producer(60_000)
    getattr(producer, how).add(GOOD)
    with pytest.raises(UnknownError):
        await producer.say(b"1 ")
    assert producer.lost == []


async def test_nobody_gives_up_what_must_not_be_lost() -> None:
    """Work has no leader: that is not a matter of one business."""
    producer = Producer(60_000)
    producer.leaderless.add(WORK)
    producer.silent.add(WORK)
    with pytest.raises(UnknownError):
        await producer.say(b"1 ")
    assert producer.lost == []
