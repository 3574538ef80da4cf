"""A look at an event before it is published: plan's own checks, by plan's own code, without a Kafka.

:func:`form_refusal` answers as plan would: the first thing that is wrong with the form of some bytes. :func:`faults` tells all of
it at once, each with its place. Neither knows what was accepted before.
"""

from typing import Final

from broker.contract.check import faults_of, faults_of_bytes
from broker.contract.fault import Fault
from broker.plan.admit import Malformed, admit
from broker.plan.inputs import PlanInput
from broker.plan.policy import PlanPolicy
from broker.registry import Registry
from schemas.names import Lane, partition_of
from schemas.planned import Origin
from schemas.refusal import Refusal
from schemas.topics import SHARDS
from schemas.wire.sealed import AddressBook
from streams.client.events import Event

_BOOK: Final = AddressBook({0: bytes(32)})
"""Form is checked without any secret; nothing is sealed with this."""


def form_refusal(lane: Lane, business: str, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Refusal | None:
    """Why plan would refuse these bytes by their form, or ``None``."""
    key = business.encode()
    policy = PlanPolicy.of(lane, partition_of(key, SHARDS), pepper=b"", address_book=_BOOK)
    found = admit(PlanInput(Origin(0, 0), key, value, headers, timestamp_ms=0), policy)
    return found.refusal if isinstance(found, Malformed) else None


def faults(
    lane: Lane, event: Event | bytes, *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """Everything that is wrong with an event (or its JSON) for ``lane``, none if plan would take it; at most a hundred.

    Its form always; with ``now_ms`` its times; with ``registry`` who says it, with which template and with what in its slots.
    """
    if isinstance(event, bytes):
        return faults_of_bytes(lane, event, registry=registry, now_ms=now_ms)
    return faults_of(lane, event, registry=registry, now_ms=now_ms)
