"""The journal protocol: how one owner at a time decides, in a log that anybody can append to.

Theory (PROTOCOL.md section 1.2):

- A journal is one partition. Every record carries the *epoch* of its writer. An owner *claims* epoch n+1 after it has read
  to the end, where n is the highest epoch in the log; of two claims with one number the first stands.
- *Fold rule*, the same for every reader: a record is valid if its epoch is not below the highest seen so far.
- *Adjacency*: the acknowledgement of an append gives its offset. If it follows the owner's previous record directly, nobody
  wrote between, so the record is valid. Otherwise the gap is read: a higher epoch in it means *fenced*, and the owner must
  not act on that record.
- *Fold start*. A claim carries a *floor*: the offset from which on everything still open has been said. It is 0 in a new log,
  else the offset of a valid claim, so a fold that begins there knows the epoch. Once the floor is F/2 old the owner restates
  what was last said whole before a later claim, then claims again with that claim's offset as the floor (``claims.py``); so
  nothing open is ever further back than F/2 of serving time, however short each ownership is. (A start reckoned from times
  loses what is open when an owner claims after a long outage and dies at once: the scheduler of ``tests/pure/schedules``
  found it.)
- A log trimmed above the floor is refused, never folded. So is one that ends before its floor, and one that has lost claims
  which the gateway saw: who greets it with epoch n has read the claim of n-1, so it never knows more than one epoch above the
  end of a whole journal.

Everything here is pure; ``streams/kafka/journal.py`` does the reading and appending, and the scheduler of ``tests/pure`` drives
both through kills, pauses and several living owners.
"""

from collections.abc import Container, Iterable

import msgspec

from broker.kafka_clock import AHEAD_MS
from broker.losses import Loss
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, NewerRecordError, UnreadableRecordError, body_of, head_of


class TrimmedJournalError(Exception):
    """The log has lost what the fold needs, at its beginning or at its end: decisions may be missing. Refuse to start."""


class Fold:
    """The epoch rule for one reader of one journal, from any point of it."""

    __slots__ = ("claims_in_a_row", "epoch", "foreign", "holder", "voids")

    def __init__(self) -> None:
        self.epoch = 0
        self.holder = ""
        self.voids = 0
        self.foreign = 0
        """Of these, records that no release wrote."""
        self.claims_in_a_row = 0
        """New claims with no valid record between: owners that died before they wrote anything (poison breaker)."""

    def admit(self, record: bytes) -> Header | None:
        """The head of the next record if it is valid, None if it is void. Feed records in the order of the log.

        Raises :class:`NewerRecordError` for a record of a newer format: what it decides is not known here.
        """
        found = _read(record)
        if found is None:
            # No owner wrote it, so it decides nothing and changes no epoch: to every reader of every release it is void.
            self.foreign += 1
            self.voids += 1
            return None
        header, claim = found
        valid = self._entry(header) if claim is None else self._claim(claim.instance, header)
        if not valid:
            self.voids += 1
            return None
        return header

    def _entry(self, header: Header) -> bool:
        # Void: somebody else had claimed before this record got its place. What it says was never decided.
        if header.epoch < self.epoch:
            return False
        if header.epoch > self.epoch:
            # The claim of this epoch lies before the fold start. Its holder is not known, so the next
            # claim of the same epoch is taken for its repetition.
            self.epoch, self.holder = header.epoch, ""
        # A valid record proves that this owner got past its start: no poison so far.
        self.claims_in_a_row = 0
        return True

    def _claim(self, instance: str, header: Header) -> bool:
        if header.epoch < self.epoch:
            return False
        # Two owners may read the same end and claim the same number. The log orders them: the first stands, for every reader.
        if header.epoch == self.epoch and self.holder not in ("", instance):
            return False
        # The holder repeats its claim after each round of restating: that is no new owner, and no sign of a crash.
        if header.epoch > self.epoch:
            self.claims_in_a_row += 1
        self.epoch, self.holder = header.epoch, instance
        return True


class Ownership:
    """Tracks one living owner of one journal: its epoch, and the offset that its next append gets if nobody writes between."""

    __slots__ = ("epoch", "gaps", "instance", "next_offset")

    def __init__(self, epoch: int, instance: str, next_offset: int) -> None:
        self.epoch = epoch
        self.instance = instance
        self.next_offset = next_offset
        self.gaps = 0

    def gap_before(self, offset: int) -> range:
        """The offsets between my previous record and the one acknowledged at ``offset``: empty in the steady state.

        ``ValueError`` if the offset is below what was acknowledged before: the log was truncated under a living owner.
        """
        if offset < self.next_offset:
            raise ValueError(f"append acknowledged at {offset}, but {self.next_offset} was to come: the log went back")
        return range(self.next_offset, offset)

    def fenced_by(self, gap: Iterable[bytes]) -> bool:
        """Returns whether the records of a gap hold a higher epoch: then my record is void and I must not act."""
        # Records of lower epochs in the gap are void, and change nothing for this one: only a higher epoch fences.
        return any(head.epoch > self.epoch for head in map(_head, gap) if head is not None)

    def confirm(self, offset: int) -> None:
        """The record at ``offset`` is mine and valid."""
        # The caller has read the gap and found only void records in it: the append is valid, and counting goes on behind it.
        self.gaps += offset != self.next_offset
        self.next_offset = offset + 1


def claim_won(fold: Fold, epoch: int, instance: str) -> bool:
    """After reading up to and including one's own claim: whether it stands. If not, claim again above ``fold.epoch``."""
    # The number alone does not say: of two claims with one number the log has made one the holder.
    return fold.epoch == epoch and fold.holder == instance


def dated(header: Header, appended_ms: int, last_ms: int = 0) -> Header:
    """Returns the head of a record with the time that counts for every reader; ``appended_ms`` is LogAppendTime.

    It is the writer's own, but at most :data:`~broker.kafka_clock.AHEAD_MS` later than Kafka's: decisions never go back before
    the last record, so one that was written by a clock an hour ahead would stop its shard for that hour. ``last_ms`` is the time
    that counts of what stands before it: a record of a later time stays one, whatever the clocks of brokers say.
    """
    # Else what a round of restating says would count as older than what it is to renew, after a leader change to a broker whose
    # clock is behind, and the round would never end.
    latest_ms = max(appended_ms + AHEAD_MS, last_ms + 1)
    return header if header.at_ms <= latest_ms else msgspec.structs.replace(header, at_ms=latest_ms)


def last_floor(records: Iterable[bytes]) -> int | None:
    """The highest floor that any claim among ``records`` carries; None if there is no claim: look further back.

    Void claims count: an owner raises its floor only after its restatements were acknowledged and checked, and what was true
    then stays true. A new owner's claim may carry a lower one than its predecessor's last.
    """
    # The maximum and not the last: a new owner that dies early hands on an older floor, and what was restated stays so.
    claims = (found[1] for found in map(_read, records) if found is not None)
    return max((claim.floor for claim in claims if claim is not None), default=None)


def _read(record: bytes) -> tuple[Header, Claim | None] | None:
    """Returns the head of a record, and what it says if it is a claim; None if no release wrote it."""
    header = _head(record)
    if header is None:
        return None
    # The head stands at a fixed place, so a record of any other kind can be judged without decoding its body.
    if header.kind is not Kind.CLAIM:
        return header, None
    try:
        return header, body_of(record, Claim)
    except UnreadableRecordError:
        return None


def _head(record: bytes) -> Header | None:
    """Returns the head of a record; None if no release wrote it."""
    try:
        return head_of(record)
    except NewerRecordError:
        raise
    except UnreadableRecordError:
        return None


def fold_start(
    floor: int | None, *, place: tuple[str, int], log_start: int, log_end: int, accepted: Container[Loss] = ()
) -> int:
    """The offset at which the fold of the journal at ``place`` begins; ``floor`` is the last claim's, None if there is no claim.

    Raises :class:`TrimmedJournalError` if the log has lost what the fold needs. What is in ``accepted`` has expired, by the
    operator's word: the fold begins where such a log does.
    """
    start = 0 if floor is None else floor
    # A claim stands behind its floor, so the log holds more than that: it was copied, or restored to other offsets.
    if floor is not None and floor >= log_end:
        raise TrimmedJournalError(
            f"a claim of the journal says that what is open begins at offset {floor}, but the journal ends at {log_end}: this is "
            "a copy at other offsets, and folded from anywhere it would forget decisions. Restore it to its offsets."
        )
    if log_start <= start:
        return start
    # What the log has lost cannot be told from what never was: only a person can know that it has expired.
    loss = Loss(*place, log_start)
    if loss in accepted:
        return log_start
    raise TrimmedJournalError(
        f"the journal begins at offset {log_start} of {log_end}, but what is open may reach back to {start}: decisions may be "
        f"lost. Restore it, or start once with FANFARE_ACCEPT_TRIMMED={loss} if everything before that has expired."
    )


def demand_claims(
    fold: Fold, *, known: int, place: tuple[str, int], log_end: int, accepted: Container[Loss] = ()
) -> None:
    """Compares a journal that was just read to ``log_end`` with the highest epoch that the gateway has seen of it.

    Raises :class:`TrimmedJournalError` if claims are missing. If that is in ``accepted``, the operator's word that whatever the
    journal held has expired, the fold goes on from the gateway's epoch: a claim below it would be fenced at its first frame.
    """
    if known <= fold.epoch + 1:
        return
    loss = Loss(*place, log_end)
    if loss not in accepted:
        raise TrimmedJournalError(
            f"the gateway knows epoch {known} of this journal, which ends at epoch {fold.epoch}: it has lost records, or the "
            "gateway serves another deployment, too. Restore it. If its Kafka was emptied on purpose, move the gateway's log "
            "away as well (of the simulated one: gateway/ in the data folder). Or start once with "
            f"FANFARE_ACCEPT_TRIMMED={loss} if everything that stood there has expired."
        )
    fold.epoch, fold.holder = known, ""
