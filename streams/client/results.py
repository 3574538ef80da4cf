"""Defines the client's inputs and results: publications, places, outcomes. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schemas.ids import Lane, RequestName, business_of, text_of
from schemas.request import CONTROL_TYPE, OPTIN_TYPE
from streams.client.errors import ClientError
from streams.client.events import Event


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
