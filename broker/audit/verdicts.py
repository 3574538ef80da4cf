"""Plan's journal: one valid verdict a name, and what it makes each shard's work be.

Work is recomputed here from the verdict and kept as a digest, so that a million work items need no second copy.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from broker.audit.first_logs import died
from broker.audit.invariants import Breach
from broker.audit.journal_rules import Epochs
from broker.audit.knowledge import Book, Fact, Part, Request
from broker.audit.recipients import shards_of
from broker.audit.requests import Input, Inputs, digest_of
from broker.audit.sources import Logged
from schemas.ids import NAME_BYTES, business_of, fact_key, request_name, text_of
from schemas.lanes import Lane
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH, Origin, Planned, PlannedBatch, Rows, Terms, WorkItem
from schemas.registry import CONFIRMATIONS
from schemas.topics import requests, work
from schemas.wire.columns import cells
from schemas.wire.header import Header, Kind, body_of, head_of
from schemas.wire.sealed import looks_sealed

_encoder = msgspec.msgpack.Encoder()
_WHOLE_FACET = "*"
_MARKET_WIDTH = 2
_REMEMBERED = 10_000
"""Combinations that are judged once only; sources are the producers' own, and may be without end."""


def digest_of_work(encoded: bytes | msgspec.Raw) -> int:
    """Returns a 64-bit hash by which two encodings of a work item are compared; its key is drawn anew in each process."""
    return hash(bytes(encoded))


class Verdicts:
    """The journals of plan, all lanes."""

    def __init__(self, book: Book, inputs: Inputs) -> None:
        self._book = book
        self._inputs = inputs
        self._epochs: dict[tuple[Lane, int], Epochs] = defaultdict(Epochs)
        self._in_order: set[tuple[Lane, str, str, str, str, int]] = set()

    def take(self, record: Logged, lane: Lane) -> None:
        """The next record of ``plans.<lane>``."""
        header = head_of(record.value or b"")
        epochs = self._epochs[lane, record.partition]
        valid = epochs.valid(record, header, self._book.findings)
        if header.kind is Kind.CLAIM:
            return
        entries = body_of(record.value or b"", PlannedBatch).entries
        if not valid:
            self._book.counts["voids"] += 1
            self._book.void_names.update(entry.name for entry in entries)
            return
        for entry in entries:
            self._verdict(record, header, entry, lane)

    def _verdict(self, record: Logged, header: Header, entry: Planned, lane: Lane) -> None:
        old = self._book.requests.get(entry.name)
        if old is None:
            self._first(record, header, entry, lane)
        elif (old.verdict, old.fingerprint, old.origin) == (entry.verdict, entry.fingerprint, _origin(entry)):
            self._book.counts["restated" if header.kind is Kind.PLAN_RESTATED else "repeats"] += 1
        elif not old.accepted:
            self._first(record, header, entry, lane)
        elif not entry.verdict or old.keep_ms > entry.decided_ms:
            self._book.findings.report(Breach.TWO_VERDICTS, record.where, f"request {old}, first {old.where}")

    def _first(self, record: Logged, header: Header, entry: Planned, lane: Lane) -> None:
        place, at_ms = (record.partition, record.offset), record.timestamp_ms
        request = Request(
            entry.name, lane, entry.verdict, place, at_ms, _origin(entry), entry.fingerprint, entry.keep_ms
        )
        self._book.requests[entry.name] = request
        if entry.terms is not None:
            request.business = entry.terms.business
        self._origin_of(record, entry, request, restated=header.kind is Kind.PLAN_RESTATED)
        if entry.verdict:
            self._book.counts["refused_requests"] += 1
        elif entry.terms is None:
            # A bare restated name whose own record is still there was met before this one.
            self._book.counts["beyond_retention"] += 1
        else:
            self._accept(record, request, entry, entry.terms)

    def _origin_of(self, record: Logged, entry: Planned, request: Request, *, restated: bool) -> None:
        """Hold a verdict against the input that it names as its origin."""
        topic, (partition, offset) = requests(request.lane), request.origin
        found = self._inputs.named_by(topic, request.origin)
        if found is not None:
            self._same_input(record, entry, request, found)
        elif not restated and offset >= self._book.begins((topic, partition)):
            self._book.findings.report(Breach.VERDICT_WITHOUT_REQUEST, record.where, f"request {request}")

    def _same_input(self, record: Logged, entry: Planned, request: Request, found: Input) -> None:
        report, rows = self._book.findings.report, entry.rows
        if found.name and found.name != entry.name:
            report(Breach.NAME_DIFFERS, record.where, f"request {request}, origin {request.origin}")
        if found.dead and not entry.verdict:
            report(Breach.DEAD_BUT_ACCEPTED, record.where, f"request {request}, origin {request.origin}")
        if found.people and rows is not None and digest_of(cells(rows.recipients, NAME_BYTES)) != found.people:
            report(Breach.RECIPIENT_DIFFERS, record.where, f"request {request}")

    def _accept(self, record: Logged, request: Request, entry: Planned, terms: Terms) -> None:
        if request_name(request.lane, terms.source, terms.id) != entry.name:
            self._book.findings.report(Breach.NAME_DIFFERS, record.where, f"request {request}")
        request.sender, request.card, request.category = terms.sender, terms.card, terms.category
        request.confirmation = terms.template in CONFIRMATIONS
        request.test = terms.test or request.confirmation
        request.expires_ms, request.list = terms.expires_ms, entry.list
        request.start_ms, request.time_ms = entry.start_ms, terms.time_ms
        request.words = self._book.controls.concerning(request.lane, request.name, terms)
        if terms.version >= 0:
            own = fact_key(terms.business, terms.entity, terms.facet)
            whole = fact_key(terms.business, terms.entity, _WHOLE_FACET)
            request.fact = Fact(own, whole, terms.version, terms.time_ms)
        self._tenant(record, request, terms)
        self._sealed(record, terms, entry.rows)
        for part in self._parts(record, request, entry, terms):
            self._book.parts[request.lane, part.shard][request.name] = part

    def _tenant(self, record: Logged, request: Request, terms: Terms) -> None:
        """Judge each combination of source, sender, template and category once, if it is in order."""
        claimed = (request.lane, terms.business, terms.source, terms.sender, terms.template, terms.category)
        if claimed in self._in_order:
            return
        found = self._book.findings.total
        self._own(record, request, terms)
        if self._book.findings.total == found and len(self._in_order) < _REMEMBERED:
            self._in_order.add(claimed)

    def _own(self, record: Logged, request: Request, terms: Terms) -> None:
        report, registered = self._book.findings.report, self._book.registered
        try:
            owner = business_of(terms.source)
        except ValueError:
            owner = ""
        if owner != terms.business:
            report(Breach.SOURCE_OF_ANOTHER, record.where, f"source of {owner!r}, accepted for {terms.business!r}")
        if request.lane.rules.category != terms.category:
            report(Breach.WRONG_LANE, record.where, f"category {terms.category} on {request.lane.word}")
        if request.heartbeat:
            return
        if all(sender.business != terms.business for _, sender in registered.senders.get(terms.sender, ())):
            report(Breach.SENDER_OF_ANOTHER, record.where, f"{terms.sender} does not belong to {terms.business}")
        owners = {template.business for template in registered.templates.get(terms.template, ())}
        if not owners & {terms.business, "*"}:
            report(Breach.TEMPLATE_OF_ANOTHER, record.where, f"{terms.template} does not belong to {terms.business}")

    def _sealed(self, record: Logged, terms: Terms, rows: Rows | None) -> None:
        secret = self._book.registered.sealed_parameters(terms.template)
        if not secret:
            return
        each: Iterable[Mapping[str, str]] = (terms.params, *(rows.params if rows is not None else ()))
        clear = [name for params in each for name in secret & params.keys() if not looks_sealed(params[name])]
        if clear:
            self._book.findings.report(Breach.UNSEALED, record.where, f"parameter {clear[0]}", messages=len(clear))

    def _parts(self, record: Logged, request: Request, entry: Planned, terms: Terms) -> Iterable[Part]:
        rows = entry.rows
        if rows is None and not entry.list:
            return []
        if rows is None:
            item = WorkItem(entry.name, terms, None, entry.list, entry.start_ms, entry.per_s)
            digest = digest_of_work(_encoder.encode(item))
            return [Part(request, shard, digest) for shard in range(self._book.rules.shards)]
        if len(rows) > 1 and len(set(cells(rows.recipients, NAME_BYTES))) < len(rows):
            self._book.findings.report(Breach.RECIPIENT_TWICE, record.where, f"request {request}")
        shards = shards_of(rows.recipients, self._book.rules.shards)
        if len(shards) == 1:
            return [self._explicit(request, entry, shards[0], rows)]
        held: dict[int, list[int]] = defaultdict(list)
        for place, shard in enumerate(shards):
            held[shard].append(place)
        return [self._explicit(request, entry, shard, _some(rows, places)) for shard, places in held.items()]

    def _explicit(self, request: Request, entry: Planned, shard: int, rows: Rows) -> Part:
        assert entry.terms is not None
        item = WorkItem(entry.name, entry.terms, rows, "", entry.start_ms, entry.per_s)
        part = Part(request, shard, digest_of_work(_encoder.encode(item)))
        part.freeze(rows.recipients, self._book.ranks.allot(len(rows)))
        return part

    @property
    def claims(self) -> int:
        """Returns how many epochs were claimed."""
        return sum(epochs.claims for epochs in self._epochs.values())


def _origin(entry: Planned) -> tuple[int, int]:
    return entry.origin.partition, entry.origin.offset


def _some(rows: Rows, places: list[int]) -> Rows:
    if len(places) == len(rows):
        return rows
    own = tuple(rows.params[place] for place in places) if rows.params else ()
    return Rows(
        _cut(rows.recipients, NAME_BYTES, places),
        _cut(rows.addresses, ADDRESS_WIDTH, places),
        _cut(rows.locales, LOCALE_WIDTH, places),
        _cut(rows.markets, _MARKET_WIDTH, places),
        own if any(own) else (),
    )


def _cut(column: bytes, width: int, places: list[int]) -> bytes:
    return b"".join(column[place * width : (place + 1) * width] for place in places)


# Work and its taking over: each item is what its verdict makes it, stands in its shard, and is opened from there.


class _Name(msgspec.Struct, array_like=True):
    request: bytes


class _RawWork(msgspec.Struct, array_like=True):
    items: tuple[msgspec.Raw, ...]


_names = msgspec.msgpack.Decoder(_Name)
_items = msgspec.msgpack.Decoder(WorkItem)


def name_in(item: msgspec.Raw) -> bytes:
    """The request that an encoded work item belongs to."""
    return _names.decode(item).request


def same_item(part: Part, item: msgspec.Raw) -> bool:
    """Returns whether an encoded item is what the verdict makes it; an older encoding of the same values is."""
    if digest_of_work(item) == part.digest:
        return True
    return digest_of_work(_encoder.encode(_items.decode(item))) == part.digest


class WorkLog:
    """The topics ``work.<lane>``."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def take(self, record: Logged, lane: Lane) -> None:
        """The next record of ``work.<lane>``."""
        head_of(record.value or b"")
        died(self._book, record)
        for item in body_of(record.value or b"", _RawWork).items:
            self._item(record, lane, item)

    def _item(self, record: Logged, lane: Lane, item: msgspec.Raw) -> None:
        book = self._book
        name = name_in(item)
        part = book.parts[lane, record.partition].get(name)
        if part is None and book.excused(lane, record.timestamp_ms):
            book.counts["beyond_retention"] += 1
            return
        if part is None:
            breach, detail = self._why_astray(name)
            book.findings.report(breach, record.where, detail)
            return
        if not same_item(part, item):
            book.findings.report(Breach.WORK_DIFFERS, record.where, str(part))
        if part.asked:
            book.counts["repeats"] += 1
        part.asked += (record.offset,)

    def _why_astray(self, name: bytes) -> tuple[Breach, str]:
        request = self._book.requests.get(name)
        if request is not None and request.accepted:
            return Breach.WORK_DIFFERS, f"request {request} asks nothing of this shard"
        if request is None and name in self._book.void_names:
            return Breach.VOID_ACTED_ON, f"work of request {text_of(name)}, whose only verdict is void"
        return Breach.WORK_WITHOUT_VERDICT, f"request {text_of(name)}"


def taken_from(book: Book, part: Part, origin: Origin) -> bool:
    """Returns whether the work of ``part`` stands where its opening says; retention may have taken it since."""
    if origin.partition != part.shard:
        return False
    place = (work(part.request.lane), part.shard)
    return origin.offset in part.asked or origin.offset < book.begins(place)
