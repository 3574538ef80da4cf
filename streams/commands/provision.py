"""`fanfare provision`: makes the topics that Fanfare needs, and refuses those that would lose records."""

from typing import Annotated

import typer

from schemas.topics import catalogue
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import OutputOption, application, say, show
from streams.kafka.admin import describe
from streams.kafka.grants import commands, grants
from streams.kafka.provision import provision
from streams.kafka.scan import ScanError
from streams.registry.read import read_registry
from streams.runtime.kafka_access import Kafka
from streams.runtime.settings import load

_ANSWER_S = 10

app = application()


@app.command()
def main(
    *,
    bootstrap: BootstrapOption = None,
    print_acls: Annotated[
        bool, typer.Option("--print-acls", help="Print the least grants as kafka-acls.sh commands instead.")
    ] = False,
    business: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BUSINESS", help="With --print-acls, grants of this business; without, of all registered."
        ),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Make what is missing of Fanfare's topics, wait for their leaders, check the others.

    Nothing that exists is changed: what is unsafe is refused with a sentence (in development, only said). Topics of
    businesses (status.<business>, billing.<business>) are made when the business is registered. May be run again at any time.

    With --print-acls nothing is made: it prints the least that each process (User:worker-otp, User:webhook, ...), an operator and
    each business (User:business-...) need; put your own names of users in their place. With --business it asks no Kafka: it needs
    neither a login nor a grant. Without, the registry says which businesses there are.
    """
    if print_acls:
        kafka = configured("provision", bootstrap).kafka
        for line in commands(grants(kafka, business or run("provision", _registered(kafka))), str(kafka)):
            show({"command": line}, output, line)
        return
    made = run("provision", _provision(bootstrap))
    text = f"{len(catalogue())} topics: {len(made)} made, {len(catalogue()) - len(made)} were there"
    show({"topics": len(catalogue()), "made": made}, output, text)


async def _registered(kafka: Kafka) -> list[str]:
    """Returns the registered businesses; says so if there is none to print grants for."""
    try:
        found = sorted((await read_registry(kafka)).businesses)
        why = "none is registered"
    except ScanError as error:
        found, why = [], str(error)
    if not found:
        say(f"note: without grants of businesses, for {why}; name them with --business")
    return found


async def _provision(bootstrap: str | None) -> tuple[str, ...]:
    settings = load(bootstrap=bootstrap)
    await describe(settings.kafka, deadline_s=_ANSWER_S)
    return await provision(
        settings.kafka, catalogue(time_scale=settings.time_scale), shards=settings.shards, dev=settings.dev, say=say
    )
