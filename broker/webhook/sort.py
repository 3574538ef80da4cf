"""From a batch that the gateway reported to the records that it becomes: receipts, suppressions, inbound. Pure.

Receipts go to the lane and shard that their reference names, under our own secret: the gateway cannot make one up. Opt-outs are
recognised here and come first, so that a STOP never waits behind millions of receipts (PROTOCOL.md section 1.3, row
15). A reference that is not ours is counted and set aside; so is a report that no reader could use. Nothing else of the
batch suffers by it.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from broker.confirmation import Confirmation, Lifted
from broker.webhook.keywords import Change, Vocabulary
from schemas import topics
from schemas.facts import Inbound, ReceiptRun, Receipts, ReceiptStatus, Scope, Suppression, Suppressions
from schemas.gateway_api import Referred, Reply, ReportRun, Reports, place_of
from schemas.ids import name_of, shard_of
from schemas.lanes import Lane
from schemas.wire.columns import interval
from schemas.wire.head import FORMAT
from schemas.wire.header import Header, Kind, pack

_RANK_END: Final = 1 << 32
_RUN_INTERVALS: Final = 25_000
"""Eight bytes each: a run of more is cut."""
_RECORD_RANK_BYTES: Final = 400_000
_RECORD_RUNS: Final = 3_000
"""A record is closed once it has either: with the last run's ranks and 60 bytes a run, below ``RECORD_LIMIT_BYTES``."""
_RECORD_REPLIES: Final = 200
_BODY_CHARS: Final = 4_096
"""WhatsApp's longest text; what is longer is cut, so that a reply always fits a record."""
_STATUSES: Final = {status.name.lower(): status for status in ReceiptStatus}
_SHARED: Final = Lane.CAMPAIGN
"""Lane in the head of records of topics that all lanes share."""

Place = tuple[Lane, int]


class Record(msgspec.Struct, frozen=True):
    """Holds one record to append."""

    topic: str
    partition: int
    value: bytes


class Sorted(msgspec.Struct, frozen=True):
    """Holds the records that a batch becomes, in the order to append; and how many messages of it say what."""

    records: tuple[Record, ...]
    receipts: Counter[tuple[Lane, ReceiptStatus]]
    """Messages."""
    replies: Counter[str]
    """By kind."""
    changes: Counter[Change]
    confirmations: tuple[Confirmation, ...]
    """Stops to be confirmed to the people who said so."""
    lifted: tuple[Lifted, ...]
    """Stops that people took back."""
    foreign: int
    """Reports and replies that were set aside."""


def sort(
    reports: Reports,
    *,
    received_ms: int,
    ref_secret: bytes,
    shards: int,
    vocabulary: Vocabulary,
    record_format: int = FORMAT,
) -> Sorted:
    """Returns the records of ``reports``, each within Kafka's bounds and of ``record_format`` at most.

    ``received_ms`` is our own time, by which evidence counts; ``vocabulary`` has the words that stop.
    """
    placed: dict[Place, list[ReceiptRun]] = {}
    counted: Counter[tuple[Lane, ReceiptStatus]] = Counter()
    ours = [(run, place) for run in reports.runs if (place := _place(run.ref, ref_secret)) and _usable(run)]
    for run, place in ours:
        status = _STATUSES[run.status]
        counted[place.lane, status] += sum(messages for _, messages in run.ranks)
        placed.setdefault((place.lane, place.shard), []).extend(_receipt_runs(run, place.request, status, received_ms))
    answers = [answer for reply in reports.replies if (answer := _answer(reply, ref_secret))]
    known = [answer.inbound for answer in answers]
    heard = _heard(answers, vocabulary)
    return Sorted(
        records=(
            *_suppressions(heard, received_ms, shards),
            *_receipts(placed, received_ms, record_format),
            *_inbounds(known, received_ms, shards),
        ),
        receipts=counted,
        replies=Counter(inbound.kind for inbound in known),
        changes=Counter(each.change for each in heard),
        confirmations=tuple(_confirmations(reports.replies, heard)),
        lifted=tuple(_lifted(heard)),
        foreign=len(reports.runs) - len(ours) + len(reports.replies) - len(known),
    )


def _place(ref: str, secret: bytes) -> Referred | None:
    try:
        return place_of(secret, ref)
    except ValueError:
        return None


def _usable(run: ReportRun) -> bool:
    if run.status not in _STATUSES or not run.ranks or not 0 <= run.code < _RANK_END:
        return False
    return all(first >= 0 and count > 0 and first + count <= _RANK_END for first, count in run.ranks)


def _receipt_runs(run: ReportRun, request: bytes, status: ReceiptStatus, received_ms: int) -> Iterator[ReceiptRun]:
    for at in range(0, len(run.ranks), _RUN_INTERVALS):
        packed = b"".join(interval(first, count) for first, count in run.ranks[at : at + _RUN_INTERVALS])
        yield ReceiptRun(request, packed, status, run.at_ms, received_ms, run.code)


def _receipts(placed: dict[Place, list[ReceiptRun]], at_ms: int, newest: int) -> Iterator[Record]:
    for (lane, shard), runs in placed.items():
        head = Header(Kind.RECEIPT, lane, shard, 0, at_ms)
        for part in _parts(runs):
            yield Record(topics.receipts(lane), shard, pack(head, Receipts(part), newest))


def _parts(runs: Sequence[ReceiptRun]) -> Iterator[tuple[ReceiptRun, ...]]:
    """Cut into what fits one record each."""
    part: list[ReceiptRun] = []
    size = 0
    for run in runs:
        part.append(run)
        size += len(run.ranks)
        if size >= _RECORD_RANK_BYTES or len(part) >= _RECORD_RUNS:
            yield tuple(part)
            part, size = [], 0
    if part:
        yield tuple(part)


class _Answer(NamedTuple):
    """A reply, and the message that it answers; None if that is not known."""

    inbound: Inbound
    place: Referred | None

    def changes(self, vocabulary: Vocabulary) -> Iterator[tuple[Change, str]]:
        """Returns what it changes in the person's consent, and about which list.

        Without a reference a plain STOP takes nobody off a list, for there is no telling which.
        """
        after_offer = self.place is not None and self.place.lane.rules.marketing
        for change in vocabulary.changes(self.inbound.kind, self.inbound.body, after_offer=after_offer):
            list_id = self.place.list if self.place is not None and change.revoke else ""
            if change.scope is not Scope.LIST or list_id or not change.revoke:
                yield change, list_id if change.scope is Scope.LIST else ""


class _Heard(NamedTuple):
    """Holds a change of consent: by whose message, and about which list."""

    inbound: Inbound
    change: Change
    list: str


def _heard(answers: Iterable[_Answer], vocabulary: Vocabulary) -> list[_Heard]:
    return [_Heard(answer.inbound, *change) for answer in answers for change in answer.changes(vocabulary)]


def _confirmations(replies: Iterable[Reply], heard: Sequence[_Heard]) -> Iterator[Confirmation]:
    """Yields one for each reply that stops marketing or all, if it is known where it came from."""
    sent = {reply.id: reply for reply in replies if reply.address}
    lists = {inbound.id: list_id for inbound, change, list_id in heard if change.scope is Scope.LIST}
    for inbound, change, _ in heard:
        reply = sent.get(inbound.id)
        address = _bytes(reply.address) if reply is not None else b""
        if reply is not None and address and change.revoke and change.scope in (Scope.MARKETING, Scope.ALL):
            yield Confirmation(
                business=inbound.business,
                sender=inbound.sender,
                reply=inbound.id,
                scope=change.scope,
                at_ms=inbound.at_ms,
                address=address,
                locale=reply.locale,
                recipient=inbound.recipient,
                list=lists.get(inbound.id, ""),
            )


def _lifted(heard: Iterable[_Heard]) -> Iterator[Lifted]:
    for inbound, change, _ in heard:
        if not change.revoke:
            yield Lifted(inbound.business, inbound.recipient, inbound.at_ms)


def _bytes(column: str) -> bytes:
    """Returns what base64 says, nothing if it says nothing."""
    try:
        return base64.b64decode(column, validate=True)
    except ValueError:
        return b""


def _answer(reply: Reply, secret: bytes) -> _Answer | None:
    """Returns None if the recipient is none. A reference that is not ours only loses the context: a STOP is a STOP."""
    try:
        recipient = name_of(reply.recipient)
    except ValueError:
        return None
    place = _place(reply.ref, secret) if reply.ref else None
    request, rank = (place.request, reply.rank) if place else (b"", -1)
    inbound = Inbound(
        reply.id,
        reply.business,
        reply.sender,
        recipient,
        reply.kind,
        reply.body[:_BODY_CHARS],
        reply.at_ms,
        request,
        rank,
    )
    return _Answer(inbound, place)


def _suppressions(heard: Iterable[_Heard], received_ms: int, shards: int) -> Iterator[Record]:
    by_shard: dict[int, list[Suppression]] = {}
    for inbound, change, list_id in heard:
        entry = Suppression(
            recipient=inbound.recipient,
            business=inbound.business,
            scope=change.scope,
            revoke=change.revoke,
            evidence_ms=min(inbound.at_ms, received_ms),
            received_ms=received_ms,
            evidence=inbound.id,
            request=inbound.request,
            list=list_id,
        )
        by_shard.setdefault(shard_of(inbound.recipient, shards), []).append(entry)
    for shard, entries in by_shard.items():
        head = Header(Kind.SUPPRESSION, _SHARED, shard, 0, received_ms)
        for at in range(0, len(entries), _RECORD_REPLIES):
            body = Suppressions(tuple(entries[at : at + _RECORD_REPLIES]))
            yield Record(topics.SUPPRESSIONS, shard, pack(head, body))


def _inbounds(replies: Iterable[Inbound], at_ms: int, shards: int) -> Iterator[Record]:
    for reply in replies:
        shard = shard_of(reply.recipient, shards)
        yield Record(topics.INBOUND, shard, pack(Header(Kind.INBOUND, _SHARED, shard, 0, at_ms), reply))
