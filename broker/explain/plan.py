"""Plan's part of a story: the verdict and its terms, and the work that it made."""

from collections.abc import Iterator

from broker.audit.sources import Logged
from broker.explain.entry import Focus, Line, people_text, reason_text
from schemas.plan_journal import Planned, PlannedBatch, Terms, Work
from schemas.reasons import Reason
from schemas.registry import Category
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
