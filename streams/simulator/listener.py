"""Puts a listener process together: log, rules, phones, outbox; and rebuilds its memory from the log.

Names and epochs are back before the first frame is taken. What was not reported yet is found in a second pass beside
the work, because a campaign's reports take longer to compute than its names.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from schemas.gateway_api import GatewayEvent
from schemas.wire.sealed import AddressBook
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.simulator.behaviour import mark_of
from streams.simulator.event_log import EventLog, read
from streams.simulator.faults import Fault, Faults
from streams.simulator.gateway import Exchange
from streams.simulator.outbox import Outbox
from streams.simulator.phone_users import Crowd, Profile
from streams.simulator.phones import Phones
from streams.simulator.registry import Registered
from streams.simulator.rules import Rules

_LINES_A_TURN: Final = 100


class Plan(msgspec.Struct, frozen=True):
    """Describes a listener. ``webhook_secrets``, ``address_keys`` and ``private`` are secrets: never log it."""

    name: str
    folder: Path
    seed: int
    profile: Profile
    limits: bool
    webhook_url: str
    webhook_secrets: tuple[str, ...]
    address_keys: dict[int, bytes]
    private: dict[str, bytes]
    faults: tuple[Fault, ...] = ()
    time_scale: float = 1
    """Divides the span of its memory of names."""


class Station:
    """A gateway without its HTTP surface. Make it inside the running loop; ``run`` until cancelled; then ``close``."""

    def __init__(self, plan: Plan, registered: Registered, now_ms: Callable[[], int]) -> None:
        book = AddressBook(plan.address_keys)
        crowd = Crowd(plan.seed, plan.profile)
        self._machine_ms = now_ms
        self.events = EventLog(plan.folder)
        self.faults = Faults(plan.seed, plan.name, now_ms, plan.faults)
        self.phones = Phones(registered, book)
        self.outbox = Outbox(
            url=plan.webhook_url,
            secrets=plan.webhook_secrets,
            events=self.events,
            name=plan.name,
            now_ms=self.now_ms,
        )
        self.exchange = Exchange(
            log=self.events,
            rules=Rules(registered, crowd, book, plan.private, limits=plan.limits, time_scale=plan.time_scale),
            crowd=crowd,
            phones=self.phones,
            faults=self.faults,
            outbox=self.outbox,
        )
        self._past = self.events.size
        self._reported = self._recall()

    def now_ms(self) -> int:
        """The gateway's own clock: the machine's, unless a fault has put it wrong."""
        return self._machine_ms() + self.faults.skew_ms

    async def run(self) -> None:
        """Report what is owed, from before the start and from now on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outbox.run())
            tasks.create_task(self._owe_the_past())

    def counts(self) -> dict[str, int]:
        """Messages by event and code (``refused.pair_throttled``), names held, reports owed and acknowledged."""
        return {
            **dict(sorted(self.exchange.counts.items())),
            "dropped_by_phones": self.phones.dropped,
            "reports_owed": self.outbox.owed,
            "reports_acknowledged": self.outbox.acknowledged,
        }

    def close(self) -> None:
        """Close the log."""
        self.events.close()

    def _recall(self) -> set[int]:
        reported: set[int] = set()
        for event in read(self.events.path, GatewayEvent, upto=self._past):
            self.exchange.recall(event)
            if event.event in {"report", "reply"}:
                reported.add(mark_of(event))
        log(Event.FOLDED, component="gateway", bytes=self._past, reported=len(reported))
        return reported

    async def _owe_the_past(self) -> None:
        owed = 0
        for line, event in enumerate(read(self.events.path, GatewayEvent, upto=self._past)):
            dues = [due for due in self.exchange.owed(event) if due.mark not in self._reported]
            self.outbox.owe(dues)
            owed += len(dues)
            if line % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
        self._reported.clear()
        log(Event.REPORTS_OWED, component="gateway", reports=owed)
