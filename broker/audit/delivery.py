"""Holds the gateway's own logs against the journals: each acceptance was decided, in time, once, for its person, and allowed.

Forbidden is a hand-off after a STOP in scope, a leaving of the list, a pause or a cancel, by more than the bound. The bound runs
from the acknowledgement in Kafka to the hand-off by Kafka's clock (:mod:`broker.audit.clocks`). Who took it back in between may
be told or not.
"""

import base64

import msgspec

from broker.audit.clocks import Moment
from broker.audit.early import Early, part_of
from broker.audit.fact_versions import Versions
from broker.audit.invariants import Breach
from broker.audit.knowledge import Book, Part
from broker.audit.limit_checks import LimitsKept
from broker.audit.message_columns import Mark, highest
from broker.audit.prohibitions import forbidden_between, forbids, upto_time
from broker.audit.recipients import joined_at
from broker.audit.sources import Limits
from schemas.facts import ReceiptStatus
from schemas.gateway_api import GatewayEvent
from schemas.ids import NAME_BYTES, name_of, shard_of
from schemas.lanes import Lane

_LANES = {lane.word: lane for lane in Lane}
_REPORTED = {status.name.lower(): status for status in ReceiptStatus}


class _Accepted(msgspec.Struct, eq=False, gc=False):
    """A run of ranks of one acceptance, as places ``lo`` to ``hi``."""

    event: GatewayEvent
    moment: Moment
    where: str
    part: Part
    lo: int
    hi: int

    @property
    def count(self) -> int:
        """Returns how many messages."""
        return self.hi - self.lo

    @property
    def first(self) -> int:
        """The first rank."""
        return self.lo - self.part.base

    def __str__(self) -> str:
        return f"{self.part}, rank {self.first}, {self.count} in all"


class Delivery:
    """The logs of all listeners, one after the other."""

    def __init__(self, book: Book, versions: Versions, early: Early) -> None:
        self._book = book
        self._ranks = book.ranks
        self._versions = versions
        self._early = early
        self._withdrawn = Withdrawn(book)
        self._epochs: dict[tuple[str, int], int] = {}
        self.limits = LimitsKept(book.rules.limits or Limits())

    def take(self, event: GatewayEvent, log: int, where: str) -> None:
        """Take the next event of one log, which stands at ``where``."""
        moment = self._book.clocks[_LANES[event.lane]].moment(event.at_ms)
        match event.event:
            case "accepted":
                self._accepted(event, moment, log, where)
            case "hello":
                self._raise_epoch(event)
            case "report":
                self._reported(event)
            case "reply":
                self._replied(event, where)
            case "repeated":
                self._book.counts["hand_offs_repeated"] += _count(event)
            case "refused":
                self._book.counts["hand_offs_refused"] += _count(event)
                self._early.refused(event, part_of(self._book, event, _LANES[event.lane]))
            case "fenced":
                self._book.counts["frames_fenced"] += 1
            case _:
                pass

    def _accepted(self, event: GatewayEvent, moment: Moment, log: int, where: str) -> None:
        book = self._book
        count = _count(event)
        book.counts["hand_offs"] += count
        if event.epoch < self._epochs.get((event.lane, event.shard), 0):
            detail = f"epoch {event.epoch} of {event.lane}/{event.shard}"
            book.findings.report(Breach.LOWER_EPOCH_ACCEPTED, where, detail, messages=count)
        self._raise_epoch(event)
        lane, name = _LANES[event.lane], name_of(event.request)
        self._early.handed(event, lane, count, moment.likely_ms)
        part = book.parts[lane, event.shard].get(name)
        if part is None and book.excused(lane, event.at_ms):
            book.counts["beyond_retention"] += count
        elif part is None or not part.frozen:
            self._undecided(event, where, (lane, event.shard, name), list(event.ranks))
        else:
            self._judge(event, moment, where, part, count)
            recipients = base64.b64decode(event.recipients)
            self._people(event, moment, where, part, recipients)
            if book.rules.limits is not None and not part.request.heartbeat:
                self.limits.handed(event, recipients, moment.likely_ms, log)

    def _people(self, event: GatewayEvent, moment: Moment, where: str, part: Part, recipients: bytes) -> None:
        """Judge each run of ranks, and that the people of ``recipients`` are theirs."""
        at = 0
        for first, count in event.ranks:
            if first + count > part.count:
                detail = f"{part}: {part.count} members, rank {first + count - 1}"
                self._book.findings.report(Breach.RANK_UNKNOWN, where, detail)
                return
            run = _Accepted(event, moment, where, part, part.base + first, part.base + first + count)
            own = part.recipients[first * NAME_BYTES : (first + count) * NAME_BYTES]
            if own != recipients[at : at + count * NAME_BYTES]:
                self._book.findings.report(Breach.WRONG_RECIPIENT, where, str(run), messages=count)
            self._judge_run(run)
            at += count * NAME_BYTES
        self._versions.handed(part, recipients, where)

    def _raise_epoch(self, event: GatewayEvent) -> None:
        place = (event.lane, event.shard)
        if event.epoch > self._epochs.get(place, 0):
            self._epochs[place] = event.epoch

    def _reported(self, event: GatewayEvent) -> None:
        """The webhook has confirmed a report: its receipt must be in the log."""
        part = self._book.parts[_LANES[event.lane], event.shard].get(name_of(event.request))
        status = _REPORTED.get(event.status)
        if part is None or not part.frozen or status is None:
            return
        for first, count in event.ranks:
            self._ranks.confirmed(part.base + first, part.base + min(first + count, part.count), status)

    def _replied(self, event: GatewayEvent, where: str) -> None:
        """The webhook has confirmed a reply: if it forbids something, a suppression must be in the log."""
        if not event.body and event.status != "block":
            return
        recipient = base64.b64decode(event.recipients)
        shard = shard_of(recipient, self._book.rules.shards)
        if not self._book.stops[shard].concerning(recipient, event.business):
            self._book.findings.report(Breach.STOP_LOST, where, f"{event.status} to {event.business}")

    def _undecided(
        self, event: GatewayEvent, where: str, place: tuple[Lane, int, bytes], runs: list[tuple[int, int]]
    ) -> None:
        """Report ranks that were accepted without a valid decision: by a void one, if there is."""
        void = self._book.void_sends.get(place, ())
        for first, count in runs:
            acted = any(low <= first < low + many for low, many in void)
            breach = Breach.VOID_ACTED_ON if acted else Breach.UNDECIDED_HAND_OFF
            detail = f"request {event.request}, shard {event.shard}, rank {first}, {count} in all"
            self._book.findings.report(breach, where, detail, messages=count)

    def _judge(self, event: GatewayEvent, moment: Moment, where: str, part: Part, count: int) -> None:
        report, request = self._book.findings.report, part.request
        if (event.business, event.sender) != (request.business, request.sender):
            detail = f"{part}: {event.sender} for {event.business}"
            report(Breach.HAND_OFF_OF_ANOTHER, where, detail, messages=count)
        # By its own clock never; by Kafka's, if its own is behind, for as long as a frame may be on its way.
        way_ms = self._book.rules.windows[request.lane].frame_ms
        late_ms = max(event.at_ms, moment.earliest_ms - way_ms) - request.expires_ms
        if late_ms > 0:
            report(Breach.AFTER_EXPIRY, where, f"{part}, {late_ms} ms late", messages=count)
        if event.at_ms > event.not_after_ms:
            report(Breach.PAST_NOT_AFTER, where, f"{part}, {event.at_ms - event.not_after_ms} ms late", messages=count)
        fact = request.fact.own.hex() if request.fact is not None else ""
        if event.collapse != fact:
            report(Breach.FACT_DIFFERS, where, f"{part}: {event.collapse or 'none'}", messages=count)

    def _judge_run(self, run: _Accepted) -> None:
        ranks, lo, hi = self._ranks, run.lo, run.hi
        twice = ranks.marked(lo, hi, Mark.HANDED)
        if twice:
            self._book.findings.report(Breach.VISIBLE_TWICE, run.where, str(run), messages=twice)
        ranks.mark(lo, hi, Mark.HANDED)
        early = (
            [] if self._all_decided(run) else [at - run.part.base for at in range(lo, hi) if not self._decided(run, at)]
        )
        if early:
            place = (run.part.request.lane, run.part.shard, run.part.request.name)
            self._undecided(run.event, run.where, place, [(rank, 1) for rank in early])
        self._withdrawn.handed(run.part, lo, hi, run.moment.earliest_ms, run.where)

    def _all_decided(self, run: _Accepted) -> bool:
        """The quick answer for a whole run; False if one has to look at each rank."""
        ranks, lo, hi, event = self._ranks, run.lo, run.hi, run.event
        return (
            event.attempt == 1
            and ranks.marked(lo, hi, Mark.SENT) == run.count
            and highest(ranks.sent_ms, lo, hi) <= run.moment.latest_ms + self._book.rules.skew_ms
            and highest(ranks.epoch, lo, hi) <= event.epoch
        )

    def _decided(self, run: _Accepted, at: int) -> bool:
        """Returns whether a valid decision about this attempt of one message was in the journal before."""
        ranks, event = self._ranks, run.event
        if not ranks.marks[at] & Mark.SENT or not 1 <= event.attempt <= ranks.attempt[at]:
            return False
        first = event.attempt == 1
        decided_ms = ranks.sent_ms[at] if first else ranks.sent_again_ms.get((at, event.attempt), 0)
        if decided_ms > run.moment.latest_ms + self._book.rules.skew_ms:
            return False
        return event.attempt < ranks.attempt[at] or ranks.epoch[at] <= event.epoch


def _count(event: GatewayEvent) -> int:
    """Returns how many messages an event is about."""
    return event.ranks[0][1] if len(event.ranks) == 1 else sum(count for _, count in event.ranks)


class Withdrawn:
    """Judges each run of a hand-off."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def handed(self, part: Part, lo: int, hi: int, at_ms: int, where: str) -> None:
        """The gateway took the places ``lo`` to ``hi`` of ``part``, at ``at_ms`` at the earliest."""
        bound_ms = self._book.rules.stop_bound_ms(part.request.lane)
        for rank in self._stopped(part, lo, hi, at_ms, bound_ms):
            detail = f"{part}, rank {rank}, more than {bound_ms} ms before"
            self._book.findings.report(Breach.LATE_AFTER_STOP, where, detail)
        self._halted(part, (lo, hi), at_ms, bound_ms, where)
        if part.listed:
            for rank in self._left(part, lo, hi, at_ms, bound_ms):
                detail = f"{part}, rank {rank}, more than {bound_ms} ms before"
                self._book.findings.report(Breach.LATE_AFTER_LEAVING, where, detail)

    def _stopped(self, part: Part, lo: int, hi: int, at_ms: int, bound_ms: int) -> list[int]:
        """The ranks that had forbidden it a bound before, and forbade it still."""
        lane, list_id = part.request.lane, part.request.list
        return [
            rank
            for rank, stops in self._book.stops_of(part).items()
            if lo <= part.base + rank < hi
            and forbids(upto_time(stops, at_ms - bound_ms), lane, list_id) is not None
            and forbids(upto_time(stops, at_ms), lane, list_id) is not None
        ]

    def _halted(self, part: Part, places: tuple[int, int], at_ms: int, bound_ms: int, where: str) -> None:
        """Report a hand-off of what had been paused or cancelled a bound before, and was so still."""
        request = part.request
        if request.words and (known := forbidden_between(request.words, request.time_ms, at_ms - bound_ms, at_ms)):
            lo, hi = places
            detail = f"{part}, rank {lo - part.base}, {hi - lo} in all, {known} more than {bound_ms} ms before"
            self._book.findings.report(Breach.LATE_AFTER_CONTROL, where, detail, messages=hi - lo)

    def _left(self, part: Part, lo: int, hi: int, at_ms: int, bound_ms: int) -> list[int]:
        """The ranks that had left the list a bound before, and were not on it yet again."""
        return [
            rank
            for rank, words in self._book.leavers_of(part).items()
            if lo <= part.base + rank < hi and not joined_at(words, at_ms - bound_ms) and not joined_at(words, at_ms)
        ]
