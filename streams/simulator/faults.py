"""Faults that the gateway shows on purpose: by seed and rate, a counted number of times, for a span, or until they are cleared.

Given at start (``--faults FILE``) or by command (``POST /v1/faults``; ``DELETE`` clears). At most one strikes a frame: the
first of the list whose rate draws it. ``message`` strikes single messages and ``skew`` the clock; they combine with the others.
A gateway that is ill for half a minute: ``[{"kind": "message", "code": 131016, "for_ms": 30000}]``.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Final

import msgspec
from aiohttp import web

from schemas.gateway_api import Code


class FaultKind(StrEnum):
    """Names the faults that can be put in force; ``ms`` of the fault means the span in brackets."""

    LATENCY = "latency"
    """The frame is judged late [how late]."""
    THROTTLE = "throttle"
    """429 with Retry-After [its value]; nothing is taken."""
    UNAVAILABLE = "unavailable"
    """503 with Retry-After [its value]; nothing is taken."""
    ERROR = "error"
    """500 before anything is taken."""
    RESET = "reset"
    """The connection breaks before anything is taken."""
    REFUSE = "refuse"
    """The listener is gone [how long], every connection with it; nothing is taken."""
    ACCEPT_THEN_SILENCE = "accept_then_silence"
    """Taken, logged, visible; the answer never comes [when the connection is closed]."""
    ACCEPT_THEN_ERROR = "accept_then_error"
    """Taken, and answered 500."""
    ACCEPT_THEN_RESET = "accept_then_reset"
    """Taken, and the connection breaks."""
    ACCEPT_THEN_DIE = "accept_then_die"
    """Taken, and the process kills itself with signal 9."""
    SLOW_BODY = "slow_body"
    """Taken; the answer trickles [how long it takes]."""
    MESSAGE = "message"
    """``code`` for single messages that would have been accepted; ``rate`` is per message."""
    SKEW = "skew"
    """The gateway's clock is ahead [by how much; negative: behind]: answers, judgement, log and reports go by it."""


_FRAMELESS: Final = frozenset({FaultKind.MESSAGE, FaultKind.SKEW})
"""Kinds that do not strike a frame as a whole."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Describes a fault. ``count`` -1: until cleared. Empty ``lane``, shard -1: every one. ``skew`` has no rate and no shard."""

    kind: FaultKind
    rate: float = 1.0
    count: int = -1
    ms: int = 1_000
    code: int = Code.TRANSIENT
    lane: str = ""
    shard: int = -1
    for_ms: int = 0
    """Milliseconds that it stands once it is put in force, by the machine's clock; 0: no such end."""
    until_ms: int = 0
    """When it ends, milliseconds since the epoch; set from ``for_ms`` when it is put in force."""
    struck: int = 0

    def draws(self, lane: str, shard: int, dice: random.Random) -> bool:
        """Returns whether it strikes now; counts if so."""
        if self.count == 0 or self.lane not in {"", lane} or self.shard not in {-1, shard}:
            return False
        if self.rate < 1.0 and dice.random() >= self.rate:
            return False
        self.count -= self.count > 0
        self.struck += 1
        return True


class Faults:
    """The faults in force in the listener of ``lane``. ``now_ms`` is the machine's clock, whatever the gateway's says."""

    def __init__(self, seed: int, lane: str, now_ms: Callable[[], int], faults: Iterable[Fault] = ()) -> None:
        self._listed: list[Fault] = []
        self._lane = lane
        self._now_ms = now_ms
        self._dice = random.Random(seed)
        self.add(faults)

    @property
    def listed(self) -> list[Fault]:
        """The faults in force; those whose span is over are gone."""
        if any(fault.until_ms for fault in self._listed):
            now_ms = self._now_ms()
            self._listed = [fault for fault in self._listed if not 0 < fault.until_ms <= now_ms]
        return self._listed

    @property
    def skew_ms(self) -> int:
        """Returns how far the gateway's clock is ahead of the machine's, negative if behind."""
        return sum(fault.ms for fault in self.listed if fault.kind is FaultKind.SKEW and fault.lane in {"", self._lane})

    def add(self, faults: Iterable[Fault]) -> None:
        """Put ``faults`` in force as well."""
        for fault in faults:
            fault.until_ms = self._now_ms() + fault.for_ms if fault.for_ms else 0
            self._listed.append(fault)

    def clear(self) -> None:
        """From here on nothing goes wrong."""
        self._listed.clear()

    def of_frame(self, lane: str, shard: int) -> Fault | None:
        """Returns the fault that strikes the frame that has just come in, None if there is none."""
        for fault in self.listed:
            if fault.kind not in _FRAMELESS and fault.draws(lane, shard, self._dice):
                return fault
        return None

    def of_messages(self, lane: str, shard: int, positions: list[int]) -> dict[int, int]:
        """Code by position of the messages that are struck."""
        return {
            position: fault.code
            for fault in self.listed
            if fault.kind is FaultKind.MESSAGE
            for position in positions
            if fault.draws(lane, shard, self._dice)
        }


def parse(document: bytes) -> list[Fault]:
    """The faults of a JSON list; ``msgspec.ValidationError`` or ``DecodeError`` says what is wrong."""
    return msgspec.json.decode(document, type=list[Fault])


# How a fault looks from outside: what happens to a frame's HTTP exchange before and after it is judged.

_STEPS: Final = 10


async def before(
    fault: Fault | None, request: web.Request, refuse: Callable[[int], Awaitable[None]]
) -> web.Response | None:
    """Applies a fault before anything is taken; None if the frame is to be judged. ``refuse`` closes the listener."""
    if fault is None:
        return None
    match fault.kind:
        case FaultKind.LATENCY:
            await asyncio.sleep(fault.ms / 1_000)
        case FaultKind.THROTTLE:
            return web.Response(status=429, headers=_retry_after(fault))
        case FaultKind.UNAVAILABLE:
            return web.Response(status=503, headers=_retry_after(fault))
        case FaultKind.ERROR:
            return web.Response(status=500)
        case FaultKind.RESET:
            return _cut(request)
        case FaultKind.REFUSE:
            await refuse(fault.ms)
            return _cut(request)
        case _:
            pass
    return None


async def after(fault: Fault | None, request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Applies a fault to an answer that already stands in the log."""
    if fault is None:
        return answer
    match fault.kind:
        case FaultKind.ACCEPT_THEN_SILENCE:
            await asyncio.sleep(fault.ms / 1_000)
            return _cut(request)
        case FaultKind.ACCEPT_THEN_ERROR:
            return web.Response(status=500)
        case FaultKind.ACCEPT_THEN_RESET:
            return _cut(request)
        case FaultKind.ACCEPT_THEN_DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        case FaultKind.SLOW_BODY:
            return await _trickle(fault, request, answer)
        case _:
            pass
    return answer


def _retry_after(fault: Fault) -> dict[str, str]:
    return {"Retry-After": f"{fault.ms / 1_000:g}"}


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _trickle(fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body
    assert isinstance(body, bytes)
    slow = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    slow.content_length = len(body)
    await slow.prepare(request)
    step = len(body) // _STEPS + 1
    for at in range(0, len(body), step):
        await asyncio.sleep(fault.ms / 1_000 / _STEPS)
        await slow.write(body[at : at + step])
    return slow
