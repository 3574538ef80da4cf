"""Puts the story of a request together from records; the sentences are those of the other modules here.

Journals pass through the epoch rule (``broker/journal.py``): records of former owners are left out and counted. Only a
record that holds the request's name in its bytes is taken apart.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from broker.audit.sources import Logged
from broker.deliver.state import body_of_outcome
from broker.explain.delivery_lines import outcome_lines, rank_said
from broker.explain.line import Focus, Line
from broker.explain.number import NumberWatch
from broker.explain.other_lines import (
    audience_lines,
    charge_lines,
    control_lines,
    letter_lines,
    planned_lines,
    published_line,
    receipt_lines,
    settled_lines,
    status_lines,
    suppression_lines,
    work_lines,
)
from broker.explain.tally import Tally
from broker.journal import Fold
from schemas import topics
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import AudienceChange, Charge, ControlWord, Receipts, Suppressions
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import Planned, PlannedBatch, Work
from schemas.status import DeadLetter, Status
from schemas.wire import cloudevents
from schemas.wire.header import Header, Kind, body_of, head_of, unpack
from schemas.wire.item_parts import Parts

_letters: Final = msgspec.json.Decoder(DeadLetter)


class Story(msgspec.Struct):
    """Holds what the logs say about one request in one lane."""

    lane: Lane
    request: bytes
    lines: list[Line]
    voids: int = 0
    """Records of former owners about it, which do not count."""
    tally: Tally = msgspec.field(default_factory=Tally)
    listed: bool = False
    """True if it is addressed to a list."""
    person: str | None = None
    """State of the message of the one person whom the story is about, empty if there is none; None: it is about everybody."""
    general: list[Line] = []
    """Of the lines, those that are about no shard alone."""


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
        self._parts = Parts()
        self._numbers: dict[int, NumberWatch] = {}
        self._owners: list[Line] = []
        """When plan's journal changed its owner, until the request is found in it."""
        self._settled: dict[int, tuple[Status, str]] = {}
        self._of_shard: dict[int, list[Line]] = {}
        """The lines that are about one shard alone."""

    def published(self, record: Logged) -> None:
        """The input record behind the verdict."""
        if self.planned is not None:
            self._tell([published_line(self.planned, record)])

    def work(self, record: Logged) -> None:
        """A record of ``work.<lane>`` that holds the request's name."""
        header = head_of(_value(record))
        self._tell(work_lines(self.focus, header, body_of(_value(record), Work), record.where), header.shard)

    def receipts(self, record: Logged) -> None:
        """A record of ``receipts.<lane>`` that holds the request's name."""
        header, body = head_of(_value(record)), body_of(_value(record), Receipts)
        self._tell(receipt_lines(self.focus, header, body, record.where), header.shard)
        for run in body.runs:
            if run.request == self.request:
                self.story.tally.received(header.shard, run)

    def charge(self, record: Logged) -> None:
        """A record of ``charges`` that holds the request's name."""
        header, body = head_of(_value(record)), body_of(_value(record), Charge)
        self._tell(charge_lines(self.focus, header, body, record.where), header.shard)

    def suppressions(self, record: Logged) -> None:
        """A record of ``suppressions`` that holds the person's id."""
        body = body_of(_value(record), Suppressions)
        self._tell(suppression_lines(self.focus, self.business, body, record.where))

    def control(self, record: Logged) -> None:
        """Any record of ``controls``; told if it concerns the request."""
        if self.planned is not None and self.planned.terms is not None:
            said = unpack(_value(record), ControlWord)
            self._tell(control_lines(self.request, self.story.lane, self.planned.terms, said, record.where))

    def audience(self, record: Logged) -> None:
        """A record of ``audience.changes`` of the person's shard."""
        name = "" if self.planned is None else self.planned.list
        change = body_of(_value(record), AudienceChange)
        self._tell(audience_lines(self.focus, self.business, name, change, record.where))

    def _tell(self, told: Iterable[Line], shard: int = -1) -> None:
        lines = list(told)
        self.story.lines += lines
        if shard >= 0:
            self._of_shard.setdefault(shard, []).extend(lines)

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
        """The story, in order of time, once everything was heard: with the newest that settle told about each shard.

        Of shards in which nobody is addressed nothing is told.
        """
        story = self.story
        story.listed = self.planned is not None and bool(self.planned.list)
        for shard in sorted(self._settled):
            told, where = self._settled[shard]
            story.tally.told(told)
            self._tell(settled_lines(self.focus, told, where), shard)
        for shard, number in self._numbers.items():
            self._tell(number.still(shard), shard)
        self._tell(self._absent())
        if self.focus.recipient is not None:
            focus = self.focus
            story.person = story.tally.word(focus.shard, focus.rank) if focus.rank >= 0 else ""
        story.lines.sort(key=lambda line: line.at_ms)
        of_shards = {id(line): shard for shard, lines in self._of_shard.items() for line in lines}
        story.general = [line for line in story.lines if id(line) not in of_shards]
        story.lines = [line for line in story.lines if not story.tally.holds_nobody(of_shards.get(id(line), -1))]
        return story

    def _absent(self) -> Iterator[Line]:
        """Says so if the story's person is none of those whom the request is addressed to."""
        focus = self.focus
        if focus.recipient is None or focus.rank >= 0 or self.planned is None or self.planned.verdict:
            return
        frozen_ms = self.story.tally.frozen_ms(focus.shard)
        if not self.planned.list:
            yield Line(self.planned.decided_ms, "plan", "the person is not among the recipients", "")
        elif frozen_ms:
            text = f"the person was not on list {self.planned.list} when its members were frozen"
            yield Line(frozen_ms, "deliver", text, "")

    def plan(self, record: Logged) -> None:
        """The next record of the journal, every one."""
        named = self.request in _value(record)
        before = self._plans.epoch
        header = self._plans.admit(_value(record))
        if header is None:
            self.story.voids += named
            return
        if self.planned is None:
            self._owners += _owner_lines("plan", header, before, record.where)
        if not named:
            return
        if header.kind is Kind.PLANNED or (header.kind is Kind.PLAN_RESTATED and self.planned is None):
            batch = body_of(_value(record), PlannedBatch)
            self._tell(planned_lines(self.focus, batch, record.where))
            self._judged(next((each for each in batch.entries if each.name == self.request), None))

    def _judged(self, entry: Planned | None) -> None:
        """Keep the verdict; a change of plan's owner that came between the event and it is told."""
        if entry is None:
            return
        self.planned = entry
        if entry.terms is not None:
            since_ms = entry.terms.time_ms
            self._tell(line for line in self._owners if line.at_ms >= since_ms)
            self.focus = msgspec.structs.replace(self.focus, sender=entry.terms.sender)
        self._owners.clear()

    def outcome(self, record: Logged, ordinal: int = -1) -> None:
        """The next record of the shard's journal, every one. ``ordinal`` is the person's in the audience log."""
        named = self.request in _value(record)
        fold = self._outcomes.setdefault(record.partition, Fold())
        before = fold.epoch
        header = fold.admit(_value(record))
        if header is None:
            self.story.voids += named
            return
        shard = header.shard
        self._tell(
            (line for line in _owner_lines("deliver", header, before, record.where) if self._awaited(header)), shard
        )
        number = self._number(shard)
        if not named and not (number is not None and number.concerns(_value(record)) and self._owed(shard)):
            return
        body = self._parts.said(body_of_outcome(header, _value(record)))
        if isinstance(body, Outcome | Restated):
            self._find_rank(shard, body, ordinal)
            self._tell(outcome_lines(self.focus, header, body, record.where), shard)
            self.story.tally.outcome(self.request, header, body)
            if number is not None:
                self._tell(number.outcome(self.focus, header, body, record.where), shard)

    def _owed(self, shard: int) -> bool:
        """Returns whether deliver owes something in ``shard`` that the story is about, as far as the journal is read."""
        return self.story.tally.owed(shard, self.focus.rank)

    def _awaited(self, header: Header) -> bool:
        """Returns whether the request was accepted when a record was written, and is not through in its shard."""
        accepted = self.planned is not None and header.at_ms >= self.planned.decided_ms
        return accepted and self._owed(header.shard)

    def _number(self, shard: int) -> NumberWatch | None:
        """Returns what follows the request's number in ``shard``; None if its terms are not known."""
        terms = None if self.planned is None else self.planned.terms
        if terms is None:
            return None
        if shard not in self._numbers:
            self._numbers[shard] = NumberWatch(self.story.lane, self.request, terms)
        return self._numbers[shard]

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


def _owner_lines(stage: str, header: Header, before: int, place: str) -> Iterator[Line]:
    """Yields that a journal has another owner from this record on; ``before`` is the epoch until then, 0 if it is not known."""
    if 0 < before < header.epoch:
        text = f"shard {header.shard} changed its owner (epoch {before} to {header.epoch})"
        yield Line(header.at_ms, stage, text, place)


def letter_of(record: Logged) -> DeadLetter | None:
    """The dead letter in a record; None if it is none."""
    try:
        return _letters.decode(_value(record))
    except msgspec.MsgspecError:
        return None


def _value(record: Logged) -> bytes:
    return record.value or b""
