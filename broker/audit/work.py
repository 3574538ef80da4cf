"""Work and its taking over: each item is what its verdict makes it, stands in its shard, and is opened from there."""

import msgspec

from broker.audit.facts import died
from broker.audit.invariants import Breach
from broker.audit.sources import Logged
from broker.audit.state import Book, Part
from broker.audit.verdicts import digest_of_work
from schemas.ids import Lane, text_of
from schemas.plan_journal import Origin, WorkItem
from schemas.topics import work
from schemas.wire.header import body_of, head_of

_encoder = msgspec.msgpack.Encoder()


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
    """Whether an encoded item is what the verdict makes it; an older encoding of the same values is."""
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
    """Whether the work of ``part`` stands where its opening says; retention may have taken it since."""
    if origin.partition != part.shard:
        return False
    place = (work(part.request.lane), part.shard)
    return origin.offset in part.asked or origin.offset < book.begins(place)
