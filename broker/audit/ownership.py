"""The epoch rule, written a second time: which records of a journal count.

A record is valid if its epoch is not below the highest seen so far; of two claims with one number the first stands, and the
same instance may repeat its own (PROTOCOL.md section 1.2, 2).
"""

from broker.audit.invariants import Breach, Findings
from broker.audit.sources import Logged
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, body_of


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
