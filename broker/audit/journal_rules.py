"""States the rules of a journal a second time: which records count, and which moves a message may make.

The first time they stand in ``broker/journal.py`` and ``broker/lifecycle.py``; the tests hold the two tables of moves against
each other. A record is valid if its epoch is not below the highest seen so far; of two claims with one number the first stands,
and the same instance may repeat its own (PROTOCOL.md section 1.2, 2).
"""

from typing import Final

import msgspec

from broker.audit.invariants import Breach, Findings
from broker.audit.sources import Logged
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.wire.header import Header, Kind, body_of

OPEN: Final = bytes((State.PENDING, State.WAITING))
"""States of a message that a decision may be about."""
SENT: Final = bytes((State.SENDING,))
"""States of a message that an answer may be about."""
_BY_DELIVER: Final = bytes(reason for reason in MESSAGE_REASONS if reason < Reason.UNREACHABLE)
_BY_GATEWAY: Final = bytes(reason for reason in MESSAGE_REASONS if Reason.UNREACHABLE <= reason < Reason.FAILED)
DECIDED: Final = (
    bytes((State.SENDING, State.WAITING)) + _BY_DELIVER + bytes((Reason.RECIPIENT_OPTED_OUT, Reason.CRASHED_WORKER))
)
"""States and reasons that a decision may give a message."""
EXCEPTED: Final = bytes((State.WAITING, State.IN_DOUBT)) + _BY_DELIVER + _BY_GATEWAY
"""States and reasons that an answer may give beside accepted: a refusal, later, in doubt, or withheld before it left."""
CONSENT: Final = bytes((Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED, Reason.RECIPIENT_OPTED_OUT))
"""Refusals that suppressions must bear out; the last one if it was the broker's and not the gateway's."""
FIRST_TERMINAL: Final = min(Reason)
"""Status bytes from here on end a message."""


_AHEAD_MS: Final = 1_000
"""Milliseconds by which clocks may differ."""


class Said(msgspec.Struct, eq=False, gc=False):
    """A record of deliver's journal, and where it stands."""

    record: Logged
    header: Header
    lane: Lane
    shard: int

    @property
    def at_ms(self) -> int:
        """When its writer decided, milliseconds since the epoch; a clock further ahead of Kafka's proves nothing."""
        return min(self.header.at_ms, self.record.timestamp_ms + _AHEAD_MS)


class Epochs:
    """The fold of one journal, from the beginning of what is left of it."""

    __slots__ = ("_begun", "claims", "highest", "holder", "voids")

    def __init__(self) -> None:
        self.highest = 0
        self.holder = ""
        self.claims = 0
        self.voids = 0
        self._begun = False

    def valid(self, record: Logged, header: Header, findings: Findings) -> bool:
        """Returns whether the next record of the log counts."""
        if self._begun and header.epoch == self.highest and header.kind is not Kind.CLAIM:
            return True
        trimmed, self._begun = not self._begun and record.offset > 0, True
        if header.kind is Kind.CLAIM:
            valid = self._claim(body_of(record.value or b"", Claim).instance, header.epoch)
        else:
            valid = header.epoch >= self.highest
            if header.epoch > self.highest:
                self.highest, self.holder = header.epoch, ""
                if not trimmed:
                    findings.report(Breach.UNCLAIMED_EPOCH, record.where, f"epoch {header.epoch}")
        self.voids += not valid
        return valid

    def _claim(self, instance: str, epoch: int) -> bool:
        if epoch < self.highest:
            return False
        if epoch == self.highest and self.holder not in {"", instance}:
            return False
        self.claims += epoch > self.highest
        self.highest, self.holder = epoch, instance
        return True
