"""The one way in which values that are all at hand become p50 and p99; of buckets it is ``streams/operate/scrape.py``."""

import math
from collections.abc import Sequence
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


def quantile(ascending: Sequence[_Number], share: float) -> _Number | None:
    """The smallest value that at least ``share`` of the values do not exceed (nearest rank); ``None`` of none."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
