"""What can go wrong for a producer. Everything is a :class:`ClientError`; the message is a sentence without content.

ClientError
 +-- InvalidEventError     the event would be refused; nothing was sent
 +-- SealingError          a one-time code cannot be sealed: no key, no place for it
 +-- NotPublishedError     surely not in Kafka
 +-- UnknownPublishError   perhaps in Kafka: publish the same event again, its id makes it count once
 +-- StatusUnreadableError the status topic cannot be followed
"""

from schemas.refusal import Refusal


class ClientError(Exception):
    """The root of what this package raises."""


class InvalidEventError(ClientError):
    """The event would be refused. ``refusal`` has the reason of the closed list and the sentence."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.reason.word}: {refusal.detail}")
        self.refusal = refusal


class SealingError(ClientError):
    """A one-time code cannot be sealed as asked."""


class NotPublishedError(ClientError):
    """The event is surely not in Kafka."""


class UnknownPublishError(ClientError):
    """The event may be in Kafka. Publish the same event again: its name (source, id) makes it count once."""


class StatusUnreadableError(ClientError):
    """The status topic of the business cannot be followed."""
