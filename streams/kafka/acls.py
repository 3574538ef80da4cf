"""Writes grants into a Kafka, as ``kafka-acls.sh`` does, and asks what this user may do to topics, groups and the cluster.

What a user may do to a topic a broker says in its metadata, if asked, by one bit an operation (KIP-430; version 8, which
aiokafka does not speak). Of the cluster it says that only to those who may describe the cluster, which nobody here needs: there
the thing itself is done, a look at the configuration that brokers share.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import ClusterAuthorizationFailedError, for_code
from aiokafka.protocol.admin import (
    CreateAclsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest_v3,
    DescribeGroupsResponse_v3,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from streams.kafka import clients
from streams.kafka.grants import Grant, Pattern, Resource
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


_ANSWER_MS: Final = 5_000
_NO_SUCH_TOPIC: Final = 3
_GROUP_FORBIDDEN: Final = 30
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


class _GroupAnswer(Response):
    API_KEY = DescribeGroupsResponse_v3.API_KEY
    API_VERSION = DescribeGroupsResponse_v3.API_VERSION
    SCHEMA = DescribeGroupsResponse_v3.SCHEMA


class _GroupQuestion(RequestStruct):
    API_KEY = DescribeGroupsRequest_v3.API_KEY
    API_VERSION = DescribeGroupsRequest_v3.API_VERSION
    RESPONSE_TYPE = _GroupAnswer  # aiokafka names the answer of the version before
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _AskingGroups(Request[_GroupQuestion]):
    API_KEY = DescribeGroupsRequest_v3.API_KEY

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_GroupQuestion]) -> _GroupQuestion:
        return request_struct_class(self._groups, True)  # noqa: FBT003 - the field says it: what is authorized


_ALL_BROKERS: Final = ""
"""Named in the place of one broker: what all of them share, which any of them tells."""


async def missing(kafka: Kafka, wanted: Sequence[Grant], *, businesses: Sequence[str] = ()) -> list[Grant]:
    """Returns those of ``wanted`` that this user has not got; what is about absent topics is left out.

    Grants on the topics of all businesses are looked at for ``businesses``. Of groups whose coordinator is another broker
    than the one that is asked it is known only whether they may be described. Raises what
    :func:`~streams.kafka.clients.connection` raises.
    """
    topics, groups = list(_topics(wanted, businesses)), [each for each in wanted if each.resource is Resource.GROUP]
    looks = [each for each in wanted if each.resource is Resource.CLUSTER]
    async with clients.first_broker(kafka, timeout_ms=_ANSWER_MS) as connection:
        lacking = [
            *_lacking(topics, await _bits_of_topics(connection, sorted({one.name for one in topics}))),
            *_lacking(groups, await _bits_of_groups(connection, sorted({one.name for one in groups}))),
        ]
        if looks and await _configs_forbidden(connection):
            lacking += looks
    return lacking


async def _bits_of_topics(connection: AIOKafkaConnection, names: Sequence[str]) -> dict[str, int]:
    """Returns what may be done to each topic that is there; of one that may not even be described a broker says only that."""
    topics = (await connection.send(_Asking(names))).topics
    return {name: 0 if code else allowed for code, name, _, _, allowed in topics if code != _NO_SUCH_TOPIC}


async def _bits_of_groups(connection: AIOKafkaConnection, names: Sequence[str]) -> dict[str, int]:
    """Returns what may be done to each group of which this broker knows it."""
    groups = (await connection.send(_AskingGroups(names))).groups
    told = (group for group in groups if group[0] in (0, _GROUP_FORBIDDEN))
    return {name: 0 if code else allowed for code, name, *_, allowed in told}


async def _configs_forbidden(connection: AIOKafkaConnection) -> bool:
    """Returns whether this user may not look at the brokers' configuration: the one grant on the cluster that anybody has."""
    answer = await connection.send(DescribeConfigsRequest([(ConfigResourceType.BROKER, _ALL_BROKERS, [])]))
    return any(for_code(code) is ClusterAuthorizationFailedError for code, *_ in answer.resources)


def _lacking(wanted: Sequence[Grant], bits: Mapping[str, int]) -> Iterator[Grant]:
    """Yields the grants that are not among the bits of their thing; of a thing that nothing is known of, none."""
    return (one for one in wanted if one.name in bits and not bits[one.name] & 1 << one.operation)


def _topics(wanted: Sequence[Grant], businesses: Sequence[str]) -> Iterator[Grant]:
    """Yields what grants on topics mean by names; one on all names that begin alike is about the topics of businesses."""
    for grant in wanted:
        if grant.resource is not Resource.TOPIC:
            continue
        ends = businesses if grant.pattern is Pattern.PREFIXED else [""]
        yield from (grant._replace(name=f"{grant.name}{end}", pattern=Pattern.LITERAL) for end in ends)
