"""Everything on one machine: Kafka, topics, registry, gateway, webhook, ledger, workers, intake. Stopped in reverse order.

What ``fanfare dev``, ``fanfare demo`` and the fault tests run on. Processes are called

    ledger   webhook   gateway-campaign  gateway-otp  gateway-update   worker-otp-0  worker-update-0  worker-campaign-0
    intake

(with -1, -2 ... for further slots). Each starts after those that take what it gives, so that a stop in reverse leaves
nothing without a taker.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.lanes import Lane
from schemas.registry import Business
from schemas.topics import catalogue
from streams.dev.kafka.cluster import READY_DEADLINE_S, Cluster, start_cluster
from streams.dev.kafka.errors import ClusterError
from streams.dev.stack.ports import demand_places, free_places, in_slot
from streams.dev.stack.running_file import Register
from streams.kafka.admin import demand_listener, wait_ready
from streams.kafka.provision import provision
from streams.registry.apply import Located, changes, read_files, write
from streams.registry.development import DEVELOPMENT
from streams.registry.read import read_registry
from streams.runtime import settings as environment
from streams.runtime.data_format import STACK, open_kept
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Kafka
from streams.runtime.ports import all_free, free_ports
from streams.runtime.settings import SECRETS, Settings, variable_of
from streams.runtime.supervisor import Process, ProcessPlan

KAFKA_PORTS: Final = (9092, 9093, 9094)
"""Where clients look for Kafka; other free ports are taken where one of these is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Describes a stack to start. ``fields`` are settings of every process (``settle_ms=5_000``) and win over the environment."""

    data: Path
    """Holds Kafka's records, the ledger, the gateway's logs and ``logs/``; whatever is there is gone on with."""
    bootstrap: str | None = None
    """A Kafka that runs already; None starts one."""
    nodes: int = 1
    slots: int = 1
    """Workers a lane."""
    free_ports: bool = False
    registry: Path = DEVELOPMENT
    gateway_options: tuple[str, ...] = ()
    """Of ``fanfare gateway``: ``("--profile", "online", "--faults", "FILE")``."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    fields_of: Callable[[str], Mapping[str, Any]] = field(default=lambda _name: {})
    """Settings of one process, by its name, that win over ``fields``: who it is in a secured Kafka."""
    restarts_a_minute: int = 6


class Stack:
    """A running deployment; made by :func:`running`, or started and stopped by hand."""

    def __init__(self, plan: StackPlan, *, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.settings: Settings = environment.load()
        self.cluster: Cluster | None = None
        """The Kafka that was started here; None if it is somebody else's."""
        self.processes: dict[str, Process] = {}
        """By name, in the order of starting."""
        self.businesses: tuple[str, ...] = ()
        self._overrides: dict[str, Any] = {}
        self._register: Register | None = None
        self._say = say

    @property
    def kafka(self) -> Kafka:
        """The way into its Kafka."""
        return self.settings.kafka

    @property
    def bootstrap(self) -> str:
        """Kafka's addresses."""
        return self.settings.bootstrap

    async def start(self) -> None:
        """Return when every process is ready. Raises what stands in the way, with nothing left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything, the last started first; nothing that was acknowledged is lost. May be called twice."""
        for group in reversed(self._groups()):
            await asyncio.gather(*(process.stop() for process in group))
        if self.cluster is not None:
            cluster, self.cluster = self.cluster, None
            await cluster.stop()
        if self._register is not None:
            register, self._register = self._register, None
            register.close()

    def environment(self, **fields: str | int | bool | Path) -> dict[str, str]:
        """The environment of any command that is to work on this stack. Holds secrets."""
        return environment.child_environment(**{**self._overrides, **fields})

    @property
    def unusual(self) -> dict[str, Any]:
        """Settings of this stack that other commands would not come to by themselves, without secrets."""
        usual = environment.load()
        return {
            name: value
            for name, value in self._overrides.items()
            if name not in SECRETS
            and (now := getattr(self.settings, name)) != (then := getattr(usual, name))
            and not (isinstance(then, Path) and now == then.absolute())
        }

    # -- starting

    async def _start(self) -> None:
        plan = self.plan
        data = plan.data.absolute()
        located = read_files([plan.registry])
        places = free_places(plan.slots) if plan.free_ports else {}
        self._overrides = {**places, **plan.fields, "data_dir": data}
        self._load()
        open_kept(data, STACK, records=self.settings.record_format)
        self._register = Register(data)
        demand_places(self.settings, plan.slots)
        await self._kafka(data)
        self._load()
        await self._prepare(located)
        self.processes = {process.name: process for process in self._planned()}
        *takers, workers, intake = self._groups()
        for wave in ([process for group in takers for process in group], [*workers, *intake]):
            self._say("starting " + ", ".join(process.name for process in wave))
            for process in wave:
                await process.start()
            await asyncio.gather(*(process.ready() for process in wave))

    def _load(self) -> None:
        self.settings = environment.load(**self._overrides)

    async def _kafka(self, data: Path) -> None:
        plan = self.plan
        if plan.bootstrap is not None:
            self._overrides["bootstrap"] = plan.bootstrap
            self._load()
            demand_listener(self.kafka)
            await wait_ready(self.kafka, brokers=1, deadline_s=READY_DEADLINE_S)
            return
        if (protocol := self.kafka.security_protocol) != "PLAINTEXT":
            raise ClusterError(
                f"The Kafka that would be started here is plain, and {variable_of('kafka_security_protocol')} is {protocol}: "
                f"unset it, or name your Kafka by --bootstrap or {variable_of('bootstrap')}."
            )
        ports = None if plan.free_ports else _usual_ports(plan.nodes)
        self.cluster = await start_cluster(nodes=plan.nodes, data=data / "kafka", ports=ports, say=self._say)
        self._overrides["bootstrap"] = self.cluster.bootstrap

    async def _prepare(self, located: list[Located]) -> None:
        settings = self.settings
        entries = [one.entry for one in located]
        self.businesses = tuple(entry.id for entry in entries if isinstance(entry, Business))
        wanted = catalogue(self.businesses, time_scale=settings.time_scale)
        made = await provision(settings.kafka, wanted, shards=settings.shards, dev=settings.dev, say=_unsaid)
        new = changes(located, await read_registry(settings.kafka))
        await write(settings.kafka, new)
        self._say(f"{len(wanted)} topics ({len(made)} new), {len(entries)} registry entries ({len(new)} new)")

    # -- what there is

    def _planned(self) -> list[Process]:
        settings = self.settings
        rows: list[tuple[str, tuple[str, ...], int]] = [
            ("ledger", ("ledger",), settings.ledger_metrics_port),
            ("webhook", ("webhook",), settings.webhook_metrics_port),
        ]
        rows += [
            (
                f"gateway-{lane.word}",
                ("gateway", "--lane", lane.word, *self.plan.gateway_options),
                settings.gateway_metrics(lane),
            )
            for lane in Lane
        ]
        rows += [
            (
                f"worker-{lane.word}-{slot}",
                ("worker", "--lane", lane.word, "--slot", str(slot)),
                in_slot(settings, slot).worker_metrics(lane),
            )
            for slot in range(self.plan.slots)
            for lane in Lane
        ]
        rows.append(("intake", ("intake",), settings.intake_metrics_port))
        return [self._process(name, arguments, port) for name, arguments, port in rows]

    def _process(self, name: str, arguments: tuple[str, ...], port: int) -> Process:
        plan = ProcessPlan(
            name=name,
            arguments=arguments,
            environment=self.environment(**self.plan.fields_of(name)),
            host=self.settings.metrics_host,
            port=port,
            log_path=self.settings.data_dir / "logs" / f"{name}.log",
            restarts_a_minute=self.plan.restarts_a_minute,
            final=frozenset({Exit.REFUSED_START, Exit.TRIMMED}),
        )
        return Process(plan, say=self._say, changed=self._changed)

    def _changed(self) -> None:
        if self._register is not None:
            self._register.write(self.processes.values())

    def _groups(self) -> list[list[Process]]:
        """Those that take before those that give."""
        kinds = ("ledger", "webhook", "gateway", "worker", "intake")
        return [[each for each in self.processes.values() if each.name.startswith(kind)] for kind in kinds]


@contextlib.asynccontextmanager
async def running(plan: StackPlan, *, say: Callable[[str], None]) -> AsyncIterator[Stack]:
    """Lend a stack that runs; it is stopped at the end. Raises what :meth:`Stack.start` raises."""
    stack = Stack(plan, say=say)
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()


def _usual_ports(nodes: int) -> list[int]:
    usual = list(KAFKA_PORTS[:nodes])
    return usual if all_free(usual) else free_ports(nodes)


def _unsaid(_line: str) -> None:
    """Drops the warning that a node keeps a single copy of everything: the first line of a development stack has said so."""
