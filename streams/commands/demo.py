"""`fanfare demo`: everything up on this machine, a real storm day through it, and the auditor's verdict."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from broker.audit.report import Audit
from schemas.lanes import Lane
from streams.client import Client
from streams.commands.stacks import STACK_FAULTS, FreePortsOption, RunningKafkaOption
from streams.commands.terminal import INTERRUPTED, OutputOption, application, refuse, say, show
from streams.dev.demo import summary
from streams.dev.demo.offers import FEWEST, PEOPLE, Offers, Told, lines
from streams.dev.demo.story import FLIGHTS, Story
from streams.dev.recordings.playback import Latencies
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.operate.audit import audit_system
from streams.operate.scrape import processes, scrape_all
from streams.operate.top.model import Picture
from streams.operate.top.screen import Screen, drawable, shown, write_svg
from streams.operate.top.watcher import Watcher
from streams.runtime import clock, log
from streams.runtime.settings import kafka_bootstrap
from streams.runtime.signals import first_error, until_signalled

_CALM_S = 3
_QUIET_S = 120
_LOOK_S = 1.0

VIEW_TITLE: Final = "fanfare demo"

app = application()


@app.command()
def demo(
    *,
    hold: Annotated[bool, typer.Option("--hold", help="Leave everything running at the end, until Ctrl-C.")] = False,
    speed: Annotated[
        float, typer.Option(min=1, metavar="N", help="How many times faster than the day; 1350: about a minute.")
    ] = 1350.0,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only so many of the 930 flights, and of the rest in proportion."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything here; else a temporary folder.")
    ] = None,
    free_ports: FreePortsOption = False,
    bootstrap: RunningKafkaOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of the live view, also on a terminal.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Write the live view at its peak as an SVG picture."),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Start everything on loopback and replay the storm of 8 February 2013: 472 of 930 New York flights cancelled.

    Passengers opt in, airlines tell them what happened; a shop's parcels and a bank's codes go beside. An airline offers
    something to everybody on its list: one offer is paused and resumed, one cancelled, and somebody answers STOPP. On a
    terminal, the view of `fanfare top` shows it happen.

    At the end: a summary, some phones, and the auditor's verdict, which is the exit status. The last line is JSON.
    """
    log.configure(level="error", program="demo")
    with ExitStack() as after:
        folder = data or Path(after.enter_context(tempfile.TemporaryDirectory(prefix="fanfare-demo-")))
        plan = StackPlan(data=folder, bootstrap=bootstrap or kafka_bootstrap(), free_ports=free_ports)
        console = Console(stderr=True)
        live = console if drawable(console) and not plain else None
        playing = Demo(plan, hold, console=live, watched=svg is not None, told=print if output == "text" else say)
        try:
            asyncio.run(_play(playing, speed, limit))
        except STACK_FAULTS as error:
            refuse("demo", str(error))
    if svg is not None:
        _draw(playing, svg)
    if playing.figures:
        show(playing.figures, "json", "")
    raise typer.Exit(INTERRUPTED if playing.audit is None else int(playing.audit.total > 0))


class Demo:
    """Runs the demonstration from start to summary."""

    def __init__(
        self, plan: StackPlan, hold: bool, *, console: Console | None, watched: bool, told: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.hold = hold
        self.peak: Picture | None = None
        """The live view when most messages a second were handed off."""
        self.audit: Audit | None = None
        """The verdict; None until there is one."""
        self.figures: dict[str, object] = {}
        """The last line, once there is a verdict."""
        self._begun_ms = clock.now_ms()
        self._print = told
        self._console = console
        self._watched = watched or console is not None
        self._screen: Screen | None = None

    async def run(self, speed: float, limit: int | None) -> None:
        """Play it to the verdict, and on if it is to be held."""
        async with running(self.plan, say=self._say) as stack:
            try:
                await self._tell(stack, speed, limit)
            finally:
                self._say("stopping, the workers first")

    async def _tell(self, stack: Stack, speed: float, limit: int | None) -> None:
        self._say(f"everything is up; phones: {stack.settings.gateway_url(Lane.CAMPAIGN)}")
        async with self._shown(stack):
            async with Client(stack.kafka) as client:
                story = Story(client, speed, limit, self._say)
                offers = Offers(
                    client, stack.settings, run=f"demo-{self._begun_ms:x}", people=_people(limit), say=self._say
                )
                with first_error():
                    async with asyncio.TaskGroup() as together:
                        offered = together.create_task(offers.tell())
                        together.create_task(story.tell())
            self._say("waiting until everything is handed off and settled")
            await self._quiet(stack)
        self.audit = await audit_system(stack.settings)
        await self._report(stack, story, self.audit, offered.result())
        if self.hold:
            self._say("holding: everything goes on; Ctrl-C stops it")
            await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def _shown(self, stack: Stack) -> AsyncIterator[None]:
        """The live view meanwhile; without a terminal it is only watched for its peak, if that is wanted."""
        if not self._watched:
            yield
            return
        watcher = Watcher(stack.settings)
        async with shown(Screen(watcher, self._console, title=VIEW_TITLE), watcher, interval_s=_LOOK_S) as screen:
            self._screen = screen if self._console is not None else None
            try:
                yield
            finally:
                self._screen, self.peak = None, screen.peak

    async def _quiet(self, stack: Stack) -> None:
        calm, ends_ms = 0, clock.monotonic_ms() + _QUIET_S * 1000
        while calm < _CALM_S and clock.monotonic_ms() < ends_ms:
            await asyncio.sleep(1)
            scrapes = await scrape_all(stack.settings, processes(stack.settings))
            calm = calm + 1 if sum(one.total("fanfare_stage_waiting") for one in scrapes) == 0 else 0

    async def _report(self, stack: Stack, story: Story, audit: Audit, offered: Told) -> None:
        settings = stack.settings
        ages = Latencies(summary.code_ages_ms(settings, story.sent_ms))
        first_ms = summary.first_hand_off_ms(settings) or clock.now_ms()
        p50, p99 = ages.quantile(0.5) or 0, ages.quantile(0.99) or 0
        told = [
            "",
            f"requests    {audit.requests:,} accepted, heartbeats among them",
            f"refused     {audit.counts.get('dead_letters', 0):,} dead letters",
            "messages",
            *summary.lanes(audit),
            f"codes       publish to gateway p50 {p50} ms, p99 {p99} ms ({len(ages):,} samples)",
            "offers",
            *lines(offered),
            "charges",
            *summary.charges(audit),
            "phones",
            *await summary.phones(settings),
            summary.verdict(audit),
            *(f"  {one.name} {one.where}: {one.sentence}" for one in audit.violations[:10]),
        ]
        self._print("\n".join(told))
        self.figures = {
            "seconds_to_first_message": round((first_ms - self._begun_ms) / 1000, 1),
            "seconds": round((clock.now_ms() - self._begun_ms) / 1000, 1),
            "messages": audit.accepted,
            "held": offered.paused.held,
            "cancelled": offered.cancelled.cancelled,
            "otp_p50_ms": p50,
            "otp_p99_ms": p99,
            "violations": audit.total,
        }

    def _say(self, line: str) -> None:
        told = f"{(clock.now_ms() - self._begun_ms) / 1000:6.1f} s  {line}"
        if self._screen is not None:
            self._screen.note = told
        else:
            say(told)


def _people(limit: int | None) -> int:
    """Returns how many are on the list of the offers: fewer in a short demonstration, enough to be paused half-way."""
    return PEOPLE if limit is None else max(FEWEST, min(PEOPLE, PEOPLE * limit // FLIGHTS))


async def _play(playing: Demo, speed: float, limit: int | None) -> None:
    await until_signalled(playing.run(speed, limit))


def _draw(playing: Demo, path: Path) -> None:
    if playing.peak is None:
        return
    try:
        write_svg(path, playing.peak, title=VIEW_TITLE)
    except OSError as error:
        refuse("demo", f"{path}: {error.strerror}")
