"""What tests against a real Kafka share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from schemas.topics import SHARDS, catalogue
from streams.kafka.producer import ConfirmedProducer
from streams.kafka.provision import provision
from tests.conftest import RealKafka
from tests.kafka.ledgers import Charges, RunningLedger
from tests.kafka.records import new_topic
from tests.support.secured import as_operator

MakeTopic = Callable[[int], Awaitable[str]]


@pytest.fixture
def make_topic(kafka: RealKafka) -> MakeTopic:
    """Makes a topic of that many partitions on the session's Kafka, with every leader there; gives its name."""

    async def make(partitions: int) -> str:
        return await new_topic(kafka.bootstrap, partitions=partitions)

    return make


@pytest.fixture
async def charges(kafka: RealKafka) -> AsyncIterator[Charges]:
    """The charges of a business that no other test speaks of."""
    await provision(as_operator(kafka.bootstrap), catalogue(), shards=SHARDS, dev=True, say=print)
    producer = ConfirmedProducer(kafka.bootstrap, "test")
    await producer.start()
    yield Charges(producer)
    await producer.stop()


@pytest.fixture
async def ledger(kafka: RealKafka, tmp_path: Path) -> AsyncIterator[RunningLedger]:
    """A ledger that is not running yet."""
    lent = RunningLedger(kafka.bootstrap, tmp_path)
    yield lent
    await lent.program.kill()
