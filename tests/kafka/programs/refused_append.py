"""A producer whose broker answers with an error; run as `python -m tests.kafka.programs.refused_append ERROR (now|later)`.

No Kafka is needed for it.
"""

import asyncio
import sys
from typing import Any, Final

from aiokafka.errors import KafkaError, NotEnoughReplicasError, TopicAuthorizationFailedError

from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.runtime import log
from streams.runtime.kafka_access import Kafka

ERRORS: Final = {
    "forbidden": TopicAuthorizationFailedError("acme.charges"),
    "few copies": NotEnoughReplicasError(),
}
KAFKA: Final = Kafka(bootstrap="kafka:1", security_protocol="SASL_SSL", user="acme-worker-update", prefix="acme.")


class Refusing(ConfirmedProducer):
    """Appends to a broker that answers with ``error``: at once, or for each record when it has come."""

    def __init__(self, error: KafkaError, *, at_once: bool) -> None:
        super().__init__(KAFKA, "outputs")
        self._error = error
        self._at_once = at_once

    async def _send(self, record: Outgoing) -> "asyncio.Future[Any]":  # noqa: ARG002 - its base's
        if self._at_once:
            raise self._error
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return future


async def main() -> None:
    """Appends to two topics; reaching the end is status 0."""
    error, when = sys.argv[1:]
    log.configure(program="refused_append")
    records = [Outgoing("status.shop", b"x", partition=0), Outgoing("charges", b"x", partition=0)]
    await Refusing(ERRORS[error], at_once=when == "now").send_many(records)


if __name__ == "__main__":
    asyncio.run(main())
