"""A story put together from records. The sentences are those of the other modules here.

Journals pass through the epoch rule (``broker/journal.py``): records of former owners are left out and counted. Only a
record that holds the request's name in its bytes is taken apart.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from broker.audit.dump import Logged
from broker.deliver.state import body_of_outcome
from broker.explain.deliver import outcome_lines, rank_said
from broker.explain.line import Focus, Line
from broker.explain.plan import planned_lines, work_lines
from broker.explain.settle import (
    charge_lines,
    letter_lines,
    receipt_lines,
    settled_lines,
    status_lines,
    suppression_lines,
)
from broker.journal import Fold
from schemas import topics
from schemas.facts import Charge, Receipts, Suppressions
from schemas.names import Lane, text_of
from schemas.outcome import Outcome, Restated
from schemas.planned import Planned, PlannedBatch, Work
from schemas.status import DeadLetter, Status
from schemas.wire import cloudevents
from schemas.wire.header import Kind, body_of, head_of

_letters: Final = msgspec.json.Decoder(DeadLetter)


class Story(msgspec.Struct):
    """What the logs say about one request in one lane."""

    lane: Lane
    request: bytes
    lines: list[Line]
    voids: int = 0
    """Records of former owners about it, which do not count."""


class Telling:
    """A story while it is put together: records of each topic in the order of their logs go in, lines come out."""

    def __init__(self, lane: Lane, request: bytes, business: str) -> None:
        self.request = request
        self.business = business
        self.story = Story(lane, request, [])
        self.focus = Focus(request)
        self.planned: Planned | None = None
        self._plans = Fold()
        self._outcomes: dict[int, Fold] = {}
        self._settled: dict[int, tuple[Status, str]] = {}

    def work(self, record: Logged) -> None:
        """A record of ``work.<lane>`` that holds the request's name."""
        self._tell(work_lines(self.focus, head_of(_value(record)), body_of(_value(record), Work), record.where))

    def receipts(self, record: Logged) -> None:
        """A record of ``receipts.<lane>`` that holds the request's name."""
        body = body_of(_value(record), Receipts)
        self._tell(receipt_lines(self.focus, head_of(_value(record)), body, record.where))

    def charge(self, record: Logged) -> None:
        """A record of ``charges`` that holds the request's name."""
        body = body_of(_value(record), Charge)
        self._tell(charge_lines(self.focus, head_of(_value(record)), body, record.where))

    def suppressions(self, record: Logged) -> None:
        """A record of ``suppressions`` that holds the person's id."""
        body = body_of(_value(record), Suppressions)
        self._tell(suppression_lines(self.focus, self.business, body, record.where))

    def _tell(self, told: Iterable[Line]) -> None:
        self.story.lines.extend(told)

    def status(self, record: Logged) -> None:
        """A record of ``status.<business>`` that holds the request's name."""
        told = cloudevents.decode_status(_value(record))
        if told is None or told.request != text_of(self.request):
            return
        if told.shard < 0:
            self._tell(status_lines(self.focus, told, record.where))
        elif told.shard not in self._settled or self._settled[told.shard][0].seq <= told.seq:
            self._settled[told.shard] = told, record.where

    def end(self) -> Story:
        """The story, in order of time, once everything was heard: with the newest that settle told about each shard."""
        for shard in sorted(self._settled):
            told, where = self._settled[shard]
            self._tell(settled_lines(self.focus, told, where))
        self.story.lines.sort(key=lambda line: line.at_ms)
        return self.story

    def plan(self, record: Logged) -> None:
        """The next record of the journal, every one."""
        named = self.request in _value(record)
        header = self._plans.admit(_value(record))
        if header is None:
            self.story.voids += named
            return
        if not named:
            return
        if header.kind is Kind.PLANNED or (header.kind is Kind.PLAN_RESTATED and self.planned is None):
            batch = body_of(_value(record), PlannedBatch)
            self._tell(planned_lines(self.focus, batch, record.where))
            self.planned = next((each for each in batch.entries if each.name == self.request), self.planned)

    def outcome(self, record: Logged, ordinal: int = -1) -> None:
        """The next record of the shard's journal, every one. ``ordinal`` is the person's in the audience log."""
        named = self.request in _value(record)
        header = self._outcomes.setdefault(record.partition, Fold()).admit(_value(record))
        if header is None:
            self.story.voids += named
            return
        body = body_of_outcome(header, _value(record)) if named else None
        if isinstance(body, Outcome | Restated):
            self._find_rank(header.shard, body, ordinal)
            self._tell(outcome_lines(self.focus, header, body, record.where))

    def letter(self, record: Logged) -> None:
        """Any record of ``dead-letters``; told if it is about the request's input."""
        letter = letter_of(record)
        if self.planned is not None and letter is not None:
            origin = (topics.requests(self.story.lane), self.planned.origin.partition, self.planned.origin.offset)
            if (letter.topic, letter.partition, letter.offset) == origin:
                self.stray(letter, record.where)

    def stray(self, letter: DeadLetter, where: str) -> None:
        """A dead letter that is about the request's input, whoever found that out."""
        self._tell(letter_lines(letter, where))

    def _find_rank(self, shard: int, body: Outcome | Restated, ordinal: int) -> None:
        focus = self.focus
        if focus.recipient is None or focus.rank >= 0 or shard != focus.shard:
            return
        rank = rank_said(focus, body, ordinal)
        if rank >= 0:
            self.focus = msgspec.structs.replace(focus, rank=rank)


def letter_of(record: Logged) -> DeadLetter | None:
    """The dead letter in a record; None if it is none."""
    try:
        return _letters.decode(_value(record))
    except msgspec.MsgspecError:
        return None


def _value(record: Logged) -> bytes:
    return record.value or b""
