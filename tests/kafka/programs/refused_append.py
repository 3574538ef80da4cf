"""A producer whose broker answers with an error; run as `python -m tests.kafka.programs.refused_append ERROR (start|now|later)`.

No Kafka is needed for it.
"""

import asyncio
import sys
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
)

from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.runtime import log
from streams.runtime.kafka_access import Kafka

ERRORS: Final = {
    "forbidden": TopicAuthorizationFailedError("acme.charges"),
    "no id": ClusterAuthorizationFailedError(),
    "few copies": NotEnoughReplicasError(),
}
KAFKA: Final = Kafka(bootstrap="kafka:1", user="acme-worker-update", prefix="acme.")


class Refusing(ConfirmedProducer):
    """Appends to a broker that answers with ``error``: when it starts, at once, or for each record when it has come."""

    def __init__(self, error: KafkaError, when: str) -> None:
        super().__init__(KAFKA, "outputs")
        self._error = error
        self._when = when

    def _prepared(self, producer: AIOKafkaProducer) -> None:
        async def refused() -> None:
            raise self._error

        producer.start = refused

    async def _send(self, record: Outgoing) -> "asyncio.Future[Any]":  # noqa: ARG002 - its base's
        if self._when == "now":
            raise self._error
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return future


async def main() -> None:
    """Appends to two topics; reaching the end is status 0."""
    error, when = sys.argv[1:]
    log.configure(program="refused_append")
    records = [Outgoing("status.shop", b"x", partition=0), Outgoing("charges", b"x", partition=0)]
    producer = Refusing(ERRORS[error], when)
    if when == "start":
        await producer.start()
    await producer.send_many(records)


if __name__ == "__main__":
    asyncio.run(main())
