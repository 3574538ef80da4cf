"""What was found: violations with their places, and how many messages each kind concerns."""

from collections import Counter
from typing import Final

import msgspec

from broker.audit.invariants import Breach

KEPT_PER_BREACH: Final = 50
"""Beyond this a kind is only counted: a broken run must not fill the memory with its own report."""


class Violation(msgspec.Struct, frozen=True):
    """One finding."""

    invariant: int
    name: str
    where: str
    """``topic/partition@offset``, or what else it was found in."""
    sentence: str


class Findings:
    """The violations of one audit."""

    def __init__(self) -> None:
        self.kept: list[Violation] = []
        self.found: Counter[Breach] = Counter()
        """How often each was reported."""
        self.messages: Counter[Breach] = Counter()
        """How many messages (or records) each concerns."""

    def report(self, breach: Breach, where: str, detail: str = "", *, messages: int = 1) -> None:
        """One violation; ``detail`` ends the sentence that the breach begins."""
        self.found[breach] += 1
        self.messages[breach] += messages
        if self.found[breach] <= KEPT_PER_BREACH:
            sentence = f"{breach.meaning}: {detail}" if detail else breach.meaning
            self.kept.append(Violation(breach.invariant, breach.word, where, sentence))

    @property
    def total(self) -> int:
        """How many violations were reported."""
        return self.found.total()
