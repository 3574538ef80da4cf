"""`fanfare demo`: everything up on this machine, a real storm day through it, and the auditor's verdict."""

import asyncio
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from broker.audit.report import Audit
from streams import clock, log
from streams.auditing import audit_system
from streams.client import Client
from streams.demo import summary
from streams.demo.story import Story
from streams.kafka.cluster_errors import ClusterError
from streams.processes import ProcessError
from streams.scraping import processes, scrape_all
from streams.settings import SettingsError
from streams.stack import Stack, StackPlan, running

_CALM_S = 3
_QUIET_S = 120
_INTERRUPTED = 130

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    hold: Annotated[bool, typer.Option("--hold", help="Leave everything running at the end, until Ctrl-C.")] = False,
    speed: Annotated[float, typer.Option(help="How much faster than the day; 1350 is about a minute.")] = 1350.0,
    limit: Annotated[int | None, typer.Option(help="Only so many flights.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep everything here; else a temporary folder.")] = None,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Any free ports instead of the usual ones.")] = False,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="A Kafka that runs already.")] = None,
) -> None:
    """Start everything on loopback and replay the storm of 8 February 2013: 472 of 930 New York flights cancelled.

    Passengers opt in, airlines tell them what happened; a shop's parcels and a bank's codes go beside.

    At the end: a summary, three phones, and the auditor's verdict, which is the exit status. The last line is JSON.
    """
    log.configure(level="error", program="demo")
    with ExitStack() as after:
        folder = data or Path(after.enter_context(tempfile.TemporaryDirectory(prefix="fanfare-demo-")))
        plan = StackPlan(data=folder, bootstrap=bootstrap, free_ports=free_ports)
        try:
            status = asyncio.run(_play(Demo(plan, speed, limit, hold)))
        except (ClusterError, ProcessError, SettingsError, OSError) as error:
            print(f"fanfare demo: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise typer.Exit(_INTERRUPTED) from None
    raise typer.Exit(status)


class Demo:
    """One demonstration."""

    def __init__(self, plan: StackPlan, speed: float, limit: int | None, hold: bool) -> None:
        self.plan = plan
        self.speed = speed
        self.limit = limit
        self.hold = hold
        self._begun_ms = clock.now_ms()

    async def run(self) -> int:
        """Play it; the exit status."""
        async with running(self.plan, say=self._say) as stack:
            self._say(f"everything is up; phones: {stack.settings.gateway_campaign}")
            async with Client(stack.bootstrap) as client:
                story = Story(client, self.speed, self.limit, self._say)
                await story.tell()
            self._say("waiting until everything is handed off and settled")
            await self._quiet(stack)
            audit = await audit_system(stack.settings)
            await self._report(stack, story, audit)
            if self.hold:
                self._say("holding: everything goes on; Ctrl-C stops it")
                await asyncio.Event().wait()
        return 1 if audit.total else 0

    async def _quiet(self, stack: Stack) -> None:
        calm, ends_ms = 0, clock.monotonic_ms() + _QUIET_S * 1000
        while calm < _CALM_S and clock.monotonic_ms() < ends_ms:
            await asyncio.sleep(1)
            scrapes = await scrape_all(stack.settings, processes(stack.settings))
            calm = calm + 1 if sum(one.total("fanfare_stage_waiting") for one in scrapes) == 0 else 0

    async def _report(self, stack: Stack, story: Story, audit: Audit) -> None:
        settings = stack.settings
        ages = summary.code_ages_ms(settings, story.sent_ms)
        first_ms = summary.first_hand_off_ms(settings) or clock.now_ms()
        p50, p99 = summary.quantile(ages, 0.5), summary.quantile(ages, 0.99)
        lines = [
            "",
            f"requests    {audit.requests:,} accepted, heartbeats among them",
            f"refused     {audit.counts.get('dead_letters', 0):,} dead letters",
            "messages",
            *summary.lanes(audit),
            f"codes       publish to gateway p50 {p50} ms, p99 {p99} ms ({len(ages):,} samples)",
            "charges",
            *summary.charges(audit),
            "phones",
            *await summary.phones(settings),
            summary.verdict(audit),
            *(f"  {one.name} {one.where}: {one.sentence}" for one in audit.violations[:10]),
        ]
        print("\n".join(lines))
        figures = {
            "seconds_to_first_message": round((first_ms - self._begun_ms) / 1000, 1),
            "seconds": round((clock.now_ms() - self._begun_ms) / 1000, 1),
            "messages": audit.accepted,
            "otp_p50_ms": p50,
            "otp_p99_ms": p99,
            "violations": audit.total,
        }
        print(json.dumps(figures), flush=True)

    def _say(self, line: str) -> None:
        print(f"{(clock.now_ms() - self._begun_ms) / 1000:6.1f} s  {line}", file=sys.stderr, flush=True)


async def _play(demo_: Demo) -> int:
    playing = asyncio.current_task()
    assert playing is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel)
    return await demo_.run()
