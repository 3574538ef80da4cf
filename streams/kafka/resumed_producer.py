"""A confirmed producer whose successor is the same producer to Kafka: what a dead process had under way cannot be doubled.

A broker keeps, for each producer id and partition, the sequence number of the last record, and takes only the next one. As a
rule each process gets an id of its own, so the append that a killed process had on its way may still come after its successor
has read the end of the log, and stands there twice. Here the id is kept and handed on, and the sequence number of a record is
its number in the log, counted by the caller. Of two appends of the same number the broker takes the one that comes first: it
answers a repeat of the same batch with its offset, and refuses whatever else is not next, which ends the process
(:class:`ConfirmedProducer`); the next one reads the log again.
"""

from typing import Final, NamedTuple

import aiokafka

from streams.kafka import clients
from streams.kafka.producer import ConfirmedProducer
from streams.runtime.kafka_access import Address

_SEQUENCES: Final = 2**31


class ProducerIdentity(NamedTuple):
    """The id by which a broker tells producers apart, and its epoch."""

    id: int
    epoch: int


class ResumedProducer(ConfirmedProducer):
    """Appends under ``identity`` if there is one, else under a new one; say where with :meth:`resume` before the first append."""

    def __init__(self, bootstrap: Address, name: str, identity: ProducerIdentity | None, *, deadline_ms: int) -> None:
        super().__init__(bootstrap, name, deadline_ms=deadline_ms)
        self._kept = identity

    @property
    def identity(self) -> ProducerIdentity:
        """Returns the identity under which it appends; it is running."""
        manager = self._running()._txn_manager  # noqa: SLF001 - examined internals, checked by selftest
        return ProducerIdentity(manager.producer_id, manager.producer_epoch)

    def resume(self, topic: str, partition: int, written: int) -> None:
        """Continues a log of which this identity wrote the first ``written`` records, and nobody else any."""
        manager = self._running()._txn_manager  # noqa: SLF001 - examined internals, checked by selftest
        place = clients.place(self._kafka, topic, partition)
        manager.increment_sequence_number(place, written % _SEQUENCES - manager.sequence_number(place))

    def _prepared(self, producer: aiokafka.AIOKafkaProducer) -> None:
        if self._kept is not None:
            producer._txn_manager.set_pid_and_epoch(*self._kept)  # noqa: SLF001 - examined internals, checked by selftest
