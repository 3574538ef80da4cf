"""Computes the rates at which a sender's number may be used: its registered throughput, divided among the lanes.

A number has one throughput at the platform. The three lanes are processes that never talk to one another, so each gets a
fixed percentage of it (``Sender.shares``, or the default of ``schemas/registry.py``) and keeps within it (PROTOCOL.md 5).
"""

from collections.abc import Mapping
from typing import Protocol

from schemas.ids import Lane
from schemas.registry import DEFAULT_SHARES, Sender


def share_of(sender: Sender, lane: Lane) -> int:
    """Returns how many messages a second a lane may send from a number; 0 if the lane has no share of it."""
    shares = sender.shares or DEFAULT_SHARES
    return sender.rate_per_s * shares.get(lane.word, 0) // 100


class RateOf(Protocol):
    """Looks up the messages a second of one sender in the lane that asks; ``fallback`` if the sender is not registered."""

    def __call__(self, sender: str, fallback: int) -> int:
        """Return messages a second, at least 1."""


class RegisteredRates:
    """Looks senders up in the live registry, so that a changed rate binds what is already open."""

    def __init__(self, senders: Mapping[str, Sender], lane: Lane) -> None:
        self._senders = senders
        self._lane = lane

    def __call__(self, sender: str, fallback: int) -> int:
        """Return the lane's share of the registered rate, at least 1: what is open is never stuck behind a division by 0."""
        entry = self._senders.get(sender)
        return fallback if entry is None else max(1, share_of(entry, self._lane))


def accepted_rate(sender: str, fallback: int) -> int:  # noqa: ARG001 - a lookup that knows no sender
    """Returns the rate that a request was accepted with: for who has no registry."""
    return fallback
