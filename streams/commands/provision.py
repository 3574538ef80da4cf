"""`fanfare provision`: makes the topics that Fanfare needs, and refuses those that would lose records."""

import typer

from schemas.topics import catalogue
from streams.commands.console import BootstrapOption, run, say
from streams.kafka.admin import describe
from streams.kafka.provision import provision
from streams.runtime.settings import load

_ANSWER_S = 10

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(*, bootstrap: BootstrapOption = None) -> None:
    """Make what is missing of Fanfare's topics, wait for their leaders, check the others.

    Nothing that exists is changed: what is unsafe is refused with a sentence (in development, only said). Topics of
    businesses (status.<business>, billing.<business>) are made when the business is registered. May be run again at any time.
    """
    made = run("provision", _provision(bootstrap))
    print(f"{len(catalogue())} topics: {len(made)} made, {len(catalogue()) - len(made)} were there")


async def _provision(bootstrap: str | None) -> tuple[str, ...]:
    settings = load(bootstrap=bootstrap)
    await describe(settings.kafka, deadline_s=_ANSWER_S)
    return await provision(settings.kafka, catalogue(), shards=settings.shards, dev=settings.dev, say=say)
