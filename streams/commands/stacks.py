"""Shares between `fanfare dev` and `fanfare demo`: options, refusals, and how a running stack is shown."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from schemas.lanes import Lane
from streams.commands.console import FAULTS
from streams.dev.stack.ports import in_slot
from streams.dev.stack.stack import Stack
from streams.ledger.service import path_of
from streams.registry.development import DEVELOPMENT
from streams.runtime.data_format import KeptError
from streams.runtime.settings import variable_of
from streams.runtime.supervisor import ProcessError

STACK_FAULTS: Final = (*FAULTS, KeptError, ProcessError)
"""Exceptions that come of the surroundings when a stack is started."""

NOT_FOR_PRODUCTION: Final = "development: NOT FOR PRODUCTION (one machine, dev secrets, unsigned: dev)"


class Nodes(StrEnum):
    """Lists the sizes of a stack's Kafka, in brokers."""

    ONE = "1"
    THREE = "3"


NodesOption = Annotated[Nodes, typer.Option("--nodes", help="Brokers of the Kafka that is started.")]
FreePortsOption = Annotated[
    bool, typer.Option("--free-ports", help="Any free ports instead of the usual ones: beside another stack.")
]
RunningKafkaOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="A Kafka that runs already; without it, one is started.",
        show_default=False,
    ),
]
RegistryOption = Annotated[
    Path, typer.Option("--registry", metavar="DIR", help="Folder of registry files.", show_default="deploy/dev")
]
REGISTRY_DEFAULT: Final = DEVELOPMENT


def addresses(stack: Stack) -> Iterator[tuple[str, str]]:
    """(what, where) of everything that a person may want to look at."""
    settings, host = stack.settings, stack.settings.metrics_host
    brokers = "" if stack.cluster is not None else "   (not started here)"
    yield "Kafka", f"{stack.bootstrap}{brokers}"
    for lane in Lane:
        yield f"Gateway {lane.word}", f"{settings.gateway_url(lane)}/   the phones, as a page"
    yield "Webhook", settings.webhook_url
    yield "Intake", f"http://{settings.intake_host}:{settings.intake_port}/v1/events?lane=LANE   events without Kafka"
    ports = [
        *(
            (f"worker {lane.word}" + (f" {slot}" if slot else ""), in_slot(settings, slot).worker_metrics(lane))
            for slot in range(stack.plan.slots)
            for lane in Lane
        ),
        ("webhook", settings.webhook_metrics_port),
        ("ledger", settings.ledger_metrics_port),
        *((f"gateway {lane.word}", settings.gateway_metrics(lane)) for lane in Lane),
        ("intake", settings.intake_metrics_port),
    ]
    for name, port in ports:
        yield "Metrics", f"http://{host}:{port}/metrics   {name}"
    yield "Ledger", shown(path_of(settings))
    yield "Logs", shown(settings.data_dir / "logs")
    yield "Data", shown(settings.data_dir)


def rows(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The pairs as aligned lines; a label that repeats the one above is left out."""
    width = max(len(label) for label, _ in pairs)
    last = ""
    for label, value in pairs:
        yield f"  {'' if label == last else label:<{width}}  {value}"
        last = label


def write_exports(stack: Stack) -> Path | None:
    """Write what other commands need to find this stack as a file for the shell; None if they find it by themselves."""
    if not stack.unusual:
        return None
    path = stack.settings.data_dir / "environment.sh"
    lines = [f"export {variable_of(name)}={shlex.quote(str(value))}\n" for name, value in stack.unusual.items()]
    path.write_text("".join(lines), "utf-8")
    return path


def command_name() -> str:
    """Returns how a person calls this program from where they are."""
    return "fanfare" if shutil.which("fanfare") else shown(Path(sys.argv[0]))


def shown(path: Path) -> str:
    """A path as short as it may be."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
