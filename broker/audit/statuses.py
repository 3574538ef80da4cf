"""What businesses were told: on their own topic, nothing else than the verdict, and nothing else than became of it."""

import msgspec

from broker.audit.invariants import Breach
from broker.audit.sources import Logged
from broker.audit.state import Book, Request
from broker.audit.told import take as settled
from schemas.ids import Lane, business_of, name_of
from schemas.status import Status
from schemas.topics import STATUS_PREFIX


class _Event(msgspec.Struct):
    data: Status


_events = msgspec.json.Decoder(_Event)


def status(book: Book, record: Logged) -> None:
    """The next event of ``status.<business>``."""
    told = _events.decode(record.value or b"").data
    book.counts["statuses"] += 1
    topic_of = record.topic.removeprefix(STATUS_PREFIX)
    try:
        owner = business_of(told.source)
    except ValueError:
        owner = topic_of
    request = book.requests.get(name_of(told.request))
    if owner != topic_of or (request is not None and request.business not in {"", topic_of}):
        book.findings.report(Breach.STATUS_OF_ANOTHER, record.where, f"request {told.request} of {owner}")
    if told.shard < 0:
        _verdict(book, record, told, request)
    else:
        settled(book, record, told, request, name_of(told.request))


def _verdict(book: Book, record: Logged, told: Status, request: Request | None) -> None:
    """Plan's word about the input at offset ``seq``."""
    name = name_of(told.request)
    if request is not None and request.origin[1] == told.seq:
        request.told = True
        if request.accepted != (told.state == "accepted"):
            book.findings.report(Breach.TOLD_OTHERWISE, record.where, f"request {request}: {told.state}")
        return
    book.answered.add((name, told.seq))
    known = book.opt_ins.get(name) or book.commands.get(name) or (request is not None and request.accepted)
    if told.state == "accepted" and not known:
        _without_verdict(book, record, told, name)


def _without_verdict(book: Book, record: Logged, told: Status, name: bytes) -> None:
    if not any(book.excused(lane, record.timestamp_ms) for lane in Lane):
        breach = Breach.VOID_ACTED_ON if name in book.void_names else Breach.TOLD_OTHERWISE
        book.findings.report(breach, record.where, f"request {told.request}: {told.state}, without a verdict")
