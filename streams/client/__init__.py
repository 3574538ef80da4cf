"""For producers: build events, seal one-time codes, publish, follow the status. Imports no Faust."""

from streams.client.client import Client, Published
from streams.client.errors import (
    ClientError,
    InvalidEventError,
    NotPublishedError,
    SealingError,
    StatusUnreadableError,
    UnknownPublishError,
)
from streams.client.events import Event, Head, notification, optin, to_list, to_people
from streams.client.seal import SealKey

__all__ = (
    "Client",
    "ClientError",
    "Event",
    "Head",
    "InvalidEventError",
    "NotPublishedError",
    "Published",
    "SealKey",
    "SealingError",
    "StatusUnreadableError",
    "UnknownPublishError",
    "notification",
    "optin",
    "to_list",
    "to_people",
)
