"""Tells the time by which a process decides and writes: the machine's, or Kafka's if that is off.

A process may be started before NTP has set its clock, an hour ahead, and must neither decide by that time nor leave it in a log
(``broker/kafka_clock.py``; PROTOCOL.md section 1.3, row 24).
"""

import asyncio
from collections.abc import Hashable
from typing import Final

from broker.kafka_clock import AHEAD_MS, KafkaClock
from streams.runtime import clock, metrics
from streams.runtime.events import Event
from streams.runtime.log import log

_SAY_MS: Final = 60_000
"""Milliseconds between two lines of log about a clock that is off."""


class KafkaTime:
    """Holds what one process knows of Kafka's clock. ``program`` is the label of its metric."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._clock = KafkaClock()
        self._compared = asyncio.Event()
        self._said_ms: int | None = None

    @property
    def known(self) -> bool:
        """Returns whether the machine's clock was compared with Kafka's; before, the time is the machine's, whatever it is."""
        return self._clock.known

    async def wait_known(self) -> None:
        """Waits for the first comparison: the first claim of a process's first journal as a rule."""
        await self._compared.wait()

    def now_ms(self) -> int:
        """Returns the time to decide by and to write down, milliseconds since the epoch."""
        return clock.now_ms() - self._clock.correction_ms

    def note(self, place: Hashable, appended_ms: int, sent_ms: int) -> None:
        """Compares: a record that was sent at ``sent_ms`` of the monotonic clock is acknowledged now, with LogAppendTime."""
        monotonic_ms = clock.monotonic_ms()
        took_ms = monotonic_ms - sent_ms
        # One more each way: three clocks are read, each cut to whole milliseconds.
        self._clock.note(place, appended_ms, now_ms=clock.now_ms() + 1, took_ms=took_ms + 2, monotonic_ms=monotonic_ms)
        self._compared.set()
        metrics.KAFKA_CLOCK.of(self._program).set(self._clock.ahead_ms / 1000)
        if abs(self._clock.ahead_ms) > AHEAD_MS and (self._said_ms is None or monotonic_ms - self._said_ms >= _SAY_MS):
            self._said_ms = monotonic_ms
            log(Event.KAFKA_CLOCK_OFF, component=self._program, ahead_s=round(self._clock.ahead_ms / 1000, 1))
