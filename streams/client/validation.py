"""A look at an event before it is published: plan's own checks, by plan's own code, without a Kafka.

:func:`form_refusal` answers as plan would: the first thing that is wrong with the form of some bytes. :func:`faults` tells all of
it at once, each with its place. Neither knows what was accepted before.
"""

from broker.plan.decode import Malformed
from broker.registry.fold import Registry
from broker.validation.all_errors import Headers, faults_of, faults_of_bytes, form_of
from schemas.ids import Lane
from schemas.reasons import Fault, Refusal
from streams.client.events import Event


def form_refusal(lane: Lane, business: str, value: bytes, headers: Headers) -> Refusal | None:
    """Why plan would refuse these bytes by their form, or ``None``."""
    found = form_of(lane, business, value, headers)
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
