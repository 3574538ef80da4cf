"""Presents the result of an audit: counts, not just "ok", and every violation with its number, name, place and sentence."""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.audit.invariants import Breach, Violation
from broker.audit.limit_checks import Busiest
from broker.consequences import consequence_of
from schemas.reasons import MESSAGE_REASONS

OPEN_STATES: Final = ("pending", "sending", "waiting", "accepted", "in_doubt")
"""On the way, in the order of the way; every other state is terminal."""

MEANT: Final = tuple(reason.word for reason in sorted(MESSAGE_REASONS) if consequence_of(reason).meant)
"""Ends that somebody meant, by the table of consequences."""

CONTRADICTIONS: Final = (
    Breach.ACCEPTED_UNSEEN,
    Breach.REFUSED_BUT_VISIBLE,
    Breach.UNDECIDED_HAND_OFF,
    Breach.VOID_ACTED_ON,
    Breach.WRONG_RECIPIENT,
    Breach.DELIVERED_UNSEEN,
)
"""Ways in which book and gateway log disagree."""


class Audit(msgspec.Struct, frozen=True):
    """The result."""

    requests: int
    """Accepted requests, heartbeats among them."""
    states: Mapping[str, Mapping[str, int]]
    """Lane -> state -> messages, without heartbeats."""
    charged: int
    """Messages that were charged."""
    charged_micro: Mapping[str, int]
    """``business currency`` -> micro-units."""
    counts: Mapping[str, int]
    """Occurrences that are no violation, by name: repeats, void records, messages in doubt."""
    violations: tuple[Violation, ...]
    """The first of each kind, in the order found."""
    found: Mapping[str, int]
    """Name of a breach -> how many were reported."""
    messages: Mapping[str, int]
    """Name of a breach -> how many messages it concerns."""
    busiest: tuple[Busiest, ...] = ()
    """The busiest second and ten seconds of each sender's lanes, those nearest to their bound first; empty: limits are off."""

    @property
    def accepted(self) -> int:
        """Messages of accepted requests: terminal + open."""
        return sum(sum(states.values()) for states in self.states.values())

    @property
    def open(self) -> int:
        """Messages still on their way."""
        return sum(states.get(state, 0) for states in self.states.values() for state in OPEN_STATES)

    @property
    def terminal(self) -> int:
        """Messages that have ended."""
        return self.accepted - self.open

    @property
    def total(self) -> int:
        """Returns how many violations were reported, kept or not."""
        return sum(self.found.values())

    def in_state(self, state: str) -> int:
        """Messages of all lanes in one state."""
        return sum(states.get(state, 0) for states in self.states.values())

    def untold(self) -> dict[str, int]:
        """Returns how many messages ended without anybody being told although nobody forbade it, by state, the most first."""
        words = {reason.word for reason in MESSAGE_REASONS} - set(MEANT)
        counts = {word: count for word in words if (count := self.in_state(word))}
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))

    def concerned(self, *breaches: Breach) -> int:
        """Returns how many messages these breaches concern."""
        return sum(self.messages.get(breach.word, 0) for breach in breaches)

    def summary(self) -> dict[str, int]:
        """The figures of the last line of ``fanfare audit``."""
        return {
            "accepted": self.accepted,
            "terminal": self.terminal,
            "open": self.open,
            "charged": self.charged,
            "violations": self.total,
            "untold": sum(self.untold().values()),
            "requests": self.requests,
            "in_doubt": self.in_state("in_doubt"),
            "unfinished": self.concerned(Breach.UNFINISHED, Breach.NOT_OPENED, Breach.WORK_MISSING, Breach.NO_VERDICT),
            "visible_twice": self.concerned(Breach.VISIBLE_TWICE),
            "charged_twice": self.concerned(Breach.CHARGED_TWICE),
            "uncharged": self.concerned(Breach.UNCHARGED, Breach.BOOKED_SHORT),
            "contradictions": self.concerned(*CONTRADICTIONS),
            "late_after_stop": self.concerned(Breach.LATE_AFTER_STOP),
            "leavers": self.concerned(Breach.SENT_TO_LEAVER, Breach.LATE_AFTER_LEAVING),
            "rate_exceeded": self.concerned(Breach.RATE_EXCEEDED, Breach.SENDER_LIMIT),
            "ended_early": self.concerned(Breach.ENDED_EARLY, Breach.EXPIRED_EARLY, Breach.EXPIRED_IDLE),
        }
