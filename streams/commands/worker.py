"""`fanfare worker`: plan, deliver and settle for one lane."""

from typing import Annotated

import typer

from schemas.lanes import LANE_WORDS, Lane
from streams.commands.start import refuse_start
from streams.commands.terminal import application
from streams.dev.kafka.errors import ClusterError
from streams.kafka.admin import demand_listener
from streams.kafka.faust_app.app import run_worker
from streams.kafka.faust_app.selftest import KernelMismatchError, verify
from streams.runtime import log
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.ports import demand_own
from streams.runtime.priority import give_way
from streams.runtime.settings import SettingsError, load
from streams.worker import pipeline

app = application()


@app.command()
def worker(
    lane: Annotated[
        str,
        typer.Option(metavar="LANE", help=f"{LANE_WORDS}: urgencies that never wait for one another."),
    ],
    slot: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Which of the lane's places this process takes, 0 if not given; one process each."
        ),
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka to work on.")] = None,
) -> None:
    """Work for one lane until SIGTERM: decide about requests, hand messages to the gateway, follow what became of them.

    Start one process a lane, more with rising --slot to share its shards. A process that ends itself says why in its last
    line of log; start it again in the same slot, and it goes on where the journal stands.
    """
    try:
        settings = with_own_secrets("worker", load(slot=slot, bootstrap=bootstrap))
        wanted = Lane.of(lane)
        verify()
        demand_listener(settings.kafka)
        demand_own("this slot's worker", (settings.metrics_host, settings.worker_metrics(wanted)))
    except KeyError:
        refuse_start("worker", f"there is no lane {lane!r}; there are {LANE_WORDS}")
    except (ClusterError, SettingsError, KernelMismatchError) as error:
        refuse_start("worker", error)
    log.configure(
        level=settings.log_level,
        kafka_prefix=settings.kafka.prefix,
        program="worker",
        lane=wanted.word,
        slot=settings.slot,
    )
    give_way(settings.nice_of(wanted))
    try:
        kernel = pipeline.worker(settings, wanted)
    except SettingsError as error:
        refuse_start("worker", error)
    run_worker(kernel)
