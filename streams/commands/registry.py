"""`fanfare registry apply|show`: what operators register, from YAML files to the registry topic and back."""

from pathlib import Path
from typing import Annotated

import typer

from broker.registry.entry_rules import remarks
from broker.registry.fold import Registry
from schemas.registry import Business, Deployment, Entry, key_of
from schemas.topics import business_topics
from streams.commands.console import BootstrapOption, run
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.kafka.admin import describe
from streams.kafka.provision import provision
from streams.registry.apply import Located, RegistrationError, changes, read_files, write
from streams.registry.read import read_registry
from streams.runtime.settings import Settings, load

_ANSWER_S = 10

app = application(
    no_args_is_help=True,
    help="Register businesses, senders, templates, prices and keys, or show what is registered.",
)


@app.command("apply")
def apply_command(
    *,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="YAML files, each a list of entries, or folders of them.")
    ],
    bootstrap: BootstrapOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only look whether the files would be taken.")] = False,
    output: OutputOption = "text",
) -> None:
    """Register the entries of FILE...: all of them, or none if one may not be.

    Makes status.<business> and billing.<business> for each business. Applying a file again changes nothing. Says what
    entries leave to defaults: a template without a business is everybody's, a sender without shares is divided.
    """
    new, total = run("registry apply", _apply(files, bootstrap, check=check))
    for entry in new:
        say(f"{'would register' if check else 'registered'} {key_of(entry)}")
    for remark in remarks(new):
        say(f"note: {remark}")
    text = f"{total} entries: {len(new)} {'would change' if check else 'changed'}, {total - len(new)} as they were"
    row = {"entries": total, "changed": [key_of(entry) for entry in new], "checked_only": check, "notes": remarks(new)}
    show(row, output, text)


@app.command("show")
def show_command(
    *,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="Only this kind, or KIND/ID.")] = None,
    output: OutputOption = "json",
    bootstrap: BootstrapOption = None,
) -> None:
    """Print what is registered, one JSON text a line; as text, each entry's kind and id alone."""
    registry = run("registry show", _read(bootstrap))
    every = entries_of(registry)
    chosen = [entry for entry in every if kind is None or f"{key_of(entry)}/".startswith(f"{kind}/")]
    for entry in chosen:
        show(entry, output, key_of(entry))
    if not chosen:
        kinds = ", ".join(sorted({key_of(entry).partition("/")[0] for entry in every})) or "none"
        refuse("registry show", f"nothing is registered under {kind or 'any kind'}; registered kinds are: {kinds}")


def entries_of(registry: Registry) -> list[Entry]:
    """Everything in ``registry``, by kind and id."""
    return sorted(registry.entries(), key=key_of)


async def _apply(files: list[Path], bootstrap: str | None, *, check: bool) -> tuple[list[Entry], int]:
    settings = load(bootstrap=bootstrap)
    located = read_files(files)
    _demand_shards(located, settings)
    await describe(settings.kafka, deadline_s=_ANSWER_S)
    new = changes(located, await read_registry(settings.kafka))
    if not check:
        await _make_business_topics(located, settings)
        await write(settings.kafka, new)
    return new, len(located)


def _demand_shards(located: list[Located], settings: Settings) -> None:
    for each in located:
        if isinstance(each.entry, Deployment) and each.entry.shards != settings.shards:
            raise RegistrationError(
                each.says(f"shards is {each.entry.shards}, but FANFARE_SHARDS is {settings.shards}: they must agree")
            )


async def _make_business_topics(located: list[Located], settings: Settings) -> None:
    """Makes them before the entries are written: a business that is known has topics to read answers and bills from."""
    businesses = [each.entry.id for each in located if isinstance(each.entry, Business)]
    wanted = [topic for business in businesses for topic in business_topics(business)]
    if wanted:
        await provision(settings.kafka, wanted, shards=settings.shards, dev=settings.dev, say=say)


async def _read(bootstrap: str | None) -> Registry:
    settings = load(bootstrap=bootstrap)
    await describe(settings.kafka, deadline_s=_ANSWER_S)
    return await read_registry(settings.kafka)
