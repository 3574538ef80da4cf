"""Measures how far this machine's clock is from Kafka's, by the stamp that a broker puts on a record.

Kafka tells the time in no other answer. The record goes to a topic of its own, which is removed again.
"""

import secrets
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError, for_code

from streams.kafka import clients
from streams.kafka.admin import admin, wait_leaders
from streams.kafka.grants import DOCTOR_TOPICS
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher, PublishError
from streams.kafka.way_in import NOT_GRANTED, may_not
from streams.runtime import clock
from streams.runtime.kafka_access import Address, kafka_at

_LEADER_S: Final = 10
_TRIES: Final = 3


class Offset(NamedTuple):
    """``ahead_ms``: ours less Kafka's; the truth lies at most ``within_ms`` from it."""

    ahead_ms: int
    """Milliseconds by which our clock is ahead of Kafka's; negative: behind."""
    within_ms: int
    """Milliseconds of uncertainty, both ways."""


async def measure(bootstrap: Address) -> Offset:
    """The most exact of a few measurements; :class:`PublishError` if Kafka does not let itself be asked."""
    topic = f"{DOCTOR_TOPICS}{secrets.token_hex(4)}"
    name = kafka_at(bootstrap).name(topic)
    try:
        async with admin(bootstrap) as client:
            config = {"message.timestamp.type": "LogAppendTime"}
            made = await client.create_topics([clients.new_topic(name, 1, 1, config)])
            for _, code, message in made.topic_errors:
                if code:
                    raise for_code(code)(message)
            try:
                await wait_leaders(client, [name], deadline_s=_LEADER_S)
                return await _measured(bootstrap, topic)
            finally:
                await client.delete_topics([name])
    except NOT_GRANTED as error:
        raise PublishError(may_not(bootstrap, f"make {kafka_at(bootstrap).name(topic)}"), unknown=False) from error
    except KafkaError as error:
        raise PublishError(
            f"a topic for asking the time cannot be made: {type(error).__name__}", unknown=False
        ) from error


async def _measured(bootstrap: Address, topic: str) -> Offset:
    publisher = Publisher(bootstrap, "fanfare-doctor")
    await publisher.start()
    try:
        return min([await _once(publisher, topic) for _ in range(_TRIES)], key=lambda each: each.within_ms)
    finally:
        await publisher.stop()


async def _once(publisher: Publisher, topic: str) -> Offset:
    before_ms = clock.now_ms()
    place = await publisher.publish(Outgoing(topic, b"", partition=0))
    after_ms = clock.now_ms()
    return Offset((before_ms + after_ms) // 2 - place.timestamp_ms, (after_ms - before_ms + 1) // 2 + 1)
