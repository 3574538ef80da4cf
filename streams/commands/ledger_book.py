"""`fanfare ledger show` and `export`: balances as a table, and every posting of the bill for a spreadsheet."""

import csv
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from schemas.status import BilledCharge
from schemas.wire.timestamps import text_of as instant
from streams.commands.console import configured
from streams.commands.terminal import OutputOption, money, refuse, say, show
from streams.ledger.database import Balance, BooksError, balances, oddities
from streams.ledger.itemised import Wanted, month_of, postings
from streams.ledger.service import path_of
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
