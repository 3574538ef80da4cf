"""Names words of control: whose messages have to wait, may go on, or end. Records of the compacted topic ``controls``.

Businesses speak about a request or a subject (``fanfare.control.v1``, checked by plan); operators about a business, a sender,
a template or a lane. A word is never overwritten: its key holds all that it says, so compaction drops repetitions and
nothing else, and the words fold to the same in any order (``broker/control/standing.py``).
"""

from enum import IntEnum

import msgspec


class ControlScope(IntEnum):
    """Names what a word is about."""

    REQUEST = 1
    """A single request: ``target`` is its name as people see it (26 letters)."""
    SUBJECT = 2
    """Every request of the business whose event bears this ``subject``."""
    BUSINESS = 3
    """Everything of one business."""
    SENDER = 4
    """Everything that is sent from one sender: ``target`` is its id."""
    TEMPLATE = 5
    """Everything that uses a template of this id, whoever sends it."""
    LANE = 6
    """Everything in the lane."""

    @property
    def word(self) -> str:
        """Returns the scope as commands and sentences have it: ``request``."""
        return self.name.lower()


class ControlAction(IntEnum):
    """Names what is to happen. Of two words of the same moment the greater one stands: whoever forbids wins a tie."""

    RESUME = 1
    """Go on with what waits."""
    PAUSE = 2
    """Hand off nothing more; what is not handed off waits, until it expires."""
    CANCEL = 3
    """End what is not handed off. Final: no later word revives it."""

    @property
    def word(self) -> str:
        """Returns the action as events have it: ``pause``."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "ControlAction":
        """Returns the action called ``word``; ``KeyError`` for any other word."""
        return {action.word: action for action in cls}[word]


class ControlWord(msgspec.Struct, frozen=True, array_like=True):
    """Carries one word of control (body of kind ``CONTROL``; the lane that it is for stands in the head)."""

    scope: int
    business: str
    """The business that said it, about requests of its own; empty: an operator did."""
    target: str
    """The request, subject, business, sender or template that the word is about, as its scope says; empty for a lane."""
    action: int
    evidence_ms: int
    """When it was said: the event's ``time``, not later than it was received. Of two words about the same, the later stands."""
    received_ms: int
    """When it was received."""
    by: str = ""
    """Who said it: an event as ``source id``, or an operator in words of their own."""
