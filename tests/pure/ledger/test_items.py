"""`fanfare ledger items`: each charged message once, chosen by business, request and month, and what they come to."""

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from schemas.ids import request_name, text_of
from schemas.lanes import Lane
from streams.commands.ledger import app
from streams.ledger.database import FILE, Books, balances
from streams.ledger.itemised import month_of
from tests.pure.ledger.test_books import REQUEST, record

OFFER = request_name(Lane.CAMPAIGN, "//bank/offers", "offer-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a deployment whose ledger has posted five messages."""
    with Books(tmp_path / FILE) as books:
        books.post(0, [record(0, [1, 2]), record(1, [2, 3], shard=4), record(2, [2, 5])])
        books.post(1, [record(7, [0], business="bank", request=OFFER, unit_micro=2_000_000)])
    return tmp_path


def items_in(folder: Path, *arguments: str) -> Result:
    """Runs the command on a data folder."""
    return CliRunner().invoke(app, ["items", *arguments], env={"FANFARE_DATA_DIR": str(folder)})


ROWS: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    (
        "all, by business, in the order of posting",
        (),
        ["bank 0/0", "shop 0/1", "shop 0/2", "shop 4/2", "shop 4/3", "shop 0/5"],
    ),
    ("of one business", ("--business", "bank"), ["bank 0/0"]),
    ("of one request", (text_of(REQUEST),), ["shop 0/1", "shop 0/2", "shop 4/2", "shop 4/3", "shop 0/5"]),
    ("of one event", ("//bank/offers", "offer-1"), ["bank 0/0"]),
    ("of another event", ("//bank/offers", "offer-2"), []),
    ("of a month", ("--month", "1970-01", "--business", "bank"), ["bank 0/0"]),
    ("of a month without charges", ("--month", "1970-02"), []),
)


@pytest.mark.parametrize(("row", "arguments", "items"), ROWS, ids=[row[0] for row in ROWS])
def test_each_message_that_is_asked_for_is_a_line(
    folder: Path, row: str, arguments: tuple[str, ...], items: list[str]
) -> None:
    """Named by shard and rank, with its posting's serial and price; what was charged twice stands once."""
    result = items_in(folder, *arguments, "-o", "json")
    lines = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [f"{line['business']} {line['shard']}/{line['rank']}" for line in lines] == items
    assert result.stderr.startswith(f"{len(items):,} message{'' if len(items) == 1 else 's'} in ")
    assert all(line["serial"] >= 1 and line["unit_micro"] > 0 and line["currency"] == "USD" for line in lines)


def test_the_items_come_to_the_book(folder: Path) -> None:
    """To the micro-unit, by business."""
    lines = [msgspec.json.decode(line) for line in items_in(folder, "-o", "json").stdout.splitlines()]
    sums: Counter[str] = Counter()
    for line in lines:
        sums[line["business"]] += line["unit_micro"]
    assert sums == {row.business: row.amount_micro for row in balances(folder / FILE) if row.account == "receivable"}


def test_people_read_lines_and_the_sum(folder: Path) -> None:
    """Amounts are exact; the request stands there by its name if its event is not known."""
    result = items_in(folder, "--business", "bank")
    assert result.stdout == (
        f"bank      1  1970-01-01T00:00:00.099Z  {text_of(OFFER)}  shard 0 rank 0  utility to 49  2.000000 USD\n"
    )
    assert result.stderr == "1 message in 1 posting: 2.000000 USD\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("//bank/offers",), "which event of //bank/offers? Its id follows the source"),
        ((text_of(REQUEST), "x"), "nothing may follow it"),
        (("offers",), "source must look like //<business>/<system>"),
        (("--month", "November"), "'November' is no month: write it like 2026-11"),
        (("-o", "xml"), "there is no form 'xml'; there are: text, json"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_sentence(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    """Status 1, and nothing on standard output."""
    result = items_in(folder, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in result.stderr


def test_without_books_there_is_nothing_to_itemise(tmp_path: Path) -> None:
    """It says what is missing, and makes no file."""
    result = items_in(tmp_path)
    assert (result.exit_code, "there is no ledger" in result.stderr) == (1, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("month", "span"),
    [("1970-01", (0, 31 * 86_400_000)), ("1971-12", (60_393_600_000, 63_072_000_000))],
)
def test_a_month_ends_where_the_next_begins(month: str, span: tuple[int, int]) -> None:
    """In UTC, over the end of the year too."""
    assert month_of(month) == span


def test_the_bill_is_exported_for_a_spreadsheet(folder: Path) -> None:
    """A row for each posting under a line of heads; amounts are exact, and come to those of the book."""
    result = CliRunner().invoke(app, ["export", "--csv", "--business", "shop"], env={"FANFARE_DATA_DIR": str(folder)})
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["serial"], row["messages"]) for row in rows] == [("1", "2"), ("2", "2"), ("3", "1")]
    (receivable,) = (row for row in balances(folder / FILE, "shop") if row.account == "receivable")
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(receivable.amount_micro) / 1_000_000


def test_balances_are_shown_as_json(folder: Path) -> None:
    """An account a line, as they stand."""
    result = CliRunner().invoke(app, ["show", "-o", "json"], env={"FANFARE_DATA_DIR": str(folder)})
    lines = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert lines == [row._asdict() for row in balances(folder / FILE)]
