"""Deliver's journal: openings, frozen members, restatements. Decisions and answers have modules of their own."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from pyroaring import BitMap

from broker.audit.answers import Answers
from broker.audit.decisions import Decisions
from broker.audit.early import Early
from broker.audit.fact_versions import Versions
from broker.audit.invariants import Breach
from broker.audit.journal_rules import Epochs, Said
from broker.audit.knowledge import Book, Part
from broker.audit.message_columns import segments
from broker.audit.sources import Logged
from broker.audit.verdicts import name_in, same_item, taken_from
from schemas.delivery_journal import Answered, ClosedName, Decided, Held, Members, Newest
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import State
from schemas.wire.columns import of_i64s, of_u16s, values_of
from schemas.wire.header import Kind, body_of, head_of
from schemas.wire.item_parts import InOrder, joined, ordinals_of


class _Opened(msgspec.Struct, array_like=True):
    item: msgspec.Raw
    origin: Origin
    taken_ms: int
    """When deliver took the item over, milliseconds since the epoch."""


class _Outcome(msgspec.Struct, array_like=True):
    opened: tuple[_Opened, ...] = ()
    members: tuple[Members, ...] = ()
    decided: tuple[Decided, ...] = ()
    answered: tuple[Answered, ...] = ()
    held: tuple[Held, ...] = ()


class _OpenItem(msgspec.Struct, array_like=True):
    opened: _Opened
    members: Members | None
    statuses: bytes
    attempts: bytes
    dues: bytes = b""
    markets: bytes = b""


class _ItemPart(msgspec.Struct, array_like=True):
    opened: _Opened
    first: int
    of: int
    ordinals: bytes
    audience_upto: int
    suppressed_upto: int
    statuses: bytes
    attempts: bytes
    dues: bytes = b""
    markets: bytes = b""


class _Restated(msgspec.Struct, array_like=True):
    open: tuple[_OpenItem, ...] = ()
    closed: tuple[ClosedName, ...] = ()
    newest: tuple[Newest, ...] = ()


class Outcomes:
    """The journals of deliver, all lanes."""

    def __init__(self, book: Book, versions: Versions, early: Early) -> None:
        self._book = book
        self._versions = versions
        self._decisions = Decisions(book, versions, early)
        self._answers = Answers(book, versions, early)
        self._parts = InOrder[tuple[Lane, int, bytes], _ItemPart]()
        self._epochs: dict[tuple[Lane, int], Epochs] = defaultdict(Epochs)

    def take(self, record: Logged, lane: Lane) -> None:
        """The next record of ``outcomes.<lane>``."""
        header = head_of(record.value or b"")
        if header.shard != record.partition:
            self._book.findings.report(Breach.WRONG_SHARD, record.where, f"its head says {header.shard}")
        valid = self._epochs[lane, record.partition].valid(record, header, self._book.findings)
        if not valid:
            self._book.counts["voids"] += 1
        said = Said(record, header, lane, record.partition)
        match header.kind:
            case Kind.OUTCOME if valid:
                self._outcome(said, body_of(record.value or b"", _Outcome))
            case Kind.OUTCOME:
                self._void(said, body_of(record.value or b"", _Outcome))
            case Kind.OUTCOME_RESTATED if valid:
                self._restated(said, body_of(record.value or b"", _Restated))
            case Kind.ITEM_PART if valid:
                self._part(said, body_of(record.value or b"", _ItemPart))
            case Kind.TRYING:
                self._book.counts["tries"] += 1
            case _:
                pass

    def _void(self, said: Said, body: _Outcome) -> None:
        for section in body.decided:
            sends = self._book.void_sends[said.lane, said.shard, section.request]
            runs = segments(section.ranks, section.statuses, section.attempts)
            sends += [(first, count) for first, count, status, _ in runs if status == State.SENDING]

    def _outcome(self, said: Said, body: _Outcome) -> None:
        for opened in body.opened:
            self._open(said, opened)
        for members in body.members:
            self._members(said, members)
        for decided in body.decided:
            part = self._open_part(said, decided.request)
            if part is not None:
                self._decisions.take(said, part, decided)
        for answered in body.answered:
            part = self._open_part(said, answered.request)
            if part is not None:
                self._answers.take(said, part, answered)
        for held in body.held:
            part = self._book.parts[said.lane, said.shard].get(held.request)
            if part is not None and held.upto >= part.held_upto:
                part.held, part.held_upto = held.held, held.upto

    def _open(self, said: Said, opened: _Opened) -> Part | None:
        book, name = self._book, name_in(opened.item)
        part = book.parts[said.lane, said.shard].get(name)
        if part is None and self._excused(said):
            return None
        if part is None or not taken_from(book, part, opened.origin):
            detail = f"request {text_of(name)}, origin {opened.origin.partition}@{opened.origin.offset}"
            book.findings.report(Breach.OPENED_WITHOUT_WORK, said.record.where, detail)
        if part is None:
            return None
        if not same_item(part, opened.item):
            book.findings.report(Breach.WORK_DIFFERS, said.record.where, f"{part}, as opened")
        if part.opened:
            book.counts["repeats"] += 1
        elif said.header.kind is Kind.OUTCOME:
            part.opened_ms = said.record.timestamp_ms
        part.opened = True
        self._versions.opened(part)
        return part

    def _open_part(self, said: Said, request: bytes) -> Part | None:
        part = self._book.parts[said.lane, said.shard].get(request)
        if part is not None and part.opened and part.frozen:
            part.heard_ms = said.record.timestamp_ms
            return part
        if part is None and self._excused(said):
            return None
        missing = "frozen" if part is not None and part.opened else "opened"
        detail = f"request {text_of(request)} was not {missing}"
        self._book.findings.report(Breach.OUTCOME_WITHOUT_OPENING, said.record.where, detail)
        return None

    def _members(self, said: Said, members: Members) -> None:
        book = self._book
        part = book.parts[said.lane, said.shard].get(members.request)
        if part is None and self._excused(said):
            return
        if part is None or not part.opened or not part.listed:
            detail = f"members of request {text_of(members.request)}"
            book.findings.report(Breach.OUTCOME_WITHOUT_OPENING, said.record.where, detail)
            return
        ordinals = np.asarray(BitMap.deserialize(members.ordinals).to_array(), dtype=np.uint32)
        if part.ordinals is not None:
            if np.array_equal(ordinals, part.ordinals):
                book.counts["repeats"] += 1
            else:
                book.findings.report(Breach.MEMBERS_DIFFER, said.record.where, str(part))
            return
        fold = book.people[part.shard].list(part.request.business, part.request.list)
        wanted = np.flatnonzero(fold.fold_to(members.audience_upto))
        if members.count != len(ordinals) or not np.array_equal(ordinals, wanted):
            detail = f"{part}: {len(wanted)} on the list at {members.audience_upto}, {len(ordinals)} frozen"
            book.findings.report(
                Breach.MEMBERS_WRONG, said.record.where, detail, messages=abs(len(wanted) - len(ordinals))
            )
        part.ordinals = ordinals
        part.freeze(book.people[part.shard].ids(ordinals), book.ranks.allot(len(ordinals)))

    def _excused(self, said: Said) -> bool:
        excused = self._book.excused(said.lane, said.record.timestamp_ms)
        self._book.counts["beyond_retention"] += excused
        return excused

    # -- restatements

    def _restated(self, said: Said, body: _Restated) -> None:
        self._book.counts["restated"] += len(body.open)
        for entry in body.open:
            self._open_again(said, entry)

    def _open_again(self, said: Said, entry: _OpenItem) -> None:
        part = self._book.parts[said.lane, said.shard].get(name_in(entry.opened.item))
        if part is None or not part.opened:
            part = self._open(said, entry.opened)
            if part is not None:
                self._adopt(said, part, entry)
            return
        frozen = (entry.members is not None) or not part.listed
        if frozen != part.frozen or (part.frozen and not self._same(part, entry)):
            self._book.findings.report(Breach.RESTATED_DIFFERS, said.record.where, str(part))

    def _part(self, said: Said, body: _ItemPart) -> None:
        name = name_in(body.opened.item)
        parts = self._parts.add((said.lane, said.shard, name), body)
        if parts is not None:
            self._whole(said, name, parts)

    def _whole(self, said: Said, name: bytes, parts: Sequence[_ItemPart]) -> None:
        """Takes an item whose last part was said, as what freezes its members or as a restatement."""
        last = parts[-1]
        members = Members(name, last.of, ordinals_of(parts), last.audience_upto, last.suppressed_upto)
        columns = ("statuses", "attempts", "dues", "markets")
        entry = _OpenItem(last.opened, members, *(joined(parts, column) for column in columns))
        part = self._book.parts[said.lane, said.shard].get(name)
        if part is not None and part.opened and not part.frozen:
            self._adopt(said, part, entry)
        else:
            self._book.counts["restated"] += 1
            self._open_again(said, entry)

    def _same(self, part: Part, entry: _OpenItem) -> bool:
        ranks, lo, hi = self._book.ranks, part.base, part.base + part.count
        return ranks.status[lo:hi] == values_of(entry.statuses) and ranks.attempt[lo:hi] == values_of(entry.attempts)

    def _adopt(self, said: Said, part: Part, entry: _OpenItem) -> None:
        """Begin in the middle: what came before the restatement is not in the log any more."""
        if part.listed and not part.frozen:
            if entry.members is None:
                return
            self._members(said, entry.members)
        ranks, base = self._book.ranks, part.base
        whole = (0).to_bytes(4) + part.count.to_bytes(4) if part.count else b""
        for first, count, status, attempt in segments(whole, entry.statuses, entry.attempts):
            lo, hi = base + first, base + first + count
            ranks.status[lo:hi] = bytes((status,)) * count
            ranks.attempt[lo:hi] = bytes((attempt,)) * count
            if attempt:
                self._decisions.sent(said, lo, hi, attempt)
        for place, market in enumerate(of_u16s(entry.markets)):
            ranks.market[base + place] = market
        waiting = [at for at in range(base, base + part.count) if ranks.status[at] == State.WAITING]
        for at, due_ms in zip(waiting, of_i64s(entry.dues), strict=True):
            ranks.due_ms[at] = due_ms

    @property
    def claims(self) -> int:
        """Returns how many epochs were claimed."""
        return sum(epochs.claims for epochs in self._epochs.values())
