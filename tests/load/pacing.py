"""`python -m tests.load.pacing`: everybody on the list is told, no number is faster than its rate, and how long it takes.

Each scenario has a number of its own: one list of 20,000 and one of 100,000 people at 1,000 a second, one of 2,000 at 80 a
second, and two campaigns beside a storm of updates on one number. Limits are on at broker and gateway. Of each it says how many
were lost (nothing forbade telling them, and they were not), the seconds from publishing to the last hand-off against the ideal,
the busiest second and ten seconds in the gateway's log against their bound, and what the auditor found. With --kill-every the
worker and the gateway of its lanes are killed again and again, with --ill the gateway refuses everything for a while, with
--ahead its clock is wrong. The last line is JSON; exit status 1 if anybody was lost, a bound was broken or anything was found.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from broker.audit.report import Audit
from schemas.names import Lane, text_of
from schemas.reasons import Reason, State
from schemas.request import Notification, Params, To
from schemas.wire.frames import Code
from streams import clock, log
from streams.auditing import audit_system
from streams.client import Client
from streams.client.events import Head, notification
from streams.local.stack import Stack, StackPlan, running
from streams.scraping import processes, scrape_all
from streams.simulator.faults import Fault, FaultKind
from tests.load.crowd import write_list
from tests.load.promises import switched_off
from tests.load.scenarios import BUSINESS, SCENARIOS, Scenario, Trouble
from tests.load.senders import registry_with
from tests.load.through import Through

SETTLE_MS: Final = 3_000
_CALM_S: Final = 3
_LOOK_S: Final = 0.5
_ILL_AFTER_S: Final = 3.0
_SLACK: Final = 4.0
"""After so many times the ideal, and a minute, a scenario is given up: what is left then is lost."""
_HOUR_MS: Final = 3_600_000
_FORBIDDEN: Final = (
    Reason.STOPPED,
    Reason.STOPPED_ALL,
    Reason.BLOCKED,
    Reason.NOT_OPTED_IN,
    Reason.RECIPIENT_OPTED_OUT,
    Reason.UNREACHABLE,
)
"""Ends that are nobody's fault: the person, or the platform about the person, forbade it."""
_TOLD: Final = (State.ACCEPTED.name.lower(), "delivered", "read", Reason.FAILED.word, Reason.UNKNOWN.word)


@dataclass
class Pacing:
    """The scenarios of one run, on one stack, one after the other."""

    data: Path
    scenarios: Sequence[Scenario]
    trouble: Trouble
    told: list[dict[str, object]] = field(default_factory=list)
    """The figures of each."""
    switched_off: list[str] = field(default_factory=list)
    kills: int = 0

    async def run(self) -> None:
        """All of them."""
        async with running(self._plan(), say=_say) as stack:
            self.switched_off = switched_off(stack.settings, stack.plan.gateway_options)
            first = 0
            for scenario in self.scenarios:
                for number, ask in enumerate(scenario.asks):
                    await write_list(stack.settings, BUSINESS, _list(scenario, number), ask.people, first=first)
                    first += ask.people
            before = await audit_system(stack.settings)
            for scenario in self.scenarios:
                before = await self._one(stack, scenario, before)

    def _plan(self) -> StackPlan:
        options: tuple[str, ...] = ()
        if self.trouble.ahead:
            self.data.mkdir(parents=True, exist_ok=True)
            faults = self.data / "faults.json"
            faults.write_bytes(msgspec.json.encode([Fault(FaultKind.SKEW, ms=round(self.trouble.ahead * 1000))]))
            options = ("--faults", str(faults.absolute()))
        return StackPlan(
            data=self.data,
            free_ports=True,
            registry=registry_with(self.data / "registry", *(scenario.sender for scenario in self.scenarios)),
            gateway_options=options,
            fields={"settle_ms": SETTLE_MS},
            restarts_a_minute=60,
        )

    async def _one(self, stack: Stack, scenario: Scenario, before: Audit) -> Audit:
        """One scenario; returns the audit after it, in which the next one's begin."""
        logs = {lane: Through(stack.settings.data_dir, lane) for lane in scenario.lanes}
        begun_ms = clock.now_ms()
        requests = await _publish(stack, scenario)
        troubles = [asyncio.create_task(one) for one in self._troubles(stack, scenario)]
        await _until_through(stack, scenario, begun_ms)
        for task in troubles:
            task.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)
        await asyncio.gather(*(process.ready() for process in stack.processes.values()))
        await asyncio.sleep(SETTLE_MS / 1000)
        for one in logs.values():
            one.look()
        last_ms = max((logs[lane].last_ms.get(name, 0) for name, lane in requests.items()), default=0)
        after = await audit_system(stack.settings)
        seconds = (last_ms - begun_ms) / 1000 - self.trouble.ahead
        figures = _figures(scenario, after, before, seconds=round(max(seconds, 0.0), 2))
        self.told.append(figures)
        _say(json.dumps(figures))
        for violation in after.violations:
            _say(f"{violation.invariant} {violation.name} {violation.where}: {violation.sentence}")
        return after

    def _troubles(self, stack: Stack, scenario: Scenario) -> list[Coroutine[None, None, None]]:
        found: list[Coroutine[None, None, None]] = []
        if self.trouble.kill_every:
            found.append(self._kill(stack, scenario))
        if self.trouble.ill:
            found.append(_fall_ill(stack, scenario, self.trouble.ill))
        return found

    async def _kill(self, stack: Stack, scenario: Scenario) -> None:
        """SIGKILL of each worker and each gateway of these lanes, again and again."""
        names = [
            f"{kind}-{lane.word}{slot}" for lane in scenario.lanes for kind, slot in (("worker", "-0"), ("gateway", ""))
        ]
        while True:
            await asyncio.sleep(self.trouble.kill_every)
            for name in names:
                stack.processes[name].kill()
                self.kills += 1


async def _publish(stack: Stack, scenario: Scenario) -> dict[str, Lane]:
    """Publish what the scenario asks for; the names of the requests, and their lanes."""
    requests: dict[str, Lane] = {}
    async with Client(stack.bootstrap) as client:
        for number, ask in enumerate(scenario.asks):
            params: Params = {"offer": "Miles", "until": "Sunday"}
            if ask.lane is Lane.UPDATE:
                params = {"parcel": "PX-1", "event_time": "noon"}
            template = "parcel_delivered" if ask.lane is Lane.UPDATE else "offer"
            to = To(list=_list(scenario, number))
            content = Notification(template, to, sender=scenario.sender.id, params=params)
            head = Head(source=f"//{BUSINESS}/pacing", id=uuid.uuid4().hex, lifetime_ms=_HOUR_MS)
            published = await client.publish(ask.lane, notification(head, content))
            requests[text_of(published.name)] = ask.lane
    return requests


async def _until_through(stack: Stack, scenario: Scenario, begun_ms: int) -> None:
    """Until no worker has anything in hand for a while, or far beyond the time that it should take."""
    ends_ms = begun_ms + int((scenario.ideal_s * _SLACK + 60) * 1000)
    calm = 0.0
    await asyncio.sleep(_CALM_S)
    while calm < _CALM_S and clock.now_ms() < ends_ms:
        await asyncio.sleep(_LOOK_S)
        scrapes = await scrape_all(stack.settings, processes(stack.settings))
        lanes = [lane.word for lane in scenario.lanes]
        waiting = sum(one.total("fanfare_stage_waiting", lane=lane) for one in scrapes for lane in lanes)
        away = any(one.ready != "ok" and not one.process.optional for one in scrapes)
        calm = 0.0 if waiting or away else calm + _LOOK_S


async def _fall_ill(stack: Stack, scenario: Scenario, seconds: float) -> None:
    """The gateway refuses every message for a while, from some seconds on."""
    await asyncio.sleep(_ILL_AFTER_S)
    fault = Fault(FaultKind.MESSAGE, code=Code.SERVICE_UNAVAILABLE, for_ms=round(seconds * 1000))
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for lane in scenario.lanes:
            await session.post(f"{stack.settings.gateway_url(lane)}/v1/faults", data=msgspec.json.encode([fault]))


def _list(scenario: Scenario, number: int) -> str:
    return f"{scenario.name}-{number}"


def _figures(scenario: Scenario, after: Audit, before: Audit, *, seconds: float) -> dict[str, object]:
    """What came of it: the states of the messages that were not there before, and the busiest windows of its number."""

    def grown(states: Sequence[str]) -> int:
        return sum(after.in_state(state) - before.in_state(state) for state in states)

    forbidden = grown([reason.word for reason in _FORBIDDEN])
    in_doubt = grown([State.IN_DOUBT.name.lower()])
    figures: dict[str, object] = {
        "name": scenario.name,
        "people": scenario.people,
        "lost": scenario.people - grown(_TOLD) - forbidden - in_doubt,
        "forbidden": forbidden,
        "in_doubt": in_doubt,
        "seconds": seconds,
        "ideal_s": round(scenario.ideal_s, 2),
        "ratio": round(seconds / scenario.ideal_s, 3),
    }
    for one in after.busiest:
        if one.sender == scenario.sender.id:
            figures[f"{one.lane}_{one.seconds}s"] = {"worst": one.messages, "bound": one.bound}
    return figures | {"violations": after.total - before.total}


def main() -> int:
    """Run them; the last line is JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.pacing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="only this scenario; may be repeated")
    parser.add_argument(
        "--kill-every", type=float, default=0.0, metavar="S", help="kill -9 of worker and gateway, seconds"
    )
    parser.add_argument("--ill", type=float, default=0.0, metavar="S", help="the gateway is ill for so long, seconds")
    parser.add_argument("--ahead", type=float, default=0.0, metavar="S", help="the gateway's clock is ahead, seconds")
    parser.add_argument("--data", type=Path, help="keep everything here; else a temporary folder")
    asked = parser.parse_args()
    log.configure(level="critical", program="pacing")
    chosen = [scenario for scenario in SCENARIOS if not asked.only or scenario.name in asked.only]
    with tempfile.TemporaryDirectory(prefix="fanfare-pacing-") as folder:
        data = (asked.data or Path(folder)).absolute()
        pacing = Pacing(data, chosen, Trouble(asked.kill_every, asked.ill, asked.ahead))
        asyncio.run(pacing.run())
    lost = sum(int(str(one["lost"])) + int(str(one["violations"])) for one in pacing.told)
    print(json.dumps({"scenarios": pacing.told, "kills": pacing.kills, "switched_off": pacing.switched_off}))
    return 1 if lost else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
