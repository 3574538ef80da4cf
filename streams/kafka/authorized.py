"""Asks a Kafka what this user may do to topics, and compares it with what a process, a business or an operator needs.

A broker says it in its metadata, if asked, by one bit an operation (KIP-430; version 8, which aiokafka does not speak).
"""

from collections.abc import Sequence
from typing import Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from streams.kafka import clients
from streams.kafka.grants import Grant, Pattern, Resource
from streams.runtime.kafka_access import Kafka

_TIMEOUT_MS: Final = 5_000
_NO_SUCH_TOPIC: Final = 3
_TEXT: Final = String("utf-8")
_METADATA: Final = 3
_VERSION: Final = 8
_FLAGS: Final = (False, False, True)
"""Make no topic; say nothing of the cluster; say what may be done to each topic."""


class _Answer(Response):
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _Question(RequestStruct):
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Asking(Request[_Question]):
    API_KEY = _METADATA

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class(self._topics, *_FLAGS)


async def missing(kafka: Kafka, wanted: Sequence[Grant]) -> list[Grant]:
    """Returns those of ``wanted`` on topics by name that this user has not got; what is about absent topics is left out.

    Raises what :func:`~streams.kafka.clients.connection` raises.
    """
    asked = [one for one in wanted if one.resource is Resource.TOPIC and one.pattern is Pattern.LITERAL]
    async with clients.first_broker(kafka, timeout_ms=_TIMEOUT_MS) as connection:
        answer = await connection.send(_Asking(sorted({one.name for one in asked})))
    # Of a topic that may not even be described the broker says only that, and no bits.
    bits = {name: 0 if code else allowed for code, name, _, _, allowed in answer.topics if code != _NO_SUCH_TOPIC}
    return [one for one in asked if one.name in bits and not bits[one.name] & 1 << one.operation]
