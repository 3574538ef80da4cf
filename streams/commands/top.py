"""`fanfare top`: the live view of a deployment, from its metrics, phones and statuses; one frame as text, picture or JSON."""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from schemas.lanes import Lane
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import INTERRUPTED, OutputOption, application, refuse, say, show
from streams.operate.top.layout import frame
from streams.operate.top.model import Picture
from streams.operate.top.screen import Screen, drawable, write_svg
from streams.operate.top.watcher import Watcher
from streams.runtime.signals import until_signalled

_TITLE: Final = "fanfare top"
_SIZE: Final = (118, 48)
"""Columns and lines of a frame that goes to no terminal, unless COLUMNS and LINES say otherwise."""

app = application()


@app.command()
def main(
    *,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Look twice, print one frame and end; also with -o json, or when stdout is no terminal."
        ),
    ] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Look twice and write one frame as an SVG picture.")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="From one look to the next.")] = 1.0,
    heartbeats: Annotated[
        bool, typer.Option("--heartbeats", help="Count and show heartbeats, too, as if they were messages.")
    ] = False,
    bootstrap: BootstrapOption = None,
    output: OutputOption = "text",
) -> None:
    """Watch a deployment on this machine live; Ctrl-C ends it.

    All of it comes from /metrics of the processes, the phones' page of the simulated gateway and the status topics; ports are
    those of the settings (FANFARE_*_METRICS_PORT), as for `fanfare status`. Processes that do not answer are shown as away.

    Rates and ages (p50 and p99 from an event's time until the gateway accepted the message) are over the last 15 seconds. A
    single frame has rates over one interval and ages since the processes began.

    Exit status of a single frame: 1 if it does not say healthy. With -o json it is one object, whose verdict, processes and
    dev_secrets are as in `fanfare status -o json`.

    A terminal of 112 by 36 or more shows every stage of every lane.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = configured("top", bootstrap)
    console = Console()
    if not once and svg is None and output == "text" and drawable(console):
        if asyncio.run(until_signalled(_live(Watcher(settings, heartbeats=heartbeats), console, interval))):
            raise typer.Exit(INTERRUPTED)
        return
    seen = run("top", _once(Watcher(settings, heartbeats=heartbeats), interval))
    _tell(seen, svg, output)
    if not seen.good:
        raise typer.Exit(1)


def _tell(seen: Picture, svg: Path | None, output: str) -> None:
    """Writes and prints a single frame in the forms that were asked for."""
    if svg is not None:
        try:
            write_svg(svg, seen, title=_TITLE)
        except OSError as error:
            refuse("top", f"{svg}: {error.strerror}")
        say(f"{svg} is written")
    if output == "json":
        show(facts_of(seen), output, "")
    elif svg is None:
        width, height = shutil.get_terminal_size(_SIZE)
        Console(width=width).print(frame(seen, width, height, title=_TITLE))


def facts_of(seen: Picture) -> dict[str, Any]:
    """Returns a frame in plain values: what is said of processes, lanes and stages, then phones by lane and statuses."""
    facts: dict[str, Any] = msgspec.to_builtins(seen)
    aside = facts.pop("aside")
    return {
        "verdict": facts.pop("verdict"),
        "processes": facts.pop("health"),
        "dev_secrets": facts.pop("secrets"),
        **facts,
        "phones": {lane.word: shown for lane, shown in zip(Lane, aside["phones"], strict=True)},
        "phones_note": aside["phones_note"],
        "statuses": aside["words"],
        "statuses_note": aside["words_note"],
    }


async def _live(watcher: Watcher, console: Console, interval_s: float) -> None:
    async with watcher.followed():
        await Screen(watcher, console, title=_TITLE).run(interval_s)


async def _once(watcher: Watcher, interval_s: float) -> Picture:
    async with watcher.followed():
        await watcher.look()
        await asyncio.sleep(interval_s)
        return await watcher.look(since_began=True)
