"""Defines what the client gives back: publications, places, outcomes, and the errors in their stead. Values only.

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
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schemas.ids import RequestName, business_of, text_of
from schemas.lanes import Lane
from schemas.reasons import Fault, Refusal
from schemas.request import CONTROL_TYPE, OPTIN_TYPE
from schemas.status import Status
from streams.client.events import Event


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


@dataclass(frozen=True, slots=True)
class Publication:
    """Holds an event for a lane, with the one-time codes (by parameter name) that are to be sealed into it first."""

    lane: Lane
    event: Event
    codes: Mapping[str, str] | None = field(default=None, repr=False)


class Published(NamedTuple):
    """Where an event stands and what its request is called from now on. An offset of -1: there, but not known where."""

    topic: str
    partition: int
    offset: int
    name: RequestName
    at_ms: int
    """Kafka's time of it."""
    source: str
    id: str
    type: str

    @property
    def request(self) -> str:
        """The request's name as statuses have it."""
        return text_of(self.name)

    @property
    def business(self) -> str:
        """Whose it is: its answers come on ``status.<business>``."""
        return business_of(self.source)

    @property
    def joins(self) -> bool:
        """Returns whether it is an opt-in or a control event: accepted is all that becomes of one."""
        return self.type in (OPTIN_TYPE, CONTROL_TYPE)


class Failed(NamedTuple):
    """An event that could not be published, and why. ``event`` is as it was to be sent, codes sealed: the one to send again."""

    lane: Lane
    event: Event
    error: ClientError


Outcome: TypeAlias = Published | Failed
