"""`fanfare intake`: takes events over HTTP, from businesses without Kafka."""

import asyncio
from typing import Annotated, Final

import typer
import uvloop

from schemas import topics
from streams.commands.start import refuse_start
from streams.commands.terminal import application
from streams.dev.kafka.errors import ClusterError
from streams.intake.admission import DevKeysError, Directory, Room
from streams.intake.server import ACKNOWLEDGE_S, Intake
from streams.kafka.admin import demand_listener
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.provision import ProvisionError
from streams.kafka.publisher import Publisher, PublishError
from streams.kafka.set_aside import SetAside
from streams.kafka.start_check import demand_safe
from streams.kafka.tail import REGISTRY_WAIT_MS, Tail
from streams.runtime import log
from streams.runtime.events import Event
from streams.runtime.health import Health
from streams.runtime.http_server import HttpServer
from streams.runtime.ports import demand_own
from streams.runtime.settings import Settings, SettingsError, load
from streams.runtime.signals import stop_asked

_CATCH_UP_S: Final = 30.0
_STALE_MS: Final = 30_000

app = application()


@app.command()
def intake(
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka to append to.")] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Interface to listen on; loopback if not given.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port to listen on; that of the settings otherwise.")
    ] = None,
) -> None:
    """Take CloudEvents at POST /v1/events?lane=LANE and append them to Kafka; Ctrl-C stops it.

    Content types: application/cloudevents+json (one event), application/cloudevents-batch+json (up to 256 in 1 MB, all or none),
    or application/json with ce-* headers. Authorization: Bearer KEY says whose they are; the registry holds the SHA-256 of KEY
    (kind api_key: id, business, sha256, active). Make one: openssl rand -hex 32; printf %s KEY | sha256sum.

    202 with name, lane and status_topic comes once Kafka has acknowledged, for a batch in its order; anything else is
    application/problem+json with every error (place, reason, detail) and nothing was taken, but for 503, where that is not known.
    429, 503 and no answer: send the same again after Retry-After; an id is accepted once. TLS is a proxy's to add.
    """
    try:
        settings = load(bootstrap=bootstrap, intake_host=host, intake_port=port)
        demand_listener(settings.kafka)
        demand_own(
            "intake",
            (settings.intake_host, settings.intake_port),
            (settings.metrics_host, settings.intake_metrics_port),
        )
    except (ClusterError, SettingsError) as error:
        refuse_start("intake", error)
    log.configure(level=settings.log_level, kafka_prefix=settings.kafka.prefix, program="intake")
    try:
        uvloop.run(_run(settings))
    except (DevKeysError, OSError, ProvisionError, PublishError) as error:
        refuse_start("intake", error)


async def _run(settings: Settings) -> None:
    stop = stop_asked()
    await demand_safe(settings, "intake")
    aside = SetAside(settings.kafka, "intake")
    directory = Directory(aside, dev=settings.dev)
    registry = Tail(settings.kafka, topics.REGISTRY, directory.apply, wait_ms=REGISTRY_WAIT_MS)
    time = KafkaTime("intake")
    publisher = Publisher(settings.kafka, "intake", time=time)
    await publisher.start()
    aside.start()
    try:
        await registry.start()
        await registry.caught_up(_CATCH_UP_S)
        directory.demand_own_keys()
        await _serve(
            settings,
            Intake(publisher, directory, shards=settings.shards, now_ms=time.now_ms, room=Room()),
            registry,
            stop,
        )
    finally:
        await registry.stop()
        await aside.stop()
        await publisher.stop()
    log.log(Event.STOPPED, component="intake")


async def _serve(settings: Settings, server: Intake, registry: Tail, stop: asyncio.Event) -> None:
    ready = {"registry": lambda: _stale(registry)}
    async with (
        Health(settings, "intake", port=settings.intake_metrics_port, ready=ready),
        HttpServer(
            server.app,
            "intake",
            (settings.intake_host, settings.intake_port),
            stop_s=ACKNOWLEDGE_S,
            unreadable=server.unreadable_head,
        ),
    ):
        await stop.wait()


def _stale(registry: Tail) -> str | None:
    age_ms = registry.fresh_ms(0)
    return None if age_ms < _STALE_MS else f"was last read to its end {age_ms // 1000} s ago"
