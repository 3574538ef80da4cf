"""The loop that schedules run on: asyncio's promises hold on it, time is the caller's, and nothing runs after the end."""

import asyncio

import pytest

from tests.support.virtual_loop import VirtualLoop


class Time:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.ms = 0

    def pass_by(self) -> None:
        """A millisecond."""
        self.ms += 1

    def now_ms(self) -> int:
        """Milliseconds."""
        return self.ms


@pytest.fixture
def time() -> Time:
    """Time at 0."""
    return Time()


@pytest.fixture
def loop(time: Time) -> VirtualLoop:
    """A process that has just begun."""
    return VirtualLoop(time.now_ms)


def test_a_sleep_takes_as_long_as_it_says(time: Time, loop: VirtualLoop) -> None:
    """And no time passes by itself."""
    loop.finish(asyncio.sleep(0.25), idle=time.pass_by)
    assert time.ms == 250


def test_a_time_out_ends_what_takes_too_long(time: Time, loop: VirtualLoop) -> None:
    """As in earnest, with the exception of asyncio."""

    async def bounded() -> str:
        try:
            async with asyncio.timeout(0.1):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        return "there"

    assert loop.finish(bounded(), idle=time.pass_by) == "late"
    assert time.ms == 100


def test_callbacks_run_in_the_order_in_which_they_became_ready(loop: VirtualLoop) -> None:
    """Code relies on it: what is told first to be called when a future is done is called first."""
    seen: list[str] = []
    future = loop.create_future()
    future.add_done_callback(lambda _: seen.append("first"))
    future.add_done_callback(lambda _: seen.append("second"))
    loop.call_soon(seen.append, "before")
    future.set_result(None)
    while loop.turn():
        pass
    assert seen == ["before", "first", "second"]


def test_one_turn_is_one_callback(loop: VirtualLoop) -> None:
    """So a process can be killed between any two."""
    seen: list[int] = []
    for number in range(3):
        loop.call_soon(seen.append, number)
    assert loop.turn()
    assert seen == [0]


def test_nothing_runs_after_the_end(time: Time, loop: VirtualLoop) -> None:
    """No callback, no clean-up, not even of what was cancelled before."""
    seen: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("cleaned up")

    task = loop.create_task(careful())
    assert loop.turn()
    task.cancel()
    loop.end()
    time.ms = 5_000
    assert not loop.turn()
    assert seen == []
    loop.clear()


def test_work_that_waits_for_ever_is_said(time: Time, loop: VirtualLoop) -> None:
    """And not waited for."""
    with pytest.raises(AssertionError, match="does not come to an end"):
        loop.finish(asyncio.Event().wait(), idle=time.pass_by, turns=100)
    loop.clear()


def test_what_nobody_catches_is_kept(loop: VirtualLoop) -> None:
    """A callback that raises ends nothing, as in asyncio; whoever drives the loop can see it."""
    loop.call_soon(int, "no number")
    assert loop.turn()
    assert [type(error) for error in loop.unhandled] == [ValueError]
