"""Bounds the requests that are let in at once: for memory, and so that one business leaves room for the others."""

from collections import Counter
from typing import Final

MAX_IN_FLIGHT: Final = 256
"""Of all businesses: at most so many bodies are held."""
MAX_OF_ONE: Final = 64
"""Of one business, so that there is room for others."""


class Room:
    """Requests that were let in and are not answered yet, by business."""

    def __init__(self, most: int = MAX_IN_FLIGHT, most_of_one: int = MAX_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._held: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Returns how many there are."""
        return self._held.total()

    def enter(self, business: str) -> bool:
        """Let one in; False if there is no room. Who was let in leaves."""
        if self.in_flight >= self._most or self._held[business] >= self._most_of_one:
            return False
        self._held[business] += 1
        return True

    def leave(self, business: str) -> None:
        """Frees the place of a request that has been answered."""
        self._held[business] -= 1
        if not self._held[business]:
            del self._held[business]
