"""Names the faults that a producer can meet. Each is a :class:`ClientError`; the message is a sentence without content.

ClientError
 +-- InvalidEventError         the event would be refused; nothing was sent
 +-- SealingError              a one-time code cannot be sealed: no key, no place for it
 +-- NotPublishedError         surely not in Kafka
 |    +-- NoBrokerError        nobody answers at the address
 +-- UnknownPublishError       perhaps in Kafka: publish the same event again, its id makes it count once
 +-- StatusUnreadableError     the status topic cannot be followed
 +-- BillUnreadableError       the billing topic cannot be followed
 +-- RegistryUnreadableError   what is registered cannot be read
 +-- StillOpenError            not at its end when the time to wait was over
"""

from collections.abc import Mapping

from schemas.reasons import Fault, Refusal
from schemas.status import Status


class ClientError(Exception):
    """The root of what this package raises."""


class InvalidEventError(ClientError):
    """The event would be refused, for all of ``faults``. ``refusal``, the first, has the reason of the closed list."""

    def __init__(self, *faults: Refusal | Fault) -> None:
        super().__init__("\n".join(f"{each.reason.word}: {each.detail}" for each in faults))
        self.faults = faults
        self.refusal = faults[0]


class SealingError(ClientError):
    """A one-time code cannot be sealed as asked."""


class NotPublishedError(ClientError):
    """The event is surely not in Kafka."""


class NoBrokerError(NotPublishedError):
    """Nobody answers at the address. The message names it, says how long was tried, and what to do."""


class UnknownPublishError(ClientError):
    """The event may be in Kafka. Publish the same event again: its name (source, id) makes it count once."""


class StatusUnreadableError(ClientError):
    """The status topic of the business cannot be followed."""


class BillUnreadableError(ClientError):
    """The billing topic of the business cannot be followed."""


class RegistryUnreadableError(ClientError):
    """Raised when the registered entries cannot be read."""


class StillOpenError(ClientError):
    """Raised when what was waited for did not come in time. Nothing is lost: wait again, or follow from ``position``."""

    def __init__(self, sentence: str, newest: Mapping[str, Status], position: str | None) -> None:
        super().__init__(sentence)
        self.newest = newest
        """Request to its newest status, of those that have one."""
        self.position = position
        """Where following can go on (``follow(..., position=...)``), if one business was waited for."""
