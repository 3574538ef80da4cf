"""What businesses were told: on their own topic, and nothing else than the verdict."""

import msgspec

from broker.audit.book import Book
from broker.audit.dump import Logged
from broker.audit.invariants import Breach
from schemas.names import business_of, name_of
from schemas.reasons import Reason
from schemas.status import Status
from schemas.topics import STATUS_PREFIX

_REPEATED = frozenset({Reason.DUPLICATE.word, Reason.CONFLICT.word})
"""Words about another input of the same name; its first verdict stands."""


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
    if told.shard < 0 and told.reason not in _REPEATED and told.state in {"accepted", "refused"}:
        if request is not None:
            request.told = True
        accepted = request is not None and request.accepted
        if accepted != (told.state == "accepted"):
            _told_otherwise(book, record, told)


def _told_otherwise(book: Book, record: Logged, told: Status) -> None:
    void = name_of(told.request) in book.void_names
    known = name_of(told.request) in book.requests
    breach = Breach.VOID_ACTED_ON if void and not known else Breach.TOLD_OTHERWISE
    if known or told.state == "accepted" or void:
        book.findings.report(breach, record.where, f"request {told.request}: {told.state}")
