"""The only place that builds a client of Kafka, and names a topic or a group to one: ways in and prefixes are added here.

Comes in: an :data:`~streams.runtime.kafka_access.Address`, plain names, what a caller needs of its client. Goes out: aiokafka's
clients, not started, and names as Kafka has them. A certificate is read when a client is made, a token at each connection.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError

from streams.runtime.kafka_access import Address, Kafka, kafka_at
from streams.runtime.kafka_options import TUNING


def consumer(address: Address, name: str, **options: Any) -> aiokafka.AIOKafkaConsumer:
    """Builds a consumer without a group that commits nothing; ``name`` shows up in the broker's logs."""
    return aiokafka.AIOKafkaConsumer(
        client_id=name, group_id=None, enable_auto_commit=False, **_access(address), **_tuned(address, options)
    )


def member(address: Address, group: str, slot: str, **options: Any) -> aiokafka.AIOKafkaConsumer:
    """Builds a consumer that takes the place ``slot`` in ``group``."""
    kafka = kafka_at(address)
    return aiokafka.AIOKafkaConsumer(
        client_id=f"{group}-{slot}",
        group_id=kafka.name(group),
        group_instance_id=slot,
        enable_auto_commit=False,
        **_access(kafka),
        **_tuned(kafka, options),
    )


def producer(address: Address, name: str, **options: Any) -> aiokafka.AIOKafkaProducer:
    """Builds an idempotent producer that waits for every in-sync copy."""
    return aiokafka.AIOKafkaProducer(
        client_id=name, acks="all", enable_idempotence=True, **_access(address), **_tuned(address, options)
    )


def admin_client(address: Address, **options: Any) -> AIOKafkaAdminClient:
    """Builds a client that describes and makes topics."""
    return AIOKafkaAdminClient(client_id="fanfare-admin", **_access(address), **_tuned(address, options))


async def connection(address: Address, host: str, port: int, *, timeout_ms: int) -> AIOKafkaConnection:
    """Opens one connection, logged in; raises what stands in the way, which a client only writes into its log."""
    options = _access(address)
    del options["bootstrap_servers"]
    return await create_conn(host, port, client_id="fanfare-probe", request_timeout_ms=timeout_ms, **options)


@contextlib.asynccontextmanager
async def first_broker(kafka: Kafka, *, timeout_ms: int) -> AsyncIterator[AIOKafkaConnection]:
    """Opens a connection to the first address, for requests that aiokafka's clients do not send; closes it in the end."""
    host, port = kafka.addresses[0]
    opened = await connection(kafka, host, int(port), timeout_ms=timeout_ms)
    try:
        yield opened
    finally:
        opened.close()


async def led(connected: aiokafka.AIOKafkaProducer, address: Address, topics: Collection[str]) -> set[str]:
    """Returns those of ``topics`` whose first partition has a leader, as Kafka says now; ``KafkaError`` if it does not answer."""
    kafka, now = kafka_at(address), ClusterMetadata()
    if not await connected.client._metadata_update(now, [kafka.name(topic) for topic in topics]):  # noqa: SLF001
        raise KafkaConnectionError
    return {topic for topic in topics if now.leader_for_partition(place(kafka, topic, 0)) not in (None, -1)}


def place(address: Address, topic: str, partition: int) -> TopicPartition:
    """Returns Kafka's name of a partition of ours."""
    return TopicPartition(kafka_at(address).name(topic), partition)


def new_topic(name: str, partitions: int, copies: int, config: Mapping[str, str]) -> NewTopic:
    """Returns the order for a topic under Kafka's name for it."""
    return NewTopic(name, partitions, copies, topic_configs=dict(config))


def _access(address: Address) -> dict[str, Any]:
    """Returns the options that every client of a Kafka shares."""
    kafka = kafka_at(address)
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
        "ssl_context": _tls(kafka) if kafka.security_protocol.endswith("SSL") else None,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.token_file is not None:
        options["sasl_oauth_token_provider"] = _TokenFile(kafka.token_file)
    if kafka.password is not None:
        options["sasl_plain_username"] = kafka.user
        options["sasl_plain_password"] = kafka.password.get_secret_value()
    return options


def _tuned(address: Address, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that a caller needs over those that the settings ask for: its deadlines are part of what it does."""
    return {TUNING[name]: value for name, value in kafka_at(address).options} | options


def _tls(kafka: Kafka) -> ssl.SSLContext:
    """Returns what checks a broker's certificate and name, and shows ours. Raises ``OSError`` for a file that is none."""
    context = ssl.create_default_context(cafile=kafka.ca_file)
    if kafka.cert_file is not None:
        # Without a password OpenSSL would ask for one at the terminal.
        password = "" if kafka.key_password is None else kafka.key_password.get_secret_value()
        context.load_cert_chain(kafka.cert_file, kafka.key_file, password=password)
    return context


class _TokenFile(AbstractTokenProvider):
    """The token of OAUTHBEARER, as it stands in its file when a connection is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        return (await asyncio.to_thread(self._path.read_text, "utf-8")).strip()
