"""What tests against a real Kafka share."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import RealKafka
from tests.kafka.records import new_topic

MakeTopic = Callable[[int], Awaitable[str]]


@pytest.fixture
def make_topic(kafka: RealKafka) -> MakeTopic:
    """Makes a topic of that many partitions on the session's Kafka, with every leader there; gives its name."""

    async def make(partitions: int) -> str:
        return await new_topic(kafka.bootstrap, partitions=partitions)

    return make
