"""Log lines about what strangers do: not one for each, because then they would decide how much is written."""

from typing import Final

from streams.runtime import clock
from streams.runtime.events import Event
from streams.runtime.log import log

_EVERY_MS: Final = 1_000


class RateLimitedLine:
    """Says one event at most once a second, with how often it has happened since it was last said."""

    def __init__(self, event: Event, *, component: str) -> None:
        self._event = event
        self._component = component
        self._times = 0
        self._said_ms = -_EVERY_MS

    def say(self, **fields: str | int) -> None:
        """Notes that it has happened; a line shows the ``fields`` of the last time."""
        self._times += 1
        now_ms = clock.monotonic_ms()
        if now_ms - self._said_ms >= _EVERY_MS:
            log(self._event, component=self._component, times=self._times, **fields)
            self._times, self._said_ms = 0, now_ms
