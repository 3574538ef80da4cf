"""`fanfare send`: one notification from the command line, without a file; then what becomes of it."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import typer

from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.request import Notification, Params, To
from streams.client import Client, Event, Head, notification, to_list, to_people
from streams.commands.console import BootstrapOption, configured, run, span_ms
from streams.commands.event_file import SealOption, codes_of
from streams.commands.lanes import lane_of_template
from streams.commands.statuses import ACCEPTED, REFUSED_STATUS, Follower, fault_row, fault_text, published_text
from streams.commands.terminal import OutputOption, application, refuse, show
from streams.runtime.kafka_access import Address

_SYSTEM: Final = "fanfare-send"
"""The system in the ``source`` of the events."""

ListOption = Annotated[
    str | None, typer.Option("--list", metavar="NAME", help="Instead: everybody on this list.", show_default=False)
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=TEXT", help="Fills a slot of the template.", show_default=False),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", help="The event's id: sent again under it, it counts once.", show_default="a new one"
    ),
]
LifetimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPAN", help="How long it is worth telling: 90s, 30m, 6h, 7d.", show_default="5m, 6h or 7d by lane"
    ),
]

app = application()


class Wanted(NamedTuple):
    """Holds what is to be said, before the registry tells by whom and in which lane."""

    content: Notification
    business: str | None
    id: str
    subject: str | None
    lifetime_ms: int | None
    """Milliseconds for which it is worth telling; None: the lane's default."""
    codes: Mapping[str, str]


@app.command()
def main(
    *,
    template: Annotated[str, typer.Option(metavar="ID", help="What is said; its category decides the lane.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Whom to tell: tel:+491701234567; may be given again.", show_default=False
        ),
    ] = None,
    audience: ListOption = None,
    params: ParamOption = None,
    seal: SealOption = None,
    business: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Who sends, if the template does not tell.", show_default=False),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(metavar="ID", help="From which number; the business's default otherwise.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is about: parcel/PX-1.", show_default=False)
    ] = None,
    event_id: IdOption = None,
    lifetime: LifetimeOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="A test: reaches registered test numbers only, is never billed.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to print statuses; 0: not.")] = 15.0,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Send one notification, print its request's name, and what becomes of it.

    The business is the template's own, or the only one that is registered; the lane follows from the template. What Fanfare would
    refuse is told with every fault, and not sent. Exit status: 0 accepted, 1 refused or not sent, 3 no answer in time.
    """
    try:
        content = Notification(template, _target(to or [], audience), sender=sender, params=_params(params), test=test)
        lifetime_ms = None if lifetime is None else _lifetime_ms(lifetime)
        wanted = Wanted(content, business, event_id or str(uuid.uuid4()), subject, lifetime_ms, codes_of(seal))
    except ValueError as error:
        refuse("send", str(error))
    raise typer.Exit(run("send", _send(configured("send", bootstrap).kafka, wanted, wait_s=wait, output=output)))


def _target(people: list[str], audience: str | None) -> To:
    if bool(people) == (audience is not None):
        raise ValueError("say whom: --to ADDRESS, or --list NAME")
    return to_people(*people) if audience is None else to_list(audience)


def _params(pairs: list[str] | None) -> Params:
    found = [pair.partition("=") for pair in pairs or ()]
    if not all(name and equals for name, equals, _ in found):
        raise ValueError("-p wants NAME=TEXT")
    return {name: text for name, _, text in found}


def _lifetime_ms(text: str) -> int:
    found_ms = span_ms(text)
    if found_ms is None:
        raise ValueError(f"--lifetime {text}: give 90s, 30m, 6h or 7d")
    return found_ms


async def _send(address: Address, wanted: Wanted, *, wait_s: float, output: str) -> int:
    async with Client(address) as client:
        registry = await client.registry()
        try:
            lane, event = event_of(wanted, registry)
        except ValueError as error:
            refuse("send", str(error))
        sealed = await client.seal(lane, event, wanted.codes) if wanted.codes else event
        found = client.check(lane, sealed, registry=registry)
        for fault in found:
            show({"kind": "faulty", **fault_row(fault)}, output, f"faulty     {fault_text(fault)}")
        if found:
            return REFUSED_STATUS
        sent = await client.publish(lane, sealed)
        row = {"kind": "published", "id": sent.id, "request": sent.request, "lane": lane.word, "source": sent.source}
        show(row, output, published_text(sent, address))
        return await Follower(address, [sent], output=output).run(wait_s) if wait_s else ACCEPTED


def event_of(wanted: Wanted, registry: Registry) -> tuple[Lane, Event]:
    """Returns the lane and the event; ``ValueError`` if the registry does not tell who sends or there is no such template."""
    template = wanted.content.template
    business = wanted.business or business_for(registry, template)
    lane = lane_of_template(registry, business, template)
    lifetime_ms = wanted.lifetime_ms or lane.rules.usual_life_ms
    head = Head(source=f"//{business}/{_SYSTEM}", id=wanted.id, subject=wanted.subject, lifetime_ms=lifetime_ms)
    return lane, notification(head, wanted.content)


def business_for(registry: Registry, template: str) -> str:
    """Returns the business whose template it is, or the only one there is; ``ValueError`` with those to choose from."""
    owners = [owner for owner, name in registry.templates if name == template and owner != "*"]
    candidates = owners or list(registry.businesses)
    if len(candidates) == 1:
        return candidates[0]
    known = ", ".join(sorted(candidates)) or "none is registered"
    raise ValueError(f"which business? The template is not one's alone; --business ID, of: {known}")
