"""Each alert with its fault on a running stack: planted, seen to fire, healed, seen to clear; and what fired along with it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.dev.stack.stack import Stack, StackPlan, running
from streams.runtime import clock
from tests.faults import backlog
from tests.faults.load import SENDERS, loading
from tests.faults.planted import Planted
from tests.faults.prometheus import Prometheus, watching
from tests.faults.scene import SESSION_MS
from tests.load.panels import write_page
from tests.load.promises import switched_off
from tests.load.senders import registry_with

LOOK_S: Final = 0.25
FIRES_S: Final = 180
"""So long a scaled alert is waited for, and its end; one as it is shipped may need :data:`SHIPPED_S`."""
SHIPPED_S: Final = 900
CALM_S: Final = 120
WARM_S: Final = 25
"""So long a new stack is left alone: two heartbeats have come through every shard, and no window is empty any more."""
PER_SECOND: Final = 100


@dataclass(slots=True)
class Sightings:
    """What was seen of the alerts of one Prometheus: the first moment of each state, and now. Milliseconds, monotonic."""

    now: dict[str, str] = field(default_factory=dict)
    first: dict[tuple[str, str], int] = field(default_factory=dict)

    def see(self, states: Mapping[str, str], at_ms: int) -> None:
        """One look at all alerts."""
        self.now = dict(states)
        for name, state in states.items():
            self.first.setdefault((name, state), at_ms)

    def forget(self) -> None:
        """A new fault: what was seen before is another's."""
        self.first.clear()

    @property
    def fired(self) -> list[str]:
        """Every alert that has been firing since :meth:`forget`."""
        return sorted(name for name, state in self.first if state == "firing")


@dataclass(slots=True)
class Shown:
    """One alert with its fault, in seconds: from the fault to pending and firing, from the healing to clear. None: not seen."""

    alert: str
    fault: str
    rules: str
    """``scaled``, or ``shipped`` for the rules as they are."""
    pending_s: float | None = None
    firing_s: float | None = None
    clear_s: float | None = None
    along: list[str] = field(default_factory=list)
    """Others that fired meanwhile, and are true as well."""
    unexpected: list[str] = field(default_factory=list)
    run_queue: float = 0.0
    """The machine's, its mean over a minute, at the end: far above its cores, codes are late, and rightly said so."""

    @property
    def good(self) -> bool:
        """It fired, it cleared, and nothing fired without a cause."""
        return self.firing_s is not None and self.clear_s is not None and not self.unexpected


class Watch:
    """One Prometheus and what is seen of its alerts, looked at several times a second."""

    def __init__(self, rules: str, prometheus: Prometheus) -> None:
        self.rules = rules
        self.seen = Sightings()
        self._prometheus = prometheus

    @property
    def address(self) -> str:
        """Where this Prometheus answers."""
        return self._prometheus.address

    async def look(self) -> None:
        """Until cancelled."""
        while True:
            states = await self._prometheus.alerts()
            self.seen.see(states, clock.monotonic_ms())
            await asyncio.sleep(LOOK_S)

    async def until(self, ready: Callable[[Sightings], bool], patience_s: float) -> int | None:
        """The moment at which ``ready`` was seen to hold; None if it did not within ``patience_s``."""
        ends_ms = clock.monotonic_ms() + int(patience_s * 1000)
        while not ready(self.seen):
            if clock.monotonic_ms() > ends_ms:
                return None
            await asyncio.sleep(LOOK_S)
        return clock.monotonic_ms()


@dataclass
class Alerting:
    """What is to be shown, and on what."""

    program: Path
    """Prometheus."""
    data: Path
    planted: Sequence[Planted]
    factor: float
    shipped: Collection[str] = ()
    """Alerts that are shown by the rules as they are shipped, too."""
    page: Path | None = None
    """Where the dashboard is drawn at the end, from the rules that were looked at last: the shipped ones if there are any."""
    shown: list[Shown] = field(default_factory=list)
    switched_off: list[str] = field(default_factory=list)

    async def run(self, say: Callable[[str], None]) -> None:
        """All of it. Raises what a stack raises if a process does not come back."""
        plan = StackPlan(
            data=self.data,
            free_ports=True,
            registry=registry_with(self.data / "registry", *SENDERS, backlog.SENDER),
            fields={"session_timeout_ms": SESSION_MS},
            restarts_a_minute=60,
        )
        async with (
            running(plan, say=say) as stack,
            loading(stack, "alerts", per_second=PER_SECOND),
            self._watches(stack) as watches,
        ):
            self.switched_off = switched_off(stack.settings, plan.gateway_options)
            began_ms = clock.monotonic_ms()
            await asyncio.sleep(WARM_S)
            for planted in self.planted:
                await _calm(watches, say)
                chosen = [watch for watch in watches if watch.rules == "scaled" or planted.alert in self.shipped]
                self.shown += await show(planted, stack, chosen, say)
            if self.page is not None:
                minutes = (clock.monotonic_ms() - began_ms) / 60_000
                empty = await write_page(watches[-1].address, self.page, minutes=minutes)
                say(f"{self.page}: no data in {', '.join(empty) or 'no panel'}")

    @contextlib.asynccontextmanager
    async def _watches(self, stack: Stack) -> AsyncIterator[list[Watch]]:
        """The scaled rules, and, if any alert is shown by them, those as they are shipped; all looked at meanwhile."""
        factors = {"scaled": self.factor} | ({"shipped": 1.0} if self.shipped else {})
        async with contextlib.AsyncExitStack() as lent:
            watches = []
            for rules, factor in factors.items():
                folder = self.data / f"prometheus-{rules}"
                prometheus = await lent.enter_async_context(
                    watching(self.program, folder, stack.settings, factor=factor)
                )
                watches.append(Watch(rules, prometheus))
            looking = [asyncio.create_task(watch.look()) for watch in watches]
            try:
                yield watches
            finally:
                for task in looking:
                    task.cancel()
                await asyncio.gather(*looking, return_exceptions=True)


async def show(planted: Planted, stack: Stack, watches: Sequence[Watch], say: Callable[[str], None]) -> list[Shown]:
    """Plant the fault, wait until the alert fires in every watch, heal it, wait until it is clear."""
    say(f"{planted.alert}: {planted.words}")
    for watch in watches:
        watch.seen.forget()
    began_ms = clock.monotonic_ms()
    async with planted.lent(stack):
        await asyncio.gather(*(_fires(watch, planted.alert) for watch in watches))
    healed_ms = clock.monotonic_ms()
    say(f"{planted.alert}: healed")
    cleared = await asyncio.gather(*(_clears(watch, planted.alert) for watch in watches))
    return [
        _shown(planted, watch, began_ms=began_ms, healed_ms=healed_ms, clear_ms=clear_ms)
        for watch, clear_ms in zip(watches, cleared, strict=True)
    ]


def _shown(planted: Planted, watch: Watch, *, began_ms: int, healed_ms: int, clear_ms: int | None) -> Shown:
    def since(state: str) -> float | None:
        at_ms = watch.seen.first.get((planted.alert, state))
        return None if at_ms is None else (at_ms - began_ms) / 1000

    shown = Shown(planted.alert, planted.words, watch.rules, since("pending"), since("firing"))
    shown.run_queue = round(os.getloadavg()[0], 1)
    shown.clear_s = None if clear_ms is None or shown.firing_s is None else (clear_ms - healed_ms) / 1000
    others = [name for name in watch.seen.fired if name != planted.alert]
    shown.along = [name for name in others if name in planted.along]
    # The rules as they are look back over faults that others of the scaled ones have long got over.
    shown.unexpected = [name for name in others if name not in planted.along] if watch.rules == "scaled" else []
    return shown


async def _fires(watch: Watch, alert: str) -> None:
    patience_s = FIRES_S if watch.rules == "scaled" else SHIPPED_S
    await watch.until(lambda seen: (alert, "firing") in seen.first, patience_s)


async def _clears(watch: Watch, alert: str) -> int | None:
    patience_s = FIRES_S if watch.rules == "scaled" else SHIPPED_S
    return await watch.until(lambda seen: alert not in seen.now, patience_s)


async def _calm(watches: Sequence[Watch], say: Callable[[str], None]) -> None:
    """Until the scaled rules find nothing wrong: what one fault left behind must not be counted against the next."""
    for watch in watches:
        if watch.rules == "scaled" and await watch.until(lambda seen: not seen.now, CALM_S) is None:
            say(f"still there after {CALM_S} s: {', '.join(sorted(watch.seen.now))}")
