"""`fanfare campaign` and `fanfare control`: what cannot be meant is refused before any Kafka is asked; rows as printed."""

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from schemas.lanes import Lane
from schemas.status import Status
from streams.commands import campaign, control
from streams.operate.control_requests import Accepted

KNOWN = Accepted(
    request="a" * 26,
    lane=Lane.CAMPAIGN,
    business="shop",
    source="//shop/crm",
    id="offer-1",
    subject="sale",
    list="offers",
    decided_ms=1,
    expires_ms=1_790_000_000_000,
)


def run(app: typer.Typer, *arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, list(arguments))


MISTAKES: dict[str, tuple[typer.Typer, tuple[str, ...], str]] = {
    "no target": (campaign.app, ("pause",), "which request?"),
    "an id alone": (campaign.app, ("pause", "offer-1"), "is no request of 26 letters"),
    "a source that is none": (campaign.app, ("cancel", "shop", "offer-1"), "//<business>/<system>"),
    "a subject of nobody": (campaign.app, ("resume", "--subject", "sale"), "--subject goes with --business"),
    "a subject and a request": (
        campaign.app,
        ("show", "a" * 26, "--subject", "sale", "--business", "shop"),
        "without TARGET",
    ),
    "no such lane": (campaign.app, ("ls", "--lane", "bulk"), "there is no lane 'bulk'"),
    "no such form": (campaign.app, ("ls", "-o", "yaml"), "there are: text, json"),
    "a switch for nothing": (control.app, ("pause",), "say exactly one of"),
    "a switch for two": (control.app, ("pause", "--business", "a", "--sender", "a/b"), "say exactly one of"),
    "a switch for no lane": (control.app, ("resume", "--lane", "bulk"), "there is no lane 'bulk'"),
}


@pytest.mark.parametrize("row", MISTAKES.values(), ids=MISTAKES.keys())
def test_what_cannot_be_meant_is_refused(row: tuple[typer.Typer, tuple[str, ...], str]) -> None:
    """With a sentence on standard error that says what to say instead."""
    app, arguments, says = row
    result = run(app, *arguments)
    assert result.exit_code == 1
    assert says in result.output


@pytest.mark.parametrize(
    ("counts", "state", "shown"),
    [
        (None, "accepted", "accepted"),
        ({"held": 3, "accepted": 2}, "running", "paused"),
        ({"delivered": 5}, "closed", "closed"),
    ],
)
def test_a_request_is_shown_as_it_stands(counts: dict[str, int] | None, state: str, shown: str) -> None:
    """Paused as long as anything is held; all fields of the JSON are plain."""
    status = None if counts is None else Status(KNOWN.request, KNOWN.source, KNOWN.id, state, 1, 1, counts=counts)
    row = campaign.Row.of(KNOWN, status)
    assert (row.state, row.numbers.people) == (shown, sum((counts or {}).values()))
    assert msgspec.json.decode(msgspec.json.encode(row))["lane"] == "campaign"
