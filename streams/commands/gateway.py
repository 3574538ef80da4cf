"""`fanfare gateway`: the simulated gateway with its phones, three listener processes or one."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

import typer
import uvloop

from schemas.lanes import Lane
from streams.commands.start import refuse_start
from streams.commands.terminal import application
from streams.dev.kafka.errors import ClusterError
from streams.dev.kafka.properties import HOST
from streams.kafka.admin import demand_listener
from streams.runtime import log
from streams.runtime.exits import Exit
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.ports import demand_own
from streams.runtime.priority import give_way
from streams.runtime.settings import Settings, SettingsError, child_environment, load
from streams.runtime.signals import stop_asked
from streams.runtime.supervisor import INHERITED, Process, ProcessPlan
from streams.simulator import registry as registered
from streams.simulator.phone_users import REAL_PROFILE
from streams.simulator.program import OptionError, log_folder, plan_of, serve

REFUSALS: Final = frozenset({0, 1, 2, Exit.REFUSED_START})
"""Exit statuses of a listener that cannot be what it is asked to be, or was told to stop."""
_STOP_S: Final = 5


async def keep_alive(plans: Sequence[ProcessPlan]) -> int:
    """Run all ``plans`` until SIGINT or SIGTERM, or until one of them refuses to start; returns the exit status."""
    stop = stop_asked()

    def changed() -> None:
        if any(process.refused for process in kept):
            stop.set()

    kept = [Process(plan, say=_say, changed=changed) for plan in plans]
    await asyncio.gather(*(process.start() for process in kept))
    await stop.wait()
    await asyncio.gather(*(process.stop(grace_s=_STOP_S) for process in kept))
    return max(0, *(process.ended[-1].status for process in kept))


def _say(sentence: str) -> None:
    print(f"fanfare gateway: {sentence}", file=sys.stderr, flush=True)


_Made = TypeVar("_Made")

app = application()


@app.command()
def gateway(
    *,
    lanes: Annotated[
        str, typer.Option(metavar="LANE,...", help="Lanes to serve, each in a process of its own.")
    ] = ",".join(sorted(lane.word for lane in Lane)),
    lane: Annotated[str | None, typer.Option(metavar="LANE", help="Serve this lane alone, in this process.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port with --lane; else those of FANFARE_GATEWAY_<LANE>.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where gateway/<lane> keeps its log.")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka whose registry says what is approved.")
    ] = None,
    registry: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Registry files or folders instead, read once at start.")
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="How people behave: real, online, or a JSON file.")
    ] = REAL_PROFILE,
    seed: Annotated[int, typer.Option(metavar="N", help="Whose phones these are: the same seed, the same people.")] = 1,
    faults: Annotated[Path | None, typer.Option(metavar="FILE", help="Faults from the start, a JSON list.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Where reports are posted.")] = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Neither throughput nor pair limits.")] = False,
) -> None:
    """Run the simulated gateway on loopback; Ctrl-C stops it.

    What `fanfare registry apply` registers is approved at once: it follows Kafka's registry, and needs Kafka for nothing else.
    It checks what it is sent, remembers every name, shows messages on phones and reports what became of them. Its log
    (one JSON line an event) is written before each answer: it survives kill -9, not a power cut.
    """
    settings = _or_refuse(
        lambda: with_own_secrets(
            "gateway",
            load(bootstrap=bootstrap, data_dir=data, webhook_url=webhook, limits=False if no_limits else None),
        )
    )
    told = _or_refuse(lambda: _told(settings, registry))
    chosen = _or_refuse(lambda: [Lane.of(word) for word in (lane or lanes).split(",")])
    plans = _or_refuse(lambda: [plan_of(settings, each, seed=seed, profile=profile, faults=faults) for each in chosen])
    places = _or_refuse(lambda: _places(settings, chosen, port))
    if lane is None:
        options = _options(profile=profile, seed=seed, registry=registry, faults=faults, limits=not no_limits)
        environment = child_environment(
            bootstrap=str(settings.kafka), data_dir=settings.data_dir, webhook_url=settings.webhook_url
        )
        _print_places(settings, chosen)
        children = [_child(settings, each, options, environment) for each in chosen]
        raise typer.Exit(asyncio.run(keep_alive(children)))
    log.configure(level=settings.log_level, kafka_prefix=settings.kafka.prefix, program="gateway", lane=lane)
    give_way(settings.nice_of(chosen[0]))
    try:
        uvloop.run(serve(plans[0], told, settings, lane=chosen[0], port=places[chosen[0]]))
    except OSError as error:
        refuse_start("gateway", error)


def _or_refuse(make: Callable[[], _Made]) -> _Made:
    """Returns the result of ``make``, or refuses to start with a sentence."""
    try:
        return make()
    except KeyError as error:
        refuse_start("gateway", f"there is no lane {error}; there are: {', '.join(each.word for each in Lane)}")
    except (SettingsError, registered.RegistryError, OptionError, ClusterError) as error:
        refuse_start("gateway", error)


def _told(settings: Settings, files: list[Path] | None) -> registered.Registered | None:
    """Reads what ``files`` say; None without files, if there is a Kafka to follow."""
    if files:
        return registered.read(files)
    demand_listener(settings.kafka)
    return None


def _options(
    *, profile: str, seed: int, registry: list[Path] | None, faults: Path | None, limits: bool
) -> tuple[str, ...]:
    named = ["--profile", profile, "--seed", str(seed)]
    for path in registry or ():
        named += ["--registry", str(path)]
    if faults is not None:
        named += ["--faults", str(faults)]
    return (*named, *(() if limits else ("--no-limits",)))


def _child(settings: Settings, lane: Lane, options: tuple[str, ...], environment: Mapping[str, str]) -> ProcessPlan:
    return ProcessPlan(
        name=f"gateway-{lane.word}",
        arguments=("gateway", "--lane", lane.word, *options),
        environment=environment,
        host=settings.metrics_host,
        port=settings.gateway_metrics(lane),
        log_path=INHERITED,
        final=REFUSALS,
    )


def _print_places(settings: Settings, lanes: list[Lane]) -> None:
    for lane in lanes:
        print(f"  {lane.word:<9} {settings.gateway_url(lane)}   log {log_folder(settings.data_dir, lane)}", flush=True)


def _places(settings: Settings, lanes: list[Lane], asked: int | None) -> dict[Lane, int]:
    """Returns the port of each lane; raises PortTakenError if one of them, or of their metrics, is in use."""
    places = {lane: _port(settings, lane, asked) for lane in lanes}
    metrics = [(settings.metrics_host, settings.gateway_metrics(lane)) for lane in lanes]
    demand_own("this gateway", *((HOST, port) for port in places.values()), *metrics)
    return places


def _port(settings: Settings, lane: Lane, asked: int | None) -> int:
    if asked is not None:
        return asked
    url = urlsplit(settings.gateway_url(lane))
    if url.port is None:
        refuse_start("gateway", f"FANFARE_GATEWAY_{lane.name} names no port; say which with --port")
    return url.port
