"""Log lines about what strangers do: not one for each, because then they would decide how much is written."""

from typing import Final

from streams import clock
from streams.log import Event, log

_EVERY_MS: Final = 1_000


class Seldom:
    """Says one event at most once a second, with how often it has happened since it was last said."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._times = 0
        self._said_ms = -_EVERY_MS

    def say(self) -> None:
        """It has happened."""
        self._times += 1
        now_ms = clock.monotonic_ms()
        if now_ms - self._said_ms >= _EVERY_MS:
            log(self._event, component="intake", times=self._times)
            self._times, self._said_ms = 0, now_ms
