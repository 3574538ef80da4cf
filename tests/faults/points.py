"""The named points at which a process is made to die, by kind of process, in the order of a message's way."""

import random
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

POINTS: Final = {
    "worker": (
        "plan.claimed",
        "plan.decided",
        "plan.written",
        "deliver.claimed",
        "deliver.opened",
        "deliver.decided",
        "deliver.half_frame",
        "deliver.frame",
        "deliver.answered",
        "settle.charge",
        "settle.charged",
        "worker.commit",
        "worker.committed",
    ),
    "gateway": ("gateway.stored",),
    "webhook": ("webhook.appended",),
    "ledger": ("ledger.charge", "ledger.posted", "ledger.committed", "ledger.billing", "ledger.billed"),
}

_Card = TypeVar("_Card")


class Deck(Generic[_Card]):
    """Cards dealt by seed: each comes up once before any comes up again."""

    def __init__(self, cards: Sequence[_Card], rng: random.Random) -> None:
        self._cards = tuple(cards)
        self._rng = rng
        self._left: list[_Card] = []

    def deal(self) -> _Card:
        """The next card."""
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()
