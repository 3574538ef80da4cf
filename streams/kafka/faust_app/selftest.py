"""A look at the overridden internals before anything starts: what is not as it was examined is refused.

The kernel overrides methods of Faust and aiokafka that are nobody's public interface. A release that renames one
would not fail, it would quietly do what the original does: commit past unfinished work, sleep a second, keep a slot
it should leave. So versions are pinned exactly, and each hooked name is looked for with the parameters we rely on.
"""

import importlib.metadata
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import faust
import mode
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.producer.transaction_manager import TransactionManager
from faust.tables.manager import TableManager
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Producer, Transport

VERSIONS: Final = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}
"""The versions that were examined; the same pins as in pyproject.toml."""

METHODS: Final[tuple[tuple[type, str, tuple[str, ...]], ...]] = (
    (faust.App, "_new_transport", ("self",)),
    (faust.App, "_create_directories", ("self",)),
    (faust.App, "_crash", ("self", "reason")),
    (faust.App, "_on_partitions_assigned", ("self", "assigned", "generation_id")),
    (faust.App, "_on_partitions_revoked", ("self", "revoked")),
    (faust.App, "on_start", ("self",)),
    (faust.App, "on_stop", ("self",)),
    (TableManager, "sleep", ("self", "n")),
    (mode.Worker, "on_shutdown", ("self",)),
    (Consumer, "_new_consumer_thread", ("self",)),
    (Consumer, "_getmany", ("self", "active_partitions", "timeout")),
    (Consumer, "_get_active_partitions", ("self",)),
    (Consumer, "_wait_next_records", ("self", "timeout")),
    (Consumer, "_commit", ("self", "offsets")),
    (Consumer, "commit", ("self", "topics", "start_new_transaction")),
    (Consumer, "force_commit", ("self", "topics", "start_new_transaction")),
    (Consumer, "getmany", ("self", "timeout")),
    (Consumer, "on_buffer_drop", ("self", "tp")),
    (Consumer, "on_buffer_full", ("self", "tp")),
    (Consumer, "on_partitions_revoked", ("self", "revoked")),
    (Consumer, "perform_seek", ("self",)),
    (Consumer, "seek_to_committed", ("self",)),
    (Consumer, "verify_event_path", ("self", "now", "tp")),
    (Producer, "_new_producer", ("self", "transactional_id")),
    (AIOKafkaConsumerThread, "_create_worker_consumer", ("self", "transport")),
    (AIOKafkaConsumerThread, "_ensure_consumer", ("self",)),
    (AIOKafkaConsumerThread, "on_start", ("self",)),
    (AIOKafkaConsumerThread, "on_thread_stop", ("self",)),
    (GroupCoordinator, "_do_heartbeat", ("self",)),
    (GroupCoordinator, "_maybe_leave_group", ("self",)),
    (GroupCoordinator, "_push_error_to_user", ("self", "exc")),
    (Fetcher, "_proc_fetch_request", ("self", "assignment", "node_id", "request")),
    (AIOKafkaClient, "_metadata_update", ("self", "cluster_metadata", "topics")),
    (TransactionManager, "set_pid_and_epoch", ("self", "pid", "epoch")),
    (TransactionManager, "sequence_number", ("self", "tp")),
    (TransactionManager, "increment_sequence_number", ("self", "tp", "increment")),
)
"""Class, method, parameters: everything that is overridden, wrapped or called below the public interface."""

FIELDS: Final[tuple[tuple[Callable[..., Any], str], ...]] = (
    (GroupCoordinator.__init__, "_coordination_task"),
    (GroupCoordinator.__init__, "_group_instance_id"),
    (GroupCoordinator.__init__, "member_id"),
    (AIOKafkaConsumer.start, "_coordinator"),
    (AIOKafkaConsumer.start, "_fetcher"),
    (AIOKafkaConsumer.__init__, "_client"),
    (AIOKafkaProducer.__init__, "_txn_manager"),
    (TopicPartitionState.__init__, "highwater"),
    (TopicPartitionState.__init__, "timestamp"),
    (BaseConsumer.__init__, "_buffered_partitions"),
    (BaseConsumer.commit, "_commit_fut"),
    (BaseConsumer.getmany, "_buffered_partitions"),
    (AIOKafkaConsumerThread.on_start, "_consumer"),
    (mode.Worker.stop_and_shutdown, "_signal_stop_future"),
    (mode.Worker._schedule_shutdown, "_signal_stop_time"),  # noqa: SLF001
)
"""Function, attribute: fields that exist on instances only, by a function that is known to touch them."""


class KernelMismatchError(Exception):
    """The installed Faust, mode or aiokafka is not the one whose internals are overridden."""


def verify(versions: Mapping[str, str] = VERSIONS) -> None:
    """Raise :class:`KernelMismatchError` with a sentence that names everything that is not as it should be."""
    wrong = [*_wrong_versions(versions), *_wrong_methods(), *_wrong_fields()]
    if getattr(Transport, "Consumer", None) is not Consumer:
        wrong.append("Transport.Consumer is no longer the seam to the consumer class")
    if getattr(Transport, "Producer", None) is not Producer:
        wrong.append("Transport.Producer is no longer the seam to the producer class")
    if wrong:
        raise KernelMismatchError(
            f"This Kafka kernel does not fit what is installed: {'; '.join(wrong)}. Install requirements.lock, or "
            "examine the overrides in streams/kafka against the new release and change the pins."
        )


def _wrong_versions(versions: Mapping[str, str]) -> Iterator[str]:
    for package, wanted in versions.items():
        found = importlib.metadata.version(package)
        if found != wanted:
            yield f"{package} {wanted} is needed and {found} is installed"


def _wrong_methods() -> Iterator[str]:
    for owner, name, parameters in METHODS:
        method = getattr(owner, name, None)
        if method is None:
            yield f"{owner.__name__}.{name} is gone"
            continue
        found = tuple(inspect.signature(method).parameters)
        if found != parameters:
            yield f"{owner.__name__}.{name} takes {', '.join(found)} instead of {', '.join(parameters)}"


def _wrong_fields() -> Iterator[str]:
    for function, field in FIELDS:
        if field not in inspect.unwrap(function).__code__.co_names:
            yield f"{function.__qualname__} no longer uses {field}"
