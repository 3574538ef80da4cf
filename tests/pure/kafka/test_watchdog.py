"""The watchdog looks: what it ends the process for, and what it lets pass. Time is a number here, and no thread runs."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from streams.kafka.faust_app import watchdog
from streams.kafka.faust_app.watchdog import Watchdog
from streams.runtime import clock
from streams.runtime.exits import Exit
from tests.pure.schedules.shells.process import standing

PATIENCE_MS = 3_000


class GoneError(BaseException):
    """The process has ended."""


class Looks:
    """Clocks, and what happens between two looks of the watchdog; after the last the test ends it."""

    def __init__(self, *between: Callable[["Looks"], None]) -> None:
        self.wall_ms, self.monotonic_ms = 1_900_000_000_000, 5_000
        self.between = list(between)
        self.dog: Watchdog | None = None

    def wait(self, seconds: float) -> None:
        """As long as the thread sleeps."""
        self.pass_by(int(seconds * 1_000))
        if not self.between:
            raise GoneError("by the test")
        self.between.pop(0)(self)

    def pass_by(self, ms: int) -> None:
        """Time for both clocks; the loop of the process runs."""
        self.wall_ms += ms
        self.monotonic_ms += ms
        assert self.dog is not None
        self.dog._loop_seen_ms = self.monotonic_ms

    def end(self) -> Exit | None:
        """Why the watchdog ended the process; None if it did not."""
        ended: list[Exit] = []

        def fatal(code: Exit, **_fields: object) -> NoReturn:
            ended.append(code)
            raise GoneError

        with standing((watchdog, "fatal", fatal), (clock, "monotonic_ms", lambda: self.monotonic_ms)):
            self.dog = Watchdog(PATIENCE_MS, lambda: self.wall_ms)
            self.dog._pause.wait = self.wait  # type: ignore[method-assign, assignment]
            with pytest.raises(GoneError):
                self.dog._watch()
        return ended[0] if ended else None


def set_by(ms: int) -> Callable[[Looks], None]:
    """Somebody sets the wall clock."""

    def happens(looks: Looks) -> None:
        looks.wall_ms += ms

    return happens


def still_for(ms: int) -> Callable[[Looks], None]:
    """The process gets no processor."""
    return lambda looks: looks.pass_by(ms)


@pytest.mark.parametrize(
    ("between", "code"),
    [
        pytest.param([set_by(0)] * 5, None, id="nothing happens"),
        pytest.param([set_by(5_001)], Exit.CLOCK_JUMP, id="the clock is put forward"),
        pytest.param([set_by(0), set_by(-5_001)], Exit.CLOCK_JUMP, id="the clock is put back"),
        pytest.param([set_by(4_999)], None, id="the clock is set by a little"),
        pytest.param([set_by(10)] * 800, None, id="the clock is slewed"),
        pytest.param([still_for(2_900)], None, id="a short pause"),
        pytest.param([still_for(3_001)], Exit.WATCHDOG, id="a long pause"),
    ],
)
def test_what_ends_a_process(between: list[Callable[[Looks], None]], code: Exit | None) -> None:
    """A jump of the wall clock, or a pause of half a session; not what happens to every machine."""
    assert Looks(*between).end() == code
