"""When each event of a replay is due, in milliseconds after its begin: an open loop, fixed before anything is sent.

What is due does not move when Kafka is slow, so that latency from the intended time is what a producer would have felt; a
closed loop would hide every pause but the first event's (coordinated omission).
"""

from collections.abc import Iterator, Sequence


def spaced(at_ms: Sequence[int], *, speed: float, loops: int = 1) -> Iterator[tuple[int, int, int]]:
    """(loop, index, due) with the spacing of ``at_ms``, which ascends, divided by ``speed``.

    A loop begins one average gap after the end of the one before it.
    """
    if speed <= 0:
        raise ValueError("a speed is above 0")
    span = at_ms[-1] - at_ms[0] if at_ms else 0
    period = span + span / max(len(at_ms) - 1, 1)
    for loop in range(loops):
        for index, at in enumerate(at_ms):
            yield loop, index, round((loop * period + at - at_ms[0]) / speed)


def steady(count: int, *, rate: float, loops: int = 1) -> Iterator[tuple[int, int, int]]:
    """(loop, index, due) at ``rate`` events a second, whatever their own spacing was."""
    if rate <= 0:
        raise ValueError("a rate is above 0")
    for position in range(count * loops):
        loop, index = divmod(position, count)
        yield loop, index, round(position * 1000 / rate)
