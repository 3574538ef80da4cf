"""`fanfare dev`: everything on this machine until Ctrl-C, with the addresses one needs."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from schemas.names import Lane
from streams import log
from streams.kafka.cluster_errors import ClusterError
from streams.ledger import path_of
from streams.processes import ProcessError
from streams.settings import SettingsError
from streams.stack import Stack, StackPlan, running

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def dev(
    data: Annotated[Path, typer.Option(help="Kafka's records, the ledger, the gateway's logs.")] = Path(".data"),
    nodes: Annotated[int, typer.Option(help="Kafka nodes: 1 or 3.")] = 1,
    slots: Annotated[int, typer.Option(help="Workers a lane.")] = 1,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Any free ports instead of the usual ones.")] = False,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="A Kafka that runs already.")] = None,
) -> None:
    """Start Kafka, gateway, webhook, ledger and a worker a lane on loopback; print their addresses; Ctrl-C stops all of it.

    Nothing is lost by stopping: started again on the same --data it goes on where the journals stand.
    """
    log.configure(level="error", program="dev")
    plan = StackPlan(data=data, bootstrap=bootstrap, nodes=nodes, slots=slots, free_ports=free_ports)
    try:
        asyncio.run(_run(plan))
    except (ClusterError, ProcessError, SettingsError, OSError) as error:
        print(f"fanfare dev: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


async def _run(plan: StackPlan) -> None:
    running_task = asyncio.current_task()
    assert running_task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running_task.cancel)
    try:
        async with running(plan, say=_say) as stack:
            print("\n".join(_page(stack)), flush=True)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        _say("stopped in order")


def _page(stack: Stack) -> Iterator[str]:
    settings = stack.settings
    rows = [
        ("Kafka", settings.bootstrap),
        ("phones", settings.gateway_campaign),
        *((f"gateway {lane.word}", settings.gateway_url(lane)) for lane in Lane),
        ("webhook", settings.webhook_url),
        *((name, f"http://{one.plan.host}:{one.plan.port}/metrics") for name, one in stack.processes.items()),
        ("ledger", str(path_of(settings))),
        ("logs", str(settings.data_dir / "logs")),
    ]
    width = max(len(name) for name, _ in rows)
    yield "fanfare dev: development, NOT FOR PRODUCTION; dev secrets; unsigned: dev"
    yield from (f"  {name:<{width}}  {address}" for name, address in rows)
    yield ""
    yield "next, in another terminal"
    yield f"  export FANFARE_KAFKA_BOOTSTRAP={settings.bootstrap}"
    yield "  fanfare source flights --limit 50     a part of a storm day"
    yield "  fanfare status                        stages, lanes, ages"
    yield f"  fanfare audit --data {settings.data_dir}     close every account"
    yield "  Ctrl-C here                           stops all of it"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
