"""`fanfare webhook`: takes what the gateway reports."""

import asyncio
from typing import Annotated, Final

import typer
import uvloop

from broker.registry.fold import Registry
from schemas import topics
from schemas.facts import Receipts
from schemas.lanes import Lane
from schemas.wire.header import Header, Kind, pack
from schemas.wire.sealed import AddressBook
from streams.commands.start import refuse_start
from streams.commands.terminal import application
from streams.dev.kafka.errors import ClusterError
from streams.dev.kafka.properties import HOST
from streams.gateway.kinds import mappings_of
from streams.gateway.port import ReportMapping
from streams.gateway.webhook import Secrets, Webhook, Written
from streams.kafka.admin import demand_listener
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.provision import ProvisionError
from streams.kafka.set_aside import SetAside
from streams.kafka.start_check import demand_safe
from streams.registry.follow import registry_tail
from streams.runtime import log, zeroes
from streams.runtime.events import Event
from streams.runtime.health import Health
from streams.runtime.http_server import HttpServer
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.ports import demand_own
from streams.runtime.settings import Settings, SettingsError, load, raw
from streams.runtime.signals import stop_asked

_STOP_S: Final = 2
"""For so long batches under way may take when it is stopped."""
_CATCH_UP_S: Final = 30.0
"""For so long reading the registry may stand still; then the process ends and tries again."""

app = application()


def _nothing_to_report(now_ms: int) -> Outgoing:
    """Returns a record that says nothing: its acknowledgement tells Kafka's time.

    Reports are refused if their signatures seem too old, and evidence of a STOP is no later than it was received: by a clock that
    nobody has compared, a webhook might take nothing, or date a STOP before what it takes back.
    """
    head = Header(Kind.RECEIPT, Lane.OTP, 0, 0, now_ms)
    return Outgoing(topics.receipts(Lane.OTP), pack(head, Receipts(())), partition=0)


@app.command()
def webhook(
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka to append to.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port on loopback to listen on; that of the settings otherwise.")
    ] = None,
) -> None:
    """Take the gateway's reports on loopback and append them to Kafka; Ctrl-C stops it.

    Verifies signature and time, sorts receipts into lanes and shards, and appends a STOP before it answers.
    """
    try:
        settings = with_own_secrets("webhook", load(bootstrap=bootstrap, webhook_port=port))
        mappings = mappings_of(settings)
        demand_listener(settings.kafka)
        demand_own("the webhook", (HOST, settings.webhook_port), (settings.metrics_host, settings.webhook_metrics_port))
    except (ClusterError, SettingsError) as error:
        refuse_start("webhook", error)
    log.configure(level=settings.log_level, kafka_prefix=settings.kafka.prefix, program="webhook")
    try:
        uvloop.run(_serve(settings, mappings))
    except (OSError, ProvisionError) as error:
        refuse_start("webhook", error)


async def _serve(settings: Settings, mappings: list[ReportMapping]) -> None:
    await demand_safe(settings, "webhook")
    zeroes.webhook()
    stop = stop_asked()
    time = KafkaTime("webhook")
    producer = ConfirmedProducer(settings.kafka, "webhook", time=time)
    registry = Registry()
    aside = SetAside(settings.kafka, "webhook")
    words = registry_tail(settings.kafka, registry, aside)
    server = Webhook(
        producer,
        mappings,
        secrets=Secrets(
            ref=raw(settings.ref_secret),
            pepper=raw(settings.pepper),
            address_book=AddressBook(settings.address_book),
        ),
        written=Written(settings.shards, settings.record_format),
        now_ms=time.now_ms,
        registry=registry,
    )
    aside.start()
    await asyncio.gather(producer.start(), words.start())
    await producer.confirm([_nothing_to_report(time.now_ms())])
    try:
        await words.caught_up(_CATCH_UP_S)
        async with (
            Health(settings, "webhook", port=settings.webhook_metrics_port),
            HttpServer(
                server.app,
                "webhook",
                (HOST, settings.webhook_port),
                stop_s=_STOP_S,
                unreadable=server.unreadable_head,
            ),
        ):
            await stop.wait()
    finally:
        await words.stop()
        await aside.stop()
        await producer.stop()
    log.log(Event.STOPPED, component="webhook")
