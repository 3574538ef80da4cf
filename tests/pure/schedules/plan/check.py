"""What must hold of plan at the end: one verdict an event, the work of that verdict and no other, everybody answered."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import msgspec

from broker.claims import Claims
from broker.journal import Fold, dated
from broker.plan.decode import Misrouted
from broker.plan.opt_in import Membership
from broker.plan.outputs import outputs
from broker.plan.validate import Request
from broker.validation.all_errors import Form, form_of_record
from schemas.facts import AudienceChange
from schemas.ids import recipient_id, shard_of
from schemas.plan_journal import Planned, Work, WorkItem
from schemas.reasons import Reason
from schemas.status import Status
from schemas.wire.cloudevents import decode_status
from schemas.wire.columns import cells, of_i64s
from schemas.wire.header import Kind, body_of
from schemas.wire.timestamps import text_of as instant
from tests.pure.schedules.plan.world import BACKLOG, RATES, SHARDS, STALE_MS, PlanWorld, planned_in
from tests.support.plan_bench import PEPPER

SKEW_MS = 20_000
_encode = msgspec.msgpack.Encoder().encode


class Verdicts:
    """The journal as an outsider reads it."""

    def __init__(self, world: PlanWorld) -> None:
        self.at: dict[int, list[tuple[Planned, int]]] = defaultdict(list)
        """By the input's offset: each verdict, and when it was appended."""
        self.accepted: dict[bytes, list[Planned]] = defaultdict(list)
        self.backwards = 0
        self.ahead_ms = 0
        """How far the time of a decision was ahead of Kafka's time of its record."""
        self.overdue_ms = 0
        """The longest that an owner has gone on deciding since it last claimed."""
        self.floor_age_ms = 0
        """The age of the oldest floor under which an owner decided twice and said nothing again in between."""
        fold, claims, last_ms, claimed_ms, kind = Fold(), Claims(), 0, 0, Kind.CLAIM
        for offset, at_ms, record in world.journal.whole:
            header = fold.admit(record)
            if header is None:
                continue
            if header.kind is not Kind.CLAIM:
                self.ahead_ms = max(self.ahead_ms, header.at_ms - at_ms)
            header = dated(header, at_ms, claims.last_ms)
            claims.fold(header, record, offset)
            before, kind = kind, header.kind
            if kind is Kind.CLAIM:
                claimed_ms = max(at_ms, last_ms)  # by Kafka's clock: who claims may not know yet that its own is behind
                continue
            self.overdue_ms = max(self.overdue_ms, header.at_ms - claimed_ms)
            self.backwards += header.at_ms < last_ms
            last_ms = max(last_ms, header.at_ms)
            if kind is before is Kind.PLANNED:
                self.floor_age_ms = max(self.floor_age_ms, header.at_ms - claims.floor_ms(header.at_ms))
            if kind is Kind.PLANNED:
                for entry in planned_in(record).entries:
                    self.at[entry.origin.offset].append((entry, at_ms))
                    if entry.verdict == 0:
                        self.accepted[entry.name].append(entry)

    @property
    def entries(self) -> Iterator[Planned]:
        """All verdicts."""
        return (entry for entries in self.at.values() for entry, _ in entries)


def violations(world: PlanWorld) -> list[str]:
    """Every broken promise, as a sentence."""
    verdicts = Verdicts(world)
    told: dict[int, list[Status]] = defaultdict(list)
    for _, _, record in world.statuses.whole:
        status = decode_status(record)
        assert status is not None
        told[status.seq].append(status)
    events = [form_of_record(world.given(offset), world.policy) for offset in range(world.requests.end)]
    found = [f"{verdicts.backwards} records are older than the one before"] if verdicts.backwards else []
    if verdicts.ahead_ms > SKEW_MS:
        found.append(f"a verdict was written {verdicts.ahead_ms} ms ahead of Kafka's time")
    round_ms = world.policy.windows.idempotency_ms // 4
    if verdicts.overdue_ms > round_ms + 2 * world.pause_ms:
        found.append(f"an owner decided for {verdicts.overdue_ms} ms without a round of restating")
    if verdicts.floor_age_ms > 2 * round_ms + 2 * world.pause_ms:
        found.append(f"decided, and restated nothing, while the floor was {verdicts.floor_age_ms} ms old")
    found += _once(verdicts)
    found += _work(world, verdicts)
    found += _opt_ins(world, events, verdicts)
    found += _answers(world, events, verdicts, told)
    found += _throughput(verdicts)
    found += _backlog(verdicts)
    found += _in_time(events, verdicts)
    return found


def _once(verdicts: Verdicts) -> Iterable[str]:
    for offset, entries in verdicts.at.items():
        if len(entries) > 1:
            yield f"event at {offset} was judged {len(entries)} times: {[entry.verdict for entry, _ in entries]}"
    for accepted in verdicts.accepted.values():
        for first, second in pairwise(accepted):
            if second.decided_ms < first.keep_ms:
                yield f"one name was accepted at {first.origin.offset} and again at {second.origin.offset}"


def _work(world: PlanWorld, verdicts: Verdicts) -> Iterable[str]:
    wanted: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
    for entry in verdicts.entries:
        for shard, item in outputs(entry, SHARDS).work.items():
            wanted[shard, entry.name].add(_encode(item))
    written: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
    for shard, log in enumerate(world.work):
        for item in _items(record for _, _, record in log.whole):
            written[shard, item.request].add(_encode(item))
    for key in wanted.keys() | written.keys():
        if wanted[key] != written[key]:
            yield f"work in shard {key[0]}: {len(wanted[key])} asked, {len(written[key])} written, and they differ"


def _opt_ins(world: PlanWorld, events: list[Form], verdicts: Verdicts) -> Iterable[str]:
    """Work for a list stands in a shard no earlier than the people there whose opt-ins came before it."""
    joined_ms = _joined_ms(world)
    for (shard, request), at_ms in _asked_ms(world).items():
        for opt_in in events[: verdicts.accepted[request][0].origin.offset]:
            if isinstance(opt_in, Membership):
                yield from _not_joined(opt_in, shard, at_ms, joined_ms)


def _joined_ms(world: PlanWorld) -> Mapping[tuple[int, bytes, int], int]:
    """When each word of a person, told apart by its time, was first appended in a shard."""
    joined_ms: dict[tuple[int, bytes, int], int] = {}
    for shard, log in enumerate(world.audience):
        for _, at_ms, record in log.whole:
            change = body_of(record, AudienceChange)
            for person, evidence_ms in zip(cells(change.recipients, 16), of_i64s(change.evidence_ms), strict=True):
                joined_ms.setdefault((shard, person, evidence_ms), at_ms)
    return joined_ms


def _asked_ms(world: PlanWorld) -> Mapping[tuple[int, bytes], int]:
    """When the work of each request for a list was first appended in a shard."""
    asked_ms: dict[tuple[int, bytes], int] = {}
    for shard, log in enumerate(world.work):
        for _, at_ms, record in log.whole:
            for item in body_of(record, Work).items:
                if item.list:
                    asked_ms.setdefault((shard, item.request), at_ms)
    return asked_ms


def _not_joined(
    opt_in: Membership, shard: int, at_ms: int, joined_ms: Mapping[tuple[int, bytes, int], int]
) -> Iterable[str]:
    for person, evidence_ms in zip(opt_in.people, opt_in.evidence_ms, strict=True):
        name = recipient_id(PEPPER, person.address)
        if shard_of(name, SHARDS) == shard and joined_ms.get((shard, name, evidence_ms), at_ms + 1) > at_ms:
            yield f"work of {at_ms} stands in shard {shard} before somebody who had opted in"


def _items(records: Iterable[bytes]) -> Iterator[WorkItem]:
    for record in records:
        yield from body_of(record, Work).items


def _answers(world: PlanWorld, events: list[Form], verdicts: Verdicts, told: dict[int, list[Status]]) -> Iterable[str]:
    rerouted = {record for _, _, record in world.rerouted.whole}
    firsts: set[tuple[int, int]] = set()
    for offset, admitted in enumerate(events):
        words = {(status.state, status.reason) for status in told[offset]}
        match admitted:
            case Misrouted():
                if world.given(offset).value not in rerouted:
                    yield f"event at {offset} was not sent to where it belongs"
            case Membership():
                if words != {("accepted", "")}:
                    yield f"opt-in at {offset} was answered {sorted(words)}"
            case Request():
                first = None if admitted.first is None else (admitted.first.partition, admitted.first.offset)
                if first is None or first not in firsts:
                    yield from _answer(offset, admitted, verdicts, words)
                if first is not None:
                    firsts.add(first)
            case _:
                yield f"event at {offset} was refused by its form"


def _answer(offset: int, request: Request, verdicts: Verdicts, words: set[tuple[str, str]]) -> Iterable[str]:
    """Whether the answers to an event are what its verdict, or those before it, say."""
    own = verdicts.at[offset][:1]
    known = [
        (_repeated(entry, request), entry.keep_ms)
        for entry in verdicts.accepted[request.named.name]
        if entry.origin.offset < offset
    ]
    if not own:
        right = {word for word, _ in known}
        if not right:
            yield f"event at {offset} has no verdict"
        elif not words or not words <= right:
            yield f"event at {offset} repeats what is {sorted(right)} and was answered {sorted(words)}"
        return
    entry, _ = own[0]
    verdict = ("accepted", "") if entry.verdict == 0 else ("refused", Reason(entry.verdict).word)
    # Told so while the name was known, and judged when it was not known any more.
    before = {word for word, keep_ms in known if entry.decided_ms >= keep_ms}
    if verdict not in words or not words <= before | {verdict}:
        yield f"event at {offset} is {verdict} and was answered {sorted(words)}"


def _repeated(entry: Planned, request: Request) -> tuple[str, str]:
    """What a repetition of an accepted event is told."""
    return ("accepted", "duplicate") if entry.fingerprint == request.fingerprint else ("refused", "conflict")


def _throughput(verdicts: Verdicts) -> Iterable[str]:
    """What each sender has reserved: every reservation begins after what was owed, and adds its own."""
    owed: dict[str, int] = defaultdict(int)
    for entry in verdicts.entries:
        if entry.verdict or entry.terms is None or entry.rows is None:
            continue
        sender, rate = entry.terms.sender, RATES[entry.terms.sender]
        burst, cost_us = max(1, rate // 10), len(entry.rows) * 1_000_000 // rate
        if entry.free_us < owed[sender] + cost_us:
            yield f"{sender} owes until {owed[sender]}, and a request of {len(entry.rows)} ends at {entry.free_us}"
        if entry.start_ms * 1_000 < owed[sender] + (min(len(entry.rows), burst) - burst) * 1_000_000 // rate:
            yield f"{sender} owes until {owed[sender]}, and a request begins at {instant(entry.start_ms)}"
        owed[sender] = max(owed[sender], entry.free_us)


def _backlog(verdicts: Verdicts) -> Iterable[str]:
    """Of all that was accepted before a verdict and with it, no more begins later than the business may have waiting."""
    begins: list[tuple[int, int]] = []
    for entry in verdicts.entries:
        if entry.verdict or entry.rows is None:
            continue
        begins = [one for one in (*begins, (entry.start_ms, len(entry.rows))) if one[0] > entry.decided_ms]
        if (waiting := sum(count for _, count in begins)) > BACKLOG:
            yield f"{waiting} messages wait at {instant(entry.decided_ms)}, and {BACKLOG} may"


def _in_time(events: list[Form], verdicts: Verdicts) -> Iterable[str]:
    """Nothing is refused for a time that is not come."""
    for offset, entries in verdicts.at.items():
        for entry, at_ms in entries:
            admitted = events[offset]
            assert isinstance(admitted, Request)
            times = admitted.cloud
            match entry.verdict:
                case Reason.REQUEST_EXPIRED if (times.expires_ms or 0) > at_ms + SKEW_MS:
                    yield f"event at {offset} was refused as expired before its time"
                case Reason.STALE if times.time_ms + STALE_MS > at_ms + SKEW_MS:
                    yield f"event at {offset} was refused as stale before its time"
                case Reason.FROM_THE_FUTURE:
                    yield f"event at {offset} was taken for one of the future"
                case _:
                    pass
