"""What must hold of pace and patience at the end of every schedule: slots, waits, and nobody given up too early.

Slots are reckoned anew here: slot m of a number begins at ceil(m * q / R) and belongs to shard m mod S (PROTOCOL.md section 5).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from broker.deliver.limits.slots import FRAME_LATE_MS, LATE_MS
from broker.journal import Fold
from schemas.delivery_journal import Answered, Decided, Outcome
from schemas.gateway_api import Code
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.wire.columns import of_i64s, of_u32s, ranks_of, values_of
from schemas.wire.header import Kind
from tests.pure.schedules.deliver.world import PER_S, SHARDS, DeliverWorld, outcome_in

QUANTUM = PER_S // 20
CALM_MS = 8_000
"""Who has so long after the trouble is told."""
_ALLOWED = (
    frozenset(State) - {State.PENDING}
    | {reason for reason in MESSAGE_REASONS if reason < Reason.UNREACHABLE}
    | {Reason.CRASHED_WORKER}
)
"""What deliver may say by itself; everything else the gateway must have said."""
_CODES = {Reason.UNREACHABLE: Code.UNDELIVERABLE, Reason.EXPIRED: Code.EXPIRED}
_THROTTLES = frozenset({Code.SENDER_THROTTLED, Code.PAIR_THROTTLED})

Key = tuple[bytes, int]


class PaceBook:
    """The journal once more, for what it says of slots and times."""

    def __init__(self, world: DeliverWorld) -> None:
        self.found: list[str] = []
        self.decided_ms: dict[Key, list[int]] = defaultdict(list)
        """When each message was decided to be sent, by the clock of who decided."""
        self._world = world
        self._items = {item.request: item for item in world.items}
        self._used: Counter[tuple[object, int]] = Counter()
        """Messages by sender and slot, each in the oldest that it may have used."""
        self._due_ms: dict[Key, int] = {}
        fold = Fold()
        for _, _, record in world.journal.whole:
            header = fold.admit(record)
            body = None if header is None or header.kind is Kind.CLAIM else outcome_in(record)
            if header is not None and isinstance(body, Outcome):
                for decided in body.decided:
                    self._decided(decided, header.at_ms)
                for answered in body.answered:
                    self._answered(answered)

    def _decided(self, decided: Decided, said_ms: int) -> None:
        item = self._items[decided.request]
        dues, sent = iter(of_i64s(decided.due_ms)), []
        for rank, status in zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True):
            key = (decided.request, rank)
            self._allow(status, item.terms.expires_ms)
            if status == State.WAITING:
                self._due_ms[key] = next(dues)
            elif status == State.SENDING:
                sent.append(rank)
                self.decided_ms[key].append(said_ms)
                if said_ms < self._due_ms.pop(key, 0):
                    self.found.append("decided before it was due")
        over = _place(self._used, item.terms.sender, len(sent), said_ms) if item.per_s else 0
        if over:
            self.found.append(f"{over} messages more than the slots hold that began not long before")

    def _answered(self, answered: Answered) -> None:
        columns = (of_u32s(answered.except_ranks), answered.except_statuses, of_u32s(answered.except_codes))
        dues = of_i64s(answered.except_due_ms)
        for (rank, status, code), due_ms in zip(zip(*columns, strict=True), dues, strict=True):
            key = (answered.request, rank)
            if not code or status == State.IN_DOUBT:  # whose code is the reason why the gateway may not be asked again
                self._allow(status, self._items[answered.request].terms.expires_ms)
                continue
            said = self._world.gateway.refusals.get((*key, answered.gateway_ms))
            if said is None or said.code != code:
                self.found.append(f"answered {code}, which the gateway did not say")
            elif status == State.WAITING:
                self._due_ms[key] = due_ms
                if code in _THROTTLES and due_ms < self.decided_ms[key][-1] + said.retry_after_ms:
                    self.found.append(f"told to wait {said.retry_after_ms} ms, and due before")
            elif status not in _CODES or _CODES[Reason(status)] != code:
                self.found.append(f"given up as {status} for code {code}")

    def _allow(self, status: int, expires_ms: int) -> None:
        if status not in _ALLOWED:
            self.found.append(f"deliver ended a message by itself as {status}")
        if status == Reason.EXPIRED and expires_ms >= self._world.calm_ms + CALM_MS:
            self.found.append("expired, although all was calm for long before")


def pace_violations(world: DeliverWorld) -> list[str]:
    """Returns every broken promise about pace and patience, as a sentence."""
    book = PaceBook(world)
    return [*book.found, *_frames(world, book)]


def _frames(world: DeliverWorld, book: PaceBook) -> Iterator[str]:
    """Yields a sentence for each frame that left long after its decision, and with more than the slots until then hold."""
    paced = {item.request for item in world.items if item.per_s}
    used: Counter[tuple[object, int]] = Counter()
    for frame in world.sends:
        late = 0
        for key in frame.ranks:
            before = [at_ms for at_ms in book.decided_ms.get(key, ()) if at_ms <= frame.at_ms]
            late += key[0] in paced and bool(before) and frame.at_ms - before[-1] > FRAME_LATE_MS
        over = _place(used, frame.epoch, late, frame.at_ms)
        if over:
            yield f"handed off {over} late messages that no slot had room for"


def _place(used: Counter[tuple[object, int]], whose: object, count: int, at_ms: int) -> int:
    """Puts ``count`` messages into the oldest slots that may be used at a time; returns how many found no room."""
    for slot_ms in _slots_at(at_ms):
        if at_ms - LATE_MS <= slot_ms <= at_ms:
            granted = min(count, QUANTUM - used[whose, slot_ms])
            used[whose, slot_ms] += granted
            count -= granted
    return count


def _slots_at(at_ms: int) -> list[int]:
    """Returns when the slots of this shard around a time begin, the oldest first."""
    number = at_ms * PER_S // (1_000 * QUANTUM) // SHARDS
    return [-(-(number + turn) * SHARDS * 1_000 * QUANTUM // PER_S) for turn in range(-LATE_MS * PER_S // 1_000 - 1, 2)]
