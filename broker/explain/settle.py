"""Tells what came after the hand-off (receipts, charges) and beside the journals (statuses, dead letters, stops)."""

from collections.abc import Iterator

from pyroaring import BitMap

from broker.explain.deliver import code_text
from broker.explain.entry import Focus, Line, count_text, reason_of, reason_text
from schemas.facts import AudienceChange, Charge, Receipts, ReceiptStatus, Scope, Suppressions
from schemas.ids import NAME_BYTES, text_of
from schemas.reasons import Reason
from schemas.registry import Category
from schemas.status import DeadLetter, Status
from schemas.wire.columns import cells, of_i64s, ranks_of
from schemas.wire.header import Header
from schemas.wire.timestamps import text_of as instant


def receipt_lines(focus: Focus, header: Header, body: Receipts, place: str) -> Iterator[Line]:
    """Yields the gateway's reports about the request."""
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
    """Yields the charges that settle asked the ledger to post. A repeat is posted once: the ledger unites ranks."""
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
    """Yields statuses of plan that stand in no journal: a refusal by form, a duplicate, a conflict, an opt-in taken."""
    if status.request != text_of(focus.request) or status.shard >= 0:
        return
    if status.reason:
        reason = reason_of(status.reason)
        text = f"told the business {status.state}, {status.reason}: {status.detail}"
        yield Line(status.at_ms, "plan", text, place, reason)
    elif status.counts:
        yield Line(status.at_ms, "plan", f"told the business {status.state}: {_counted(status)}", place)


def settled_lines(focus: Focus, status: Status, place: str) -> Iterator[Line]:
    """The newest that settle told the business about one shard: how its messages stand, and what only settle decides."""
    if not focus.concerns(status.shard):
        return
    if focus.recipient is None:
        told = f"shard {status.shard} {status.state}: {_counted(status)}"
        words = {word: f"{count:,} of shard {status.shard}" for word, count in status.counts.items()}
    else:
        person = text_of(focus.recipient)
        own = [each for each in status.recipients if each.recipient == person]
        words = {each.state: f"rank {each.rank} of shard {status.shard}" for each in own}
        # Of the members of a list only counts are told.
        told = ", ".join(f"{whom} {word}" for word, whom in words.items()) or f"shard {status.shard} {status.state}"
    yield Line(status.at_ms, "settle", f"told the business: {told}", place)
    for reason in (Reason.FAILED, Reason.UNKNOWN):
        if reason.word in words:
            yield Line(status.at_ms, "settle", f"{words[reason.word]}: {reason_text(reason)}", place, reason)


def _counted(status: Status) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in status.counts.items()) or "nobody"


def letter_lines(letter: DeadLetter, place: str) -> Iterator[Line]:
    """A dead letter of the request's own record."""
    reason = reason_of(letter.reason)
    why = letter.reason if reason is None else reason_text(reason)
    yield Line(letter.at_ms, letter.stage, f"dead letter, {why} {letter.detail}".rstrip(), place, reason)


def audience_lines(focus: Focus, business: str, name: str, change: AudienceChange, place: str) -> Iterator[Line]:
    """Returns when the person joined a list or left it; ``name`` and ``business`` empty: of every list."""
    if (business and change.business != business) or (name and change.list != name):
        return
    people = cells(change.recipients, NAME_BYTES)
    if focus.recipient in people:
        evidence_ms = of_i64s(change.evidence_ms)[people.index(focus.recipient)]
        what = f"{'joined' if change.join else 'left'} list {change.list} of {change.business}"
        yield Line(change.received_ms, "person", f"the person {what}, evidence {instant(evidence_ms)}", place)


def suppression_lines(focus: Focus, business: str, body: Suppressions, place: str) -> Iterator[Line]:
    """Yields what the person forbade this business or everybody, or allowed again; ``business`` empty: any business."""
    for entry in body.entries:
        if entry.recipient == focus.recipient and (not business or entry.business in (business, "*")):
            word = "forbade" if entry.revoke else "allowed again"
            scope = Scope(entry.scope).name.lower()
            text = f"the person {word} {scope} ({entry.business}), evidence {instant(entry.evidence_ms)}"
            yield Line(entry.received_ms, "person", text, place)
