"""Writes grants into a Kafka, as an administrator: what ``kafka-acls.sh`` does, for a development Kafka and for tests."""

from collections.abc import Sequence
from typing import Final

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from streams.kafka import clients
from streams.kafka.grants import Grant
from streams.runtime.kafka_access import Kafka

_TIMEOUT_MS: Final = 10_000
_ALLOW: Final = 3
_EVERY_HOST: Final = "*"


async def allow(kafka: Kafka, grants: Sequence[Grant]) -> None:
    """Allows each of ``grants``; what is allowed already stays so. Raises a ``KafkaError`` for the first that is refused."""
    async with clients.first_broker(kafka, timeout_ms=_TIMEOUT_MS) as connection:
        for user, operation, resource, name, pattern in grants:
            request = CreateAclsRequest(resource, name, pattern, f"User:{user}", _EVERY_HOST, operation, _ALLOW)
            for code, message in (await connection.send(request)).creation_responses:
                if code:
                    raise for_code(code)(message)
