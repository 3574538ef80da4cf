"""When a Kafka can be used: all brokers registered, every partition led, groups coordinated.

A port that answers proves little: for a second or more after it opens, producers meet
NotLeaderForPartition and the first consumer GroupCoordinatorNotAvailable.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from streams.dev.kafka.errors import NodeFailedError
from streams.kafka import clients
from streams.kafka.faust_app.commits import Place
from streams.kafka.way_in import refusal
from streams.runtime.kafka_access import Address, kafka_at

PROBE_GROUP: Final = "fanfare-readiness"
"""Asking for this group's coordinator makes Kafka create the offsets topic; the group never has a member."""

_POLL_S: Final = 0.1
_CONNECT_S: Final = 3
_ADVICE: Final = "`fanfare kafka up` starts one; --bootstrap names another."
_REQUEST_TIMEOUT_MS: Final = 5_000
_LIST_ATTEMPTS: Final = 5
_LIST_AGAIN_S: Final = 0.3


async def wait_ready(bootstrap: Address, *, brokers: int, deadline_s: float) -> None:
    """Return when `brokers` brokers are registered, every partition has a leader and a coordinator answers.

    Raises NodeFailedError with what was still missing when `deadline_s` seconds have gone.
    """
    missing = "nothing listens there"
    try:
        async with asyncio.timeout(deadline_s):
            # aiokafka logs an error for each refused connection, so it is asked only once enough nodes listen.
            while await _listening(bootstrap) < brokers:
                await asyncio.sleep(_POLL_S)
            while missing := await _missing(bootstrap, brokers):
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise NodeFailedError(f"Kafka at {bootstrap} was not ready after {deadline_s:.0f} s: {missing}.") from error


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Holds what a Kafka says about itself: its id, registered brokers, topics, and topics with a leaderless partition."""

    cluster_id: str
    brokers: int
    topics: int
    leaderless: tuple[str, ...]


async def describe(bootstrap: Address, *, deadline_s: float) -> ClusterState:
    """The state of the Kafka at `bootstrap`; NodeFailedError if it does not answer within `deadline_s`."""
    try:
        async with asyncio.timeout(deadline_s):
            if not await _listening(bootstrap):
                raise NodeFailedError(f"No Kafka answers at {bootstrap}. {_ADVICE}")
            async with admin(bootstrap) as client:
                cluster = await client.describe_cluster()
                topics = await own_topics(client, bootstrap)
                names = sorted(map(kafka_at(bootstrap).name, topics))
                without = tuple(await leaderless(client, names))
                return ClusterState(cluster["cluster_id"], len(cluster["brokers"]), len(topics), without)
    except (KafkaError, TimeoutError) as error:
        silent = f"Kafka at {bootstrap} does not answer ({type(error).__name__})."
        raise NodeFailedError(await refusal(bootstrap) or silent) from error


def demand_listener(bootstrap: Address) -> None:
    """Return if any of the addresses accepts a connection, else NodeFailedError: asked before a long-lived program starts."""
    for host, port in kafka_at(bootstrap).addresses:
        with contextlib.suppress(OSError, ValueError), socket.create_connection((host, int(port)), _CONNECT_S):
            return
    raise NodeFailedError(f"No Kafka answers at {bootstrap}. {_ADVICE}")


async def wait_leaders(client: AIOKafkaAdminClient, topics: Collection[str], *, deadline_s: float) -> None:
    """Returns when every partition of `topics`, named as in Kafka, has a leader; NodeFailedError names those without."""
    waiting: Sequence[str] = sorted(topics)
    try:
        async with asyncio.timeout(deadline_s):
            while waiting := await leaderless(client, waiting):
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise NodeFailedError(
            f"No leader after {deadline_s:.0f} s for partitions of {', '.join(waiting)}: are all brokers up?"
        ) from error


@contextlib.asynccontextmanager
async def admin(bootstrap: Address) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, started and closed. Raises KafkaConnectionError when no address answers."""
    client = clients.admin_client(bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def own_topics(client: AIOKafkaAdminClient, bootstrap: Address) -> set[str]:
    """Returns the topics that exist, as we call them; those of other prefixes are left out."""
    kafka = kafka_at(bootstrap)
    return {topic for name in await client.list_topics() if (topic := kafka.plain(name)) is not None}


async def leaderless(client: AIOKafkaAdminClient, topics: Sequence[str] | None = None) -> list[str]:
    """Topics, among `topics` or all, that some broker does not know or knows a partition of without leader.

    Every broker is asked, because each learns of a change in its own time and clients ask any of them. Brokers that
    do not answer are left out; if none does, KafkaConnectionError is raised.
    """
    asked = list(topics) if topics is not None else None
    brokers = [broker["node_id"] for broker in (await client.describe_cluster())["brokers"]]
    answers = await asyncio.gather(*(_topics_at(client, node_id, asked) for node_id in brokers), return_exceptions=True)
    heard = [answer for answer in answers if not isinstance(answer, BaseException)]
    if not heard:
        raise KafkaConnectionError(f"none of {len(brokers)} brokers answers")
    return sorted({topic["topic"] for described in heard for topic in described if not _is_led(topic)})


async def _topics_at(client: AIOKafkaAdminClient, node_id: int, topics: list[str] | None) -> list[dict[str, Any]]:
    # The public describe_topics asks a broker of aiokafka's own choice.
    response = await client._send_request(MetadataRequest(topics), node_id)  # noqa: SLF001
    described: list[dict[str, Any]] = response.to_object()["topics"]
    return described


def _is_led(topic: dict[str, Any]) -> bool:
    partitions = topic["partitions"]
    return not topic["error_code"] and all(not part["error_code"] and part["leader"] >= 0 for part in partitions)


async def _listening(bootstrap: Address) -> int:
    """Returns how many of the addresses accept a connection."""
    accepted = 0
    for host, port in kafka_at(bootstrap).addresses:
        with contextlib.suppress(OSError, ValueError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            accepted += 1
    return accepted


async def _missing(bootstrap: Address, brokers: int) -> str:
    try:
        async with admin(bootstrap) as client:
            registered = len((await client.describe_cluster())["brokers"])
            if registered < brokers:
                return f"{registered} of {brokers} brokers registered"
            await client.find_coordinator(kafka_at(bootstrap).name(PROBE_GROUP))
            without = await leaderless(client)
    except (KafkaError, TimeoutError) as error:
        return type(error).__name__
    return f"no leader for partitions of {', '.join(without)}" if without else ""


# How far a group has committed, asked of the broker by anybody who needs to know.


async def committed_offsets(bootstrap: Address, group: str) -> dict[Place, int]:
    """(topic, partition) -> the offset up to which ``group`` has finished; places never committed are missing.

    Raises ``KafkaError`` if Kafka does not answer for a second or two.
    """
    kafka, found = kafka_at(bootstrap), None
    for left in reversed(range(_LIST_ATTEMPTS)):
        try:
            async with admin(kafka) as client:
                found = await client.list_consumer_group_offsets(kafka.name(group))
                break
        except KafkaError as error:
            # A broker that stood still is not ready for a moment: no reason to end a worker that has just got its shards.
            if not (left and error.retriable):
                raise
        await asyncio.sleep(_LIST_AGAIN_S)
    assert found is not None
    return {
        (topic, place.partition): at.offset
        for place, at in found.items()
        if at.offset >= 0 and (topic := kafka.plain(place.topic)) is not None
    }
