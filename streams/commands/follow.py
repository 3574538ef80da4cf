"""`fanfare follow BUSINESS`: what a business is told and charged, as it comes, until Ctrl-C."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
import typer

from schemas.status import BilledCharge, Status
from schemas.wire.timestamps import text_of as instant
from streams.client import Client
from streams.client.progress import CLOSED, REFUSED
from streams.commands.console import BootstrapOption, configured, run, since_ms
from streams.commands.statuses import Printer
from streams.commands.terminal import OutputOption, application, money, refuse, say, show
from streams.kafka.admin import describe
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.signals import first_error

_T = TypeVar("_T")
_ANSWER_S: Final = 10

app = application()


class Kind(StrEnum):
    """Lists what a business can follow."""

    STATUS = "status"
    BILLING = "billing"


@app.command()
def main(
    *,
    business: Annotated[str, typer.Argument(metavar="BUSINESS", help="Whose statuses and bill.", show_default=False)],
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Begin there: 30m, 2h, 7d ago, or an RFC 3339 instant.", show_default="now"),
    ] = None,
    only: Annotated[
        Kind | None, typer.Option(metavar="KIND", help="status or billing alone.", show_default=False)
    ] = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Follow the statuses of a business's requests and what it is charged for them, as they come; Ctrl-C ends it.

    A status is of a whole request: counts of messages by state. A charge is one posting of the bill.
    """
    try:
        begin_ms = None if since is None else since_ms(since, clock.now_ms())
    except ValueError as error:
        refuse("follow", f"--since {since}: {error}")
    kinds = list(Kind) if only is None else [only]
    run("follow", _follow(configured("follow", bootstrap).kafka, business, begin_ms, kinds, output))


async def _follow(address: Address, business: str, begin_ms: int | None, kinds: list[Kind], output: str) -> None:
    await describe(address, deadline_s=_ANSWER_S)
    printer = Printer(output)

    def status(each: Status) -> None:
        printer.tell(each, instant(each.at_ms))
        if each.state in (CLOSED, REFUSED):
            printer.forget(each.request)

    def charge(each: BilledCharge) -> None:
        show({"kind": "charge", **msgspec.to_builtins(each)}, output, charge_line(each))

    async with Client(address) as client:
        if business not in (await client.registry()).businesses:
            refuse("follow", f"{business} is not registered; `fanfare registry show business` lists those that are")
        say(f"following {' and '.join(kinds)} of {business}; Ctrl-C ends it")
        with first_error():
            async with asyncio.TaskGroup() as together:
                if Kind.STATUS in kinds:
                    together.create_task(_each(client.follow(business, since=begin_ms), status))
                if Kind.BILLING in kinds:
                    together.create_task(_each(client.follow_bill(business, since=begin_ms), charge))


async def _each(items: AsyncIterator[_T], told: Callable[[_T], None]) -> None:
    async for item in items:
        told(item)


def charge_line(charge: BilledCharge) -> str:
    """Returns the line about a posting: when, how many messages of which request, and what they cost."""
    what = f"{charge.count:,} {charge.category} message{'' if charge.count == 1 else 's'} to {charge.market}"
    event = f"{charge.id} of {charge.source}" if charge.source else charge.request
    amount = f"{money(charge.amount_micro)} {charge.currency}"
    return f"charged    {instant(charge.at_ms)}  no. {charge.serial}  {event}  {what}  {amount}"
