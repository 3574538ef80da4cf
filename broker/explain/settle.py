"""What came after the hand-off: receipts, charges; and what was said outside the journals: statuses, dead letters, stops."""

from collections.abc import Iterator

from pyroaring import BitMap

from broker.explain.deliver import code_text
from broker.explain.line import Focus, Line, count_text
from schemas.facts import Charge, Receipts, ReceiptStatus, Scope, Suppressions
from schemas.names import text_of
from schemas.registry import Category
from schemas.status import DeadLetter, Status
from schemas.wire.columns import ranks_of
from schemas.wire.header import Header
from schemas.wire.instants import text_of as instant


def receipt_lines(focus: Focus, header: Header, body: Receipts, place: str) -> Iterator[Line]:
    """What the gateway reported about the request."""
    if not focus.concerns(header.shard):
        return
    for run in body.runs:
        if run.request != focus.request:
            continue
        ranks = ranks_of(run.ranks)
        whom = [ranks[position] for position in focus.of(header.shard, ranks)]
        if whom:
            word = ReceiptStatus(run.status).name.lower()
            text = f"{count_text(whom)} of shard {header.shard}: {word}{code_text(run.code)}"
            yield Line(run.at_ms, "receipt", f"{text}, heard {instant(run.received_ms)}", place)


def charge_lines(focus: Focus, header: Header, body: Charge, place: str) -> Iterator[Line]:
    """What settle asked the ledger to post. A repeat is posted once: the ledger unites ranks."""
    if body.request != focus.request or not focus.concerns(header.shard):
        return
    ranks = list(BitMap.deserialize(body.ranks))
    whom = [ranks[position] for position in focus.of(header.shard, ranks)]
    if whom:
        price = f"{body.unit_micro:,} micro {body.currency} each"
        kind = f"{Category(body.category).word}, market +{body.market}, card {body.card}"
        text = f"{count_text(whom)} of shard {header.shard}: {price} ({kind})"
        yield Line(header.at_ms, "settle", text, place)


def status_lines(focus: Focus, status: Status, place: str) -> Iterator[Line]:
    """What the business was told, if the journals do not say it: a refusal by form, a duplicate, a conflict."""
    if status.request == text_of(focus.request) and status.reason:
        yield Line(status.at_ms, "plan", f"told the business {status.state}, {status.reason}: {status.detail}", place)


def letter_lines(letter: DeadLetter, place: str) -> Iterator[Line]:
    """A dead letter of the request's own record."""
    yield Line(letter.at_ms, letter.stage, f"dead letter, {letter.reason}: {letter.detail}", place)


def suppression_lines(focus: Focus, business: str, body: Suppressions, place: str) -> Iterator[Line]:
    """What the person forbade this business or everybody, or allowed again."""
    for entry in body.entries:
        if entry.recipient == focus.recipient and entry.business in (business, "*"):
            word = "forbade" if entry.revoke else "allowed again"
            scope = Scope(entry.scope).name.lower()
            text = f"the person {word} {scope} ({entry.business}), evidence {instant(entry.evidence_ms)}"
            yield Line(entry.received_ms, "person", text, place)
