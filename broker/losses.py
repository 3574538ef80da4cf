"""Names what a log has lost, in the word of the operator who accepts it (``FANFARE_ACCEPT_TRIMMED``).

Apart from ``journal.py``, whose records need numpy: settings are read where only the client is installed.
"""

from typing import NamedTuple


class Loss(NamedTuple):
    """Names what a journal has lost, as the operator's word has to: everything before ``offset``, or from it on."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


def accepted_losses(text: str) -> frozenset[Loss]:
    """Converts ``topic:partition:offset``, separated by commas, to losses; ``ValueError`` says which part is none."""
    found = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        topic, _, rest = part.partition(":")
        numbers = rest.split(":")
        if not topic or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"{part!r} is not topic:partition:offset, as the refusal to start says it")
        found.add(Loss(topic, int(numbers[0]), int(numbers[1])))
    return frozenset(found)
