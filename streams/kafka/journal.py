"""The owner of one journal: reads, claims, appends, and notices when somebody else does.

The rules are pure and live in ``broker/journal.py``; this is the shell that reads and appends for them. The order of
opening is the one that leaves no hand-off under a lower epoch after a higher claim (PROTOCOL.md section 1.2, 1): read
and fold to the end, greet the gateway with the next epoch, claim it, fold to the claim, ask the group once more, serve.

State changes in one place only: :data:`Apply` is called once for each valid record, in the order of the log, whether
it was read or has just been acknowledged, and in the same step that moves the journal's position. So memory is
exactly the folded journal, and survives a rebalance.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from broker.claims import Claims
from broker.journal import (
    Fold,
    Ownership,
    TrimmedJournalError,
    claim_won,
    dated,
    demand_claims,
    fold_start,
    last_floor,
)
from broker.losses import Loss
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, pack
from streams.kafka.faust_app.commits import Place
from streams.kafka.journal_terms import JournalTerms, NotAssignedError
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader, LogRecord, TrimmedError, in_turns
from streams.runtime import log
from streams.runtime.exits import Exit, fatal

GAP_DEADLINE_S = 2.0
"""The gap read is the path that ordinary tests do not enter; one that hangs is a shard that stands still in silence."""
HELLO_DEADLINE_S = 2.0
"""A gateway that is down must not keep a journal without an owner: after this the claim is made anyway, and says so."""
QUIESCE_DEADLINE_S = 1.0
"""Seconds that a revocation waits for an append in flight."""
_CLAIM_SEARCH = 64
"""Records looked at first for the last claim; then four times as many further back, and so on."""
_CLAIM_ATTEMPTS = 5
"""Each lost claim means that another living owner claimed in the same moment."""

Apply = Callable[[LogRecord, Header], None]
"""Folds one valid record, claims included, into the owner's state. Void records never reach it."""

_log = log.get("journal")


class JournalPlace(msgspec.Struct, frozen=True):
    """Which journal: one partition of ``plans.<lane>`` or ``outcomes.<lane>``."""

    topic: str
    lane: Lane
    shard: int
    accepted: frozenset[Loss] = frozenset()
    """The operator's word on what logs have lost: it has expired."""

    @property
    def place(self) -> Place:
        """Topic and partition."""
        return self.topic, self.shard


class Journal:
    """Owns a journal in one process. Made once per shard; opened at each assignment, quiesced at each revocation."""

    def __init__(
        self, at: JournalPlace, apply: Apply, *, reader: LogReader, producer: ConfirmedProducer, time: KafkaTime
    ) -> None:
        self.at = at
        self.fold = Fold()
        self.instance = f"{os.getpid()}-{secrets.token_hex(6)}"
        """Tells our claims from those of any other process on any machine."""
        self._reader = reader
        self._producer = producer
        self._time = time
        self._apply = apply
        self.claims = Claims()
        self._next: int | None = None
        self._ownership: Ownership | None = None
        self._in_flight: asyncio.Task[int] | None = None

    @property
    def epoch(self) -> int:
        """The claimed epoch, for the heads of records; ``RuntimeError`` when the journal is not open."""
        return self._owned().epoch

    @property
    def gaps(self) -> int:
        """Returns how often somebody else's record stood before one of ours since the last opening."""
        return self._ownership.gaps if self._ownership is not None else 0

    async def open(self, terms: JournalTerms) -> None:
        """Become the owner. The first time all that the fold needs is read, later only what is new.

        Raises :class:`NotAssignedError`. A log that has lost what the fold needs, or claims that the gateway saw, ends the
        process.
        """
        self._ownership = None
        try:
            # The epoch to be claimed is one above the highest in the log, so the log has to be read to its end before.
            await self._catch_up(await self._first_offset())
            # A claim that lost is folded like any record, so the next attempt goes above the one that won.
            for _ in range(_CLAIM_ATTEMPTS):
                if await self._claim(terms):
                    _log.info("journal_open", topic=self.at.topic, shard=self.at.shard, epoch=self.epoch)
                    return
        except (TrimmedJournalError, TrimmedError) as error:
            fatal(Exit.TRIMMED, topic=self.at.topic, shard=self.at.shard, detail=str(error))
        fatal(Exit.FENCED, topic=self.at.topic, shard=self.at.shard, step="claim")

    async def append(self, value: bytes) -> int:
        """Append one record and apply it; its offset. When this returns, the record is valid and its effect may begin.

        One append at a time. Cancelling the caller does not cancel the append, nor its application. A higher claim in
        the log, an unconfirmed append or a gap that cannot be read end the process.
        """
        self._owned()
        if self._in_flight is not None:
            raise RuntimeError(f"{self.at.topic}-{self.at.shard}: an append is under way")
        self._in_flight = task = asyncio.ensure_future(self._append(value))
        task.add_done_callback(self._landed)
        # A caller that is cancelled, at a rebalance say, must not take an append with it that may stand in the log already:
        # memory would lack what every other reader folds.
        return await asyncio.shield(task)

    async def repeat_claim(self, floor: int) -> None:
        """Say again that it is mine, after everything said before the claim at ``floor`` and still open has been restated."""
        header = Header(Kind.CLAIM, self.at.lane, self.at.shard, self.epoch, self._time.now_ms())
        await self.append(pack(header, Claim(self.instance, floor=floor)))
        _log.info("journal_restated", topic=self.at.topic, shard=self.at.shard, floor=floor)

    async def quiesce(self) -> None:
        """Own it no longer: wait for the append in flight (at most a second, or exit), refuse further ones."""
        if self._in_flight is not None:
            # Memory and position are right only once its place is known, and the next opening goes on from both.
            done, _ = await asyncio.wait([self._in_flight], timeout=QUIESCE_DEADLINE_S)
            if not done:
                fatal(Exit.DEADLINE, step="quiesce", topic=self.at.topic, shard=self.at.shard)
        self._ownership = None

    # Opening.

    async def _first_offset(self) -> int:
        # Open before: memory is the folded journal up to here still, so only what is new is read.
        if self._next is not None:
            return self._next
        log_start, log_end = await self._reader.bounds(self.at.place)
        floor = await self._last_floor(log_start, log_end)
        start = fold_start(floor, place=self.at.place, log_start=log_start, log_end=log_end, accepted=self.at.accepted)
        self.claims = Claims(start)
        return start

    async def _last_floor(self, log_start: int, log_end: int) -> int | None:
        """The floor of the last claim, looked for from the end of the log backwards."""
        # A living owner claims again every quarter of a fold, so the last claim is near the end as a rule. But nothing bounds
        # how many records lie behind it: hence ever longer stretches.
        stop, span = log_end, _CLAIM_SEARCH
        while stop > log_start:
            start = max(log_start, stop - span)
            bites = [bite async for bite in self._reader.read(self.at.place, start, stop)]
            floor = last_floor(record.value for bite in bites for record in bite)
            if floor is not None:
                return floor
            stop, span = start, span * 4
        return None

    async def _catch_up(self, start: int) -> None:
        self._next = start
        _, end = await self._reader.bounds(self.at.place)
        await self._read_to(end)

    async def _read_to(self, end: int) -> None:
        assert self._next is not None
        voids = self.fold.voids
        async with contextlib.aclosing(in_turns(self._reader.read(self.at.place, self._next, end))) as records:
            async for record in records:
                self._take_in(record)
        self._note_voids(voids, end)

    async def _claim(self, terms: JournalTerms) -> bool:
        epoch = self.fold.epoch + 1
        # Before the claim: once it has answered, no frame of a lower epoch is taken, so none is handed off after the claim.
        if terms.hello is not None and not await self._greeted(terms.hello, epoch):
            return False
        # After the greeting, which may have taken seconds: a claim on what is another's by now would end that owner.
        if not terms.still_assigned():
            raise NotAssignedError(self.at.place)
        header = Header(Kind.CLAIM, self.at.lane, self.at.shard, epoch, self._time.now_ms())
        claim = pack(header, Claim(self.instance, terms.generation, self.claims.floor))
        (appended,) = await self._producer.confirm([self._outgoing(claim)])
        # Another may have read the same end and claimed the same number, or decided something, before this claim got its place.
        await self._read_to(appended.offset)
        self._take_in(LogRecord(appended.offset, appended.timestamp_ms, None, claim))
        if not claim_won(self.fold, epoch, self.instance):
            return False
        await terms.demand_membership(self.at.place)
        self._ownership = Ownership(epoch, self.instance, appended.offset + 1)
        return True

    async def _greeted(self, hello: Callable[[int], Awaitable[int]], epoch: int) -> bool:
        """Returns False if the gateway knows a higher epoch: then somebody claims, too, or the journal has lost claims."""
        try:
            # Not wait_for, which before Python 3.12 loses a cancellation that comes together with the answer: the shard would be
            # claimed and served after it was taken away.
            async with asyncio.timeout(HELLO_DEADLINE_S):
                known = await hello(epoch)
        except TimeoutError:
            _log.warning("hello_unanswered", topic=self.at.topic, shard=self.at.shard, epoch=epoch)
            return True
        if known <= epoch:
            return True
        assert self._next is not None
        await self._catch_up(self._next)
        demand_claims(self.fold, known=known, place=self.at.place, log_end=self._next, accepted=self.at.accepted)
        return False

    # Appending.

    async def _append(self, value: bytes) -> int:
        ownership = self._owned()
        (appended,) = await self._producer.confirm([self._outgoing(value)])
        try:
            # No gap proves that nobody else wrote in between, so the steady state asks the log nothing.
            gap = ownership.gap_before(appended.offset)
        except ValueError:
            fatal(Exit.UNKNOWN_APPEND, topic=self.at.topic, shard=self.at.shard, why="log_went_back")
        if gap:
            await self._read_gap(ownership, gap)
        self._take_in(LogRecord(appended.offset, appended.timestamp_ms, None, value))
        ownership.confirm(appended.offset)
        return appended.offset

    async def _read_gap(self, ownership: Ownership, gap: range) -> None:
        try:
            async with asyncio.timeout(GAP_DEADLINE_S):
                foreign = [
                    record async for bite in self._reader.read(self.at.place, gap.start, gap.stop) for record in bite
                ]
        except TimeoutError:
            fatal(Exit.DEADLINE, step="gap", topic=self.at.topic, shard=self.at.shard, offset=gap.start)
        if ownership.fenced_by(record.value for record in foreign):
            fatal(Exit.FENCED, topic=self.at.topic, shard=self.at.shard, epoch=ownership.epoch, offset=gap.start)
        voids = self.fold.voids
        # None of them is valid, or this owner had just been fenced. They are folded all the same, for every reader counts them.
        for record in foreign:
            self._take_in(record)
        self._note_voids(voids, gap.stop)
        _log.warning("journal_gap", topic=self.at.topic, shard=self.at.shard, offset=gap.start, records=len(gap))

    def _note_voids(self, before: int, upto: int) -> None:
        """Logs how many records were skipped as void; there were ``before`` of them."""
        if self.fold.voids > before:
            skipped = self.fold.voids - before
            _log.info("journal_void", topic=self.at.topic, shard=self.at.shard, records=skipped, upto=upto)

    def _take_in(self, record: LogRecord) -> None:
        """The one step in which state and position move together."""
        # A void record moves the position alone: its writer was the owner no more, so nobody may act on what it says.
        header = self.fold.admit(record.value)
        if header is not None:
            header = dated(header, record.timestamp_ms, self.claims.last_ms)
            self.claims.fold(header, record.value, record.offset)
            self._apply(record, header)
        self._next = record.offset + 1

    def _landed(self, task: "asyncio.Task[int]") -> None:
        self._in_flight = None
        # Whoever asked for it may be gone (see append), and nobody knows whether the record stands: the next claim will see.
        if not task.cancelled() and (error := task.exception()) is not None:
            fatal(Exit.CRASHED, step="append", topic=self.at.topic, shard=self.at.shard, error=type(error).__name__)

    def _outgoing(self, value: bytes) -> Outgoing:
        return Outgoing(self.at.topic, value, partition=self.at.shard)

    def _owned(self) -> Ownership:
        if self._ownership is None:
            raise RuntimeError(f"{self.at.topic}-{self.at.shard} is not open")
        return self._ownership
