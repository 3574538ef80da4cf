"""`fanfare restart`: restarts the processes of a running `fanfare dev` one after the other, slot by slot."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.terminal import INTERRUPTED, OutputOption, application, refuse, show
from streams.dev.stack.rolling_restart import chosen, roll
from streams.dev.stack.running_file import read_register
from streams.runtime.settings import SettingsError, load
from streams.runtime.supervisor import ProcessError

app = application()


@app.command()
def main(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Such as worker-otp-0, webhook, ledger, gateway-update.", show_default=False
        ),
    ] = None,
    slot: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="The workers of this slot, lane by lane; may be given again.", show_default=False
        ),
    ] = None,
    workers: Annotated[bool, typer.Option("--workers", help="Every worker, slot by slot.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every process: the workers, slot by slot, then all others.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of the running stack.", show_default=".data")
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Restart processes of a running `fanfare dev` in order, each ready again before the next one ends. Nothing is lost.

    With two slots a lane or more (`fanfare dev --slots 2`) the others have the shards of the one that is away; with one, its lane
    waits for as long as the start of a process takes. Where something else keeps the processes
    (systemd, for instance), do the same by hand, slot by slot: send SIGTERM, wait for exit status 0 (5 s at most), start
    `fanfare worker --lane LANE --slot N` again, and go on to the next slot when its /readyz says ok.
    """
    try:
        folder = load(data_dir=data).data_dir.absolute()
        entries = read_register(folder)
        if not entries:
            refuse("restart", f"no `fanfare dev` runs in {folder}; `fanfare restart --help` says how to do it by hand")
        meant = chosen(list(entries), names=names or (), slots=slot or (), workers=workers, every=every)
        seconds = asyncio.run(_restart(folder, meant, output))
    except (ProcessError, SettingsError, ValueError) as error:
        refuse("restart", str(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    show({"restarted": len(meant), "seconds": round(seconds, 1)}, output, f"{len(meant)} restarted in {seconds:.1f} s")


async def _restart(folder: Path, meant: list[str], output: str) -> float:
    began_ms = ready_ms = 0
    async for one in roll(folder, meant):
        began_ms, ready_ms = began_ms or one.told_ms, one.ready_ms
        seconds = (one.ready_ms - one.told_ms) / 1000
        text = f"{one.name:<18} ready again after {seconds:.1f} s (process {one.pid_before}, now {one.pid})"
        show({"name": one.name, "seconds": seconds, "pid_before": one.pid_before, "pid": one.pid}, output, text)
    return (ready_ms - began_ms) / 1000
