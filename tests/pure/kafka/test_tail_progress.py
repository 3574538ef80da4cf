"""A start waits for a log as long as it moves, and no longer than its patience once it stands still."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from streams.kafka.tail import Progress, Tail

PATIENCE_MS = 30_000


def judged(behind: Sequence[int], *, every_ms: int = 1_000) -> list[str]:
    """What is judged of each of these numbers of unread offsets, one every so often."""
    progress, said = Progress(behind[0], 0, patience_ms=PATIENCE_MS), []
    for place, left in enumerate(behind[1:], start=1):
        progress.note(left, place * every_ms)
        said.append("still" if progress.stands_still else "told" if progress.to_be_told else "")
    return said


def test_what_moves_is_waited_for_however_long_it_takes() -> None:
    """An hour, an offset a second: never given up, and told of once in five seconds."""
    said = judged(range(3_600, -1, -1))
    assert "still" not in said
    assert said.count("told") == 3_600 // 5 - 1
    assert said[-1] == ""


def test_what_stands_still_is_given_up_when_patience_is_over() -> None:
    """Counted from its last step, not from the beginning."""
    said = judged([10_000] * 20 + [9_999] * 40)
    assert said.index("still") == 19 + 30
    assert "still" not in judged([0] * 100)


def test_a_log_that_moves_slowly_enough_is_no_progress_of_patience() -> None:
    """One step within each patience is enough."""
    assert "still" not in judged(range(100, 0, -1), every_ms=PATIENCE_MS - 1)
    assert judged([5, 5], every_ms=PATIENCE_MS) == ["still"]


class _Ends:
    """A consumer that is asked for ends alone."""

    async def end_offsets(self, places: Sequence[Any]) -> Mapping[Any, int]:
        """Fifty records in each."""
        return dict.fromkeys(places, 50)


@pytest.mark.parametrize("patience_s", [0.1, 30.0])
async def test_a_tail_that_takes_longer_than_its_patience_catches_up(patience_s: float) -> None:
    """With a step every few milliseconds it takes three times as long as it may stand still."""
    tail = Tail("", "audience.changes", lambda _partition, _records: None)
    tail._consumer = cast(Any, _Ends())
    tail._applied = {0: 0, 1: 50}

    async def read() -> None:
        for offset in range(1, 51):
            await asyncio.sleep(0.006)
            tail._applied[0] = offset
        tail._moved.set()

    reading = asyncio.ensure_future(read())
    await tail.caught_up(patience_s)
    assert tail.applied(0) == 50
    await reading
