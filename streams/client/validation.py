"""A look at an event before it is published: the same check of form that plan makes, by the same code.

It needs no Kafka and no registry, so it does not know templates, senders or what was accepted before.
"""

from typing import Final

from broker.plan.admit import Malformed, admit
from broker.plan.inputs import PlanInput
from broker.plan.policy import PlanPolicy
from schemas.names import Lane, partition_of
from schemas.planned import Origin
from schemas.refusal import Refusal
from schemas.topics import SHARDS
from schemas.wire.sealed import AddressBook

_BOOK: Final = AddressBook({0: bytes(32)})
"""Form is checked without any secret; nothing is sealed with this."""


def form_refusal(lane: Lane, business: str, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Refusal | None:
    """Why plan would refuse these bytes by their form, or ``None``."""
    key = business.encode()
    policy = PlanPolicy.of(lane, partition_of(key, SHARDS), pepper=b"", address_book=_BOOK)
    found = admit(PlanInput(Origin(0, 0), key, value, headers, timestamp_ms=0), policy)
    return found.refusal if isinstance(found, Malformed) else None
