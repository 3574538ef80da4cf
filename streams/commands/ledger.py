"""`fanfare ledger`: keeps the books from the topic ``charges``; ``show`` prints them, ``items`` and ``export`` the bill."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from schemas.ids import business_of, name_of, request_name
from schemas.lanes import Lane
from schemas.status import BilledCharge
from schemas.wire.timestamps import text_of as instant
from streams.commands.console import configured
from streams.commands.start import refuse_start
from streams.commands.terminal import OutputOption, application, money, refuse, say, show
from streams.dev.kafka.errors import ClusterError
from streams.kafka.admin import demand_listener
from streams.kafka.provision import ProvisionError
from streams.kafka.start_check import demand_safe
from streams.ledger.checking import check_all
from streams.ledger.database import Balance, BooksError, balances, oddities
from streams.ledger.itemised import Message, Wanted, itemised, month_of, postings
from streams.ledger.service import keep_books, path_of
from streams.runtime import log
from streams.runtime.ports import demand_own
from streams.runtime.priority import give_way
from streams.runtime.settings import Settings, SettingsError, load
from streams.runtime.signals import stop_asked
from streams.runtime.untyped_json import json_bytes

_MICRO: Final = Decimal(1_000_000)
_HEADS: Final = (
    "business",
    "serial",
    "charged_at",
    "source",
    "id",
    "request",
    "sender",
    "lane",
    "category",
    "market",
    "messages",
    "unit",
    "amount",
    "currency",
    "price_card",
    "labels",
)

BusinessOption = Annotated[str | None, typer.Option(metavar="BUSINESS", help="Only this business.", show_default=False)]
MonthOption = Annotated[
    str | None,
    typer.Option(metavar="YYYY-MM", help="Only what was charged in this month, in UTC.", show_default=False),
]


def show_balances(*, business: BusinessOption = None, output: OutputOption = "text") -> None:
    """Show the balances as they stand. It needs no Kafka and does not disturb the ledger."""
    path = path_of(configured("ledger show"))
    try:
        print_balances(path, business, output)
    except BooksError as error:
        refuse("ledger show", str(error))


def check(*, output: OutputOption = "text") -> None:
    """Check the whole book, closed periods with it, which a start passes by; exit 1 if something was changed.

    It needs no Kafka and does not disturb the ledger. That the book says what was charged is for `fanfare audit` to check.
    """
    try:
        found = check_all(path_of(configured("ledger check")))
    except BooksError as error:
        refuse("ledger check", str(error))
    show(
        found._asdict(),
        output,
        f"{found.postings:,} postings add up, {found.periods:,} closed periods are as they were sealed.",
    )


def print_balances(path: Path, business: str | None, output: str) -> None:
    """Prints the accounts of one business or all, and says what else a reader of the bill should know."""
    rows = balances(path, business)
    if output == "json":
        for row in rows:
            show(row._asdict(), output, "")
    else:
        Console().print(_table(rows))
    conflicts, set_aside = oddities(path)
    if conflicts:
        say(f"{conflicts} messages came again at another price; their first posting stands.")
    if set_aside:
        say(f"{set_aside} records of charges could not be read; a rebuild by a release that can posts them.")


def _table(rows: Sequence[Balance]) -> Table:
    table = Table(box=None, pad_edge=False, caption=None if rows else "Nothing has been charged.")
    for heading in ("business", "account", "messages", "amount", "currency"):
        table.add_column(heading, justify="right" if heading in {"messages", "amount"} else "left", no_wrap=True)
    for row in rows:
        table.add_row(row.business, row.account, f"{row.messages:,}", money(row.amount_micro), row.currency)
    return table


def export(
    *,
    _csv: Annotated[
        bool, typer.Option("--csv", help="Comma-separated values under a line of heads: the default.")
    ] = True,
    business: BusinessOption = None,
    month: MonthOption = None,
    output: OutputOption = "text",
) -> None:
    """Export the bill: a row for each posting, its messages of one request at one price, in the order of posting.

    Amounts are exact decimals in the currency, instants in UTC; labels are JSON. `fanfare ledger items` has each message.
    """
    path = path_of(configured("ledger export"))
    try:
        begin_ms, end_ms = (None, None) if month is None else month_of(month)
        found = postings(path, Wanted(business, begin_ms=begin_ms, end_ms=end_ms))
        if output == "json":
            for charge in found:
                show(charge, output, "")
            return
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_HEADS)
        writer.writerows(_cells(charge) for charge in found)
    except (BooksError, ValueError) as error:
        refuse("ledger export", str(error))


def _cells(charge: BilledCharge) -> Iterator[str | int | Decimal]:
    yield from (charge.business, charge.serial, instant(charge.at_ms), charge.source, charge.id, charge.request)
    yield from (charge.sender, charge.lane, charge.category, charge.market, charge.count)
    yield from (_amount(charge.unit_micro), _amount(charge.amount_micro), charge.currency, charge.card)
    yield json_bytes(msgspec.to_builtins(charge.labels)).decode() if charge.labels else ""


def _amount(micro: int) -> str:
    return f"{Decimal(micro) / _MICRO:.6f}"


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


app = application(subcommand_metavar="[COMMAND] [ARGS]...")
app.command("show")(show_balances)
app.command("items")(items)
app.command("check")(check)
app.command("export")(export)


@app.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    *,
    show: Annotated[bool, typer.Option("--show", hidden=True, help="The same as `fanfare ledger show`.")] = False,
    business: Annotated[
        str | None, typer.Option(metavar="BUSINESS", hidden=True, help="With --show: only this business.")
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka to read.")] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port on loopback for its metrics; that of the settings otherwise."),
    ] = None,
) -> None:
    """Keep the books: post every charge once, into one file, and tell businesses on their billing topics; Ctrl-C stops it.

    The file lies in the data folder. It can be moved away at any time: the next start reads all charges again, and comes to
    the same books.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        settings = load(bootstrap=bootstrap, ledger_metrics_port=port)
        if show:
            print_balances(path_of(settings), business, "text")
            return
        demand_listener(settings.kafka)
        demand_own("the ledger", (settings.metrics_host, settings.ledger_metrics_port))
        log.configure(level=settings.log_level, kafka_prefix=settings.kafka.prefix, program="ledger")
        give_way(settings.ledger_nice)
        uvloop.run(_keep(settings))
    except (BooksError, ClusterError, OSError, ProvisionError, SettingsError) as error:
        if show:
            refuse("ledger", str(error))
        refuse_start("ledger", error)


async def _keep(settings: Settings) -> None:
    stop = stop_asked()
    cluster = await demand_safe(settings, "ledger")
    await keep_books(settings, cluster, stop)
