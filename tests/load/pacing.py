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
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from broker.audit.report import Audit
from schemas.gateway_api import Code
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.operate.audit import audit_system
from streams.runtime import clock, log
from streams.simulator.faults import Fault, FaultKind
from tests.load.paced import figures_of, publish, until_through, write_lists
from tests.load.promises import switched_off
from tests.load.scenarios import SCENARIOS, Scenario, Trouble
from tests.load.senders import registry_with
from tests.load.through import Through

SETTLE_MS: Final = 3_000
_ILL_AFTER_S: Final = 3.0


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
            await write_lists(stack, self.scenarios)
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
        requests = await publish(stack, scenario)
        troubles = [asyncio.create_task(one) for one in self._troubles(stack, scenario)]
        await until_through(stack, scenario)
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
        figures = figures_of(scenario, after, before, seconds=round(max(seconds, 0.0), 2))
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


async def _fall_ill(stack: Stack, scenario: Scenario, seconds: float) -> None:
    """The gateway refuses every message for a while, from some seconds on."""
    await asyncio.sleep(_ILL_AFTER_S)
    fault = Fault(FaultKind.MESSAGE, code=Code.SERVICE_UNAVAILABLE, for_ms=round(seconds * 1000))
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for lane in scenario.lanes:
            await session.post(f"{stack.settings.gateway_url(lane)}/v1/faults", data=msgspec.json.encode([fault]))


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
