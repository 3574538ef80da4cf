"""A rolling restart under load, measured: ``python -m tests.load.rolling [--per-second N] [--slots N] [--rounds N] [--seed N]``.

Two workers a lane under 200 messages a second in three lanes; then every worker is restarted, slot by slot, exactly as
`fanfare restart --workers` does it. The figure of a shard is its longest time between two hand-offs while the restarts go on, and
beside it the longest while nothing was restarted: what the load itself leaves silent. At the end the auditor closes every
account. Ends with one line of JSON; exit status 1 if anything was lost, doubled or contradicted.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from broker.audit.report import Audit
from schemas.lanes import Lane
from streams.dev.stack.rolling_restart import Restarted, chosen, roll
from streams.dev.stack.running_file import read_register
from streams.dev.stack.stack import StackPlan, running
from streams.operate.audit import audit_system
from streams.runtime import clock, log
from tests.faults.campaign import KEYS, SETTLE_MS, quiet
from tests.faults.load import SENDERS, loading
from tests.faults.scene import SESSION_MS, Place
from tests.faults.witness import Witness
from tests.load.gauges import say
from tests.load.promises import switched_off
from tests.load.senders import registry_with

CALM_S = 15
"""Under load before the first restart and after the last."""


@dataclass
class Rolling:
    """One run. ``restarted`` in the order of the restarts."""

    data: Path
    per_second: int
    slots: int
    rounds: int
    seed: int
    restarted: list[Restarted] = field(default_factory=list)
    calm_ms: int = 0
    """When the load was under way."""
    ended_ms: int = 0
    """When it was stopped."""
    audit: Audit | None = None
    switched_off: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Load, calm, restarts, calm, quiet, audit."""
        async with running(self._plan(), say=say) as stack:
            self.switched_off = switched_off(stack.settings, stack.plan.gateway_options)
            async with loading(stack, f"rolling-{self.seed}", per_second=self.per_second) as load:
                await asyncio.sleep(CALM_S)
                self.calm_ms = clock.now_ms() - CALM_S * 1000 // 2
                await asyncio.sleep(CALM_S)
                await self._restart()
                await asyncio.sleep(CALM_S)
                self.ended_ms = clock.now_ms()
            say(f"{load.asked:,} messages asked for; waiting for quiet")
            await quiet(stack)
            self.audit = await audit_system(stack.settings)

    async def _restart(self) -> None:
        names = chosen(list(read_register(self.data)), names=(), slots=(), workers=True, every=False) * self.rounds
        async for one in roll(self.data, names):
            self.restarted.append(one)
            say(f"{one.name} ready again after {(one.ready_ms - one.told_ms) / 1000:.1f} s")

    def figures(self) -> dict[str, object]:
        """The last line."""
        assert self.audit is not None
        counts = self.audit.summary()
        handed = Witness(self.data).handed
        first_ms, last_ms = self.restarted[0].told_ms, self.restarted[-1].ready_ms
        seconds = sorted((one.ready_ms - one.told_ms) / 1000 for one in self.restarted)
        return {
            "restarts": len(self.restarted),
            "seconds_each": {"p50": round(statistics.median(seconds), 2), "max": round(seconds[-1], 2)},
            "seconds_all": round((last_ms - first_ms) / 1000, 1),
            "messages": counts["accepted"],
            **by_lane(handed, calm=(self.calm_ms, first_ms), rolling=(first_ms, last_ms), until_ms=self.ended_ms),
            **{key: counts[key] for key in KEYS},
            "violations": counts["violations"],
            "switched_off": self.switched_off,
        }

    def _plan(self) -> StackPlan:
        return StackPlan(
            data=self.data,
            slots=self.slots,
            free_ports=True,
            registry=registry_with(self.data / "registry", *SENDERS),
            gateway_options=("--profile", "online"),
            fields={"settle_ms": SETTLE_MS, "session_timeout_ms": SESSION_MS},
            restarts_a_minute=60,
        )


def longest_s(times: Sequence[int], span: tuple[int, int], *, until_ms: int) -> float:
    """The longest time between two hand-offs that touches ``span``, ``until_ms`` taken for the last; seconds."""
    began, ended = span
    gaps = [after - before for before, after in pairwise([*times, until_ms]) if after > began and before < ended]
    return max(gaps, default=until_ms - began) / 1000


def by_lane(
    handed: Mapping[Place, Sequence[int]], *, calm: tuple[int, int], rolling: tuple[int, int], until_ms: int
) -> dict[str, object]:
    """The longest silence of each shard while restarts went on, and while none did; and the worst excess."""
    silent, usual = (
        {place: longest_s(sorted(times), span, until_ms=until_ms) for place, times in sorted(handed.items())}
        for span in (rolling, calm)
    )
    return {
        "shards": len(silent),
        "silence_s": {lane.word: _spread(_of(silent, lane)) for lane in Lane},
        "usual_s": {lane.word: _spread(_of(usual, lane)) for lane in Lane},
        "beyond_usual_s": round(max(max(silent[place] - usual[place], 0) for place in silent), 2),
    }


def _of(figures: Mapping[Place, float], lane: Lane) -> list[float]:
    return [figure for (each, _), figure in figures.items() if each is lane]


def _spread(values: Iterable[float]) -> dict[str, float]:
    ascending = sorted(values)
    return {"p50": round(statistics.median(ascending), 2), "max": round(ascending[-1], 2)} if ascending else {}


def main() -> int:
    """Measure once; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.rolling", description=__doc__)
    parser.add_argument("--per-second", type=int, default=200, help="messages a second over three lanes (200)")
    parser.add_argument("--slots", type=int, default=2, help="workers a lane (2)")
    parser.add_argument("--rounds", type=int, default=1, help="how often every worker is restarted (1)")
    parser.add_argument("--seed", type=int, default=1, help="part of the run's name")
    parser.add_argument("--data", type=Path, help="keep everything here; else a temporary folder")
    asked = parser.parse_args()
    log.configure(level="critical", program="rolling")
    with tempfile.TemporaryDirectory(prefix="fanfare-rolling-") as folder:
        data = (asked.data or Path(folder)).absolute()
        rolling = Rolling(data, asked.per_second, asked.slots, asked.rounds, asked.seed)
        asyncio.run(rolling.run())
        assert rolling.audit is not None
        for violation in rolling.audit.violations:
            print(f"{violation.invariant} {violation.name} {violation.where}: {violation.sentence}")
        print(json.dumps(rolling.figures()))
    return 1 if rolling.audit.total else 0


if __name__ == "__main__":
    sys.exit(main())
