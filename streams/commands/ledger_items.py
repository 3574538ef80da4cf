"""`fanfare ledger items`: the bill itemised to the message, from the ledger's file."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer

from schemas.ids import Lane, business_of, name_of, request_name
from schemas.wire.timestamps import text_of as instant
from streams.commands.console import configured
from streams.commands.ledger_book import BusinessOption, MonthOption
from streams.commands.terminal import OutputOption, money, refuse, say, show
from streams.ledger.database import BooksError
from streams.ledger.itemised import Message, Wanted, itemised, month_of
from streams.ledger.service import path_of

_NAME_CHARS: Final = 26


def items(
    *,
    request: Annotated[
        str | None,
        typer.Argument(
            metavar="REQUEST",
            help="Only one request: its 26 letters, or its event's source with ID after it.",
            show_default=False,
        ),
    ] = None,
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)] = None,
    business: BusinessOption = None,
    month: MonthOption = None,
    output: OutputOption = "text",
) -> None:
    """Itemise the bill: a line for each charged message, in the order of posting, and what they come to.

    A message is named by request, shard and rank, as its statuses name it. Who it went to is not in the book: statuses of
    explicit recipients say it, and `fanfare explain`. It needs no Kafka and does not disturb the ledger.
    """
    try:
        wanted = _wanted(request, event_id, business, month)
        _print(path_of(configured("ledger items")), wanted, output)
    except (BooksError, ValueError) as error:
        refuse("ledger items", str(error))


def _wanted(request: str | None, event_id: str | None, business: str | None, month: str | None) -> Wanted:
    """Converts what was asked for; ``ValueError`` with a sentence if it is nothing."""
    begin_ms, end_ms = (None, None) if month is None else month_of(month)
    return Wanted(business, frozenset(_names(request, event_id)), begin_ms, end_ms)


def _names(request: str | None, event_id: str | None) -> list[bytes]:
    if request is None:
        return []
    if not request.startswith("//") and len(request) == _NAME_CHARS:
        if event_id is not None:
            raise ValueError("a request's name stands for SOURCE and ID; nothing may follow it")
        return [name_of(request)]
    business_of(request)
    if event_id is None:
        raise ValueError(f"which event of {request}? Its id follows the source")
    return [request_name(lane, request, event_id) for lane in Lane]


def _print(path: Path, wanted: Wanted, output: str) -> None:
    charged: set[tuple[str, int]] = set()
    messages = 0
    amount_micro: Counter[str] = Counter()
    for message in itemised(path, wanted):
        show(message, output, _line(message))
        charged.add((message.business, message.serial))
        messages += 1
        amount_micro[message.currency] += message.unit_micro
    sums = ", ".join(f"{money(micro)} {currency}" for currency, micro in sorted(amount_micro.items()))
    say(f"{_counted(messages, 'message')} in {_counted(len(charged), 'posting')}{f': {sums}' if sums else ''}")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _line(message: Message) -> str:
    event = f"{message.source} {message.id}" if message.source else message.request
    what = f"{message.category} to {message.market}"
    price = f"{money(message.unit_micro)} {message.currency}"
    return (
        f"{message.business} {message.serial:>6}  {instant(message.at_ms)}  {event}  "
        f"shard {message.shard} rank {message.rank}  {what}  {price}"
    )
