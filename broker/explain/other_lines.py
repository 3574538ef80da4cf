"""Tells what every log but deliver's journal says of a request, a sentence each.

Plan's verdict, its terms and the work it made; words of control; what came after the hand-off (receipts, charges); and what
stands beside the journals (statuses, dead letters, opt-ins, stops).
"""

from collections.abc import Iterator
from typing import Final

from pyroaring import BitMap

from broker.audit.sources import Logged
from broker.explain.delivery_lines import code_text
from broker.explain.line import Focus, Line, count_text, people_text, reason_of, reason_text
from broker.standing import place_of, places
from schemas.facts import (
    AudienceChange,
    Charge,
    ControlAction,
    ControlScope,
    ControlWord,
    Receipts,
    ReceiptStatus,
    Scope,
    Suppressions,
)
from schemas.ids import NAME_BYTES, text_of
from schemas.lanes import Category, Lane
from schemas.plan_journal import Planned, PlannedBatch, Terms, Work
from schemas.reasons import Reason
from schemas.status import DeadLetter, Status
from schemas.wire.columns import cells, of_i64s, ranks_of
from schemas.wire.header import Header
from schemas.wire.timestamps import text_of as instant


def planned_lines(focus: Focus, batch: PlannedBatch, place: str) -> Iterator[Line]:
    """Yields the lines that a valid record of ``plans.<lane>`` adds to the request's story."""
    for entry in batch.entries:
        if entry.name == focus.request:
            reason = None if entry.verdict == 0 else Reason(entry.verdict)
            said = _accepted(entry) if reason is None else [_refused(entry, reason)]
            yield from (Line(entry.decided_ms, "plan", text, place, reason) for text in said)


def _refused(entry: Planned, reason: Reason) -> str:
    again = f" Not before {instant(entry.start_ms)}." if entry.start_ms else ""
    return f"refused {reason_text(reason)} {entry.detail}".rstrip() + again


def _accepted(entry: Planned) -> Iterator[str]:
    whom = f"list {entry.list}" if entry.list else people_text(len(entry.rows or ()))
    came = f"input {entry.origin.partition}@{entry.origin.offset}"
    if entry.first is not None:
        came += f", moved here from {entry.first.partition}@{entry.first.offset}"
    yield f"accepted for {whom} ({came})"
    if entry.terms is not None:
        yield _terms(entry.terms)
        late_s = max(0, entry.decided_ms - entry.terms.time_ms) / 1_000
        yield f"the event is of {instant(entry.terms.time_ms)}, {late_s:,.3f} s before"
    if entry.start_ms > entry.decided_ms:
        yield f"not before {instant(entry.start_ms)}: the sender's throughput"


def published_line(entry: Planned, published: Logged) -> Line:
    """Returns when Kafka took the input of a verdict: how late it was published, and how long plan took to get to it.

    ``published`` is its record; of an input that was moved to another partition the first one.
    """
    text = "published"
    if entry.terms is not None:
        text += f" {_after(published.timestamp_ms - entry.terms.time_ms)} its event time"
    text += f"; plan decided {_after(entry.decided_ms - published.timestamp_ms)} that"
    return Line(published.timestamp_ms, "input", text, published.where)


def _after(span_ms: int) -> str:
    return f"{abs(span_ms) / 1_000:,.3f} s {'before' if span_ms < 0 else 'after'}"


def work_lines(focus: Focus, header: Header, body: Work, place: str) -> Iterator[Line]:
    """Yields the lines that a record of ``work.<lane>`` adds to the request's story: what it asks of its shard."""
    if not focus.concerns(header.shard):
        return
    for item in body.items:
        if item.request == focus.request:
            whom = f"list {item.list}" if item.list else people_text(len(item.rows or ()))
            yield Line(header.at_ms, "plan", f"asked shard {header.shard} for {whom}", place)


def _terms(terms: Terms) -> str:
    fact = f", version {terms.version} of {terms.entity} {terms.facet}".rstrip() if terms.version >= 0 else ""
    return (
        f"template {terms.template} v{terms.template_version} ({Category(terms.category).word}) from {terms.sender}, "
        f"price card {terms.card}, until {instant(terms.expires_ms)}{fact}{', a test' if terms.test else ''}"
    )


_DONE: Final = {ControlAction.PAUSE: "paused", ControlAction.RESUME: "resumed", ControlAction.CANCEL: "cancelled"}


def control_lines(
    request: bytes, lane: Lane, terms: Terms, said: tuple[Header, ControlWord], place: str
) -> Iterator[Line]:
    """Yields what a record of ``controls`` says about the request."""
    header, word = said
    scope = ControlScope(word.scope)
    if header.lane is not lane or place_of(word) not in places(request, terms):
        return
    what = scope.word if scope in {ControlScope.REQUEST, ControlScope.LANE} else f"{scope.word} {word.target}"
    yield Line(word.received_ms, "control", f"the {what} is {_DONE[ControlAction(word.action)]}, by {word.by}", place)


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
