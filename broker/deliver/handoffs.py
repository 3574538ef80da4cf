"""Keeps what is decided and not answered: in the order of the journal, but for what has to wait by itself.

Four things wait by themselves and hold up nobody else: messages whose slot went by before their frame could leave (until the
next slot of their number), messages of a business whose frame the gateway refused as a whole (until its Retry-After is over),
messages that the answer to their frame says nothing of (for a back-off), and messages of a paused request that may be out
already (until it is resumed or over).
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from broker.deliver.decide import Rules
from broker.deliver.frame import Batch, Part, batches_again, in_doubt
from broker.deliver.gate import StepGate, held_by, set_apart
from broker.deliver.gateway_answer import backoff_ms
from broker.deliver.limits.slots import FRAME_LATE_MS
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import ShardState
from schemas.delivery_journal import Answered

UNANSWERED: Final = "\0unanswered"
"""Stands for what messages without an answer wait for. No sender or business begins so."""


class HandOffs:
    """The decided chunks of one shard. At most one is in the air."""

    __slots__ = ("_queue", "_waiting", "in_flight")

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._queue: deque[Batch] = deque(batches)
        self._waiting: Counter[str] = Counter()
        """Chunks by what they wait for: a sender (its slot) or a business (the gateway's patience)."""
        self.in_flight: Batch | None = None

    def add(self, batch: Batch) -> None:
        """Queue a chunk that was decided just now."""
        self._queue.append(batch)

    def again(self, batch: Batch) -> None:
        """Put a chunk that was not answered before all others."""
        # First again, so that chunks leave in the order of the journal.
        self._queue.appendleft(batch)
        self.in_flight = None

    def unanswered(self, batch: Batch, policy: DeliverPolicy, now_ms: int) -> list[Answered]:
        """Let a chunk go again under the same names; or return that it is in doubt, where it may not (PROTOCOL.md rule 10)."""
        # Where neither gateway nor lane makes a repeat harmless, nobody knows whether the person has the message.
        if batch.maybe_sent and not policy.resends_unknown:
            self.in_flight = None
            return in_doubt(batch)
        batch.tries += 1
        # A quarter of what one message would wait: everything in the order of the journal waits behind this chunk.
        wait_ms = backoff_ms(batch.parts[0].request, 0, batch.tries, policy.retry_ceiling_ms)
        batch.retry_ms = now_ms + wait_ms // 4
        self.again(batch)
        return []

    def answered(self, batch: Batch, but: list[Part], policy: DeliverPolicy, now_ms: int) -> list[Answered]:
        """Note that a chunk is answered, ``but`` these parts: they go again by themselves, or are in doubt (rule 10)."""
        self.in_flight = None
        if not but:
            return []
        apart = batch.apart(but)
        # The frame arrived, and its answer is silent about these: they may have been shown.
        apart.maybe_sent = True
        apart.tries += 1
        if not policy.resends_unknown:
            return in_doubt(apart)
        wait_ms = backoff_ms(but[0].request, but[0].ranks[0], apart.tries, policy.retry_ceiling_ms)
        self.park(apart, UNANSWERED, now_ms + wait_ms // 4)
        return []

    def throttled(self, batch: Batch, state: ShardState, until_ms: int) -> None:
        """Ask for each business of a chunk alone; if it is the only one, let it wait for the gateway's patience with it."""
        self.in_flight = None
        own = split_by_business(batch, state)
        if len(own) > 1:
            # Each goes before all others, so the last one that is put there is the first to leave.
            for each in reversed(own):
                self.again(each)
        else:
            self.park(batch, state.items[batch.parts[0].request].terms.business, until_ms)

    def park(self, batch: Batch, waits_for: str, until_ms: int) -> None:
        """Let a chunk wait by itself for a sender's slot or a business's turn."""
        batch.waits_for, batch.retry_ms = waits_for, until_ms
        self._waiting[waits_for] += 1
        self._queue.append(batch)

    def park_held(self, batch: Batch, state: ShardState, rules: Rules, now_ms: int) -> None:
        """Let what is held and may be out already wait as it is, by itself."""
        for apart, until_ms in set_apart(batch, state, rules, now_ms):
            self.park(apart, held_by(apart.parts[0].request), until_ms)

    def park_late(self, batch: Batch, state: ShardState, gate: StepGate) -> None:
        """Let what missed its slot wait for the next one of its number, by itself."""
        for sender, (waiting, slot_ms) in without_slot(batch, state, gate, gate.now_ms).items():
            self.park(waiting, sender, slot_ms)

    def unpark(self, batch: Batch) -> str | None:
        """Note that a chunk waits no more; return what it waited for if nothing else waits for the same."""
        waited_for, batch.waits_for = batch.waits_for, ""
        if not waited_for:
            return None
        self._waiting[waited_for] -= 1
        if self._waiting[waited_for]:
            return None
        del self._waiting[waited_for]
        return waited_for

    def recall(self, waits_for: str) -> None:
        """Look at once at what waits for something that begins so: whatever held it may be over."""
        for batch in self._queue:
            if batch.waits_for.startswith(waits_for):
                batch.retry_ms = 0

    def waits(self, waits_for: str) -> bool:
        """Return whether anything waits for this sender's slot, or for the gateway's patience with this business."""
        return waits_for in self._waiting

    @property
    def ahead(self) -> int:
        """Chunks that wait for the gateway in the order of the journal."""
        return sum(not batch.waits_for for batch in self._queue)

    def take(self, now_ms: int) -> Batch | None:
        """Take out the next chunk that may leave. One in the order of the journal waits for those before it."""
        blocked = False
        for at, batch in enumerate(self._queue):
            ready = batch.retry_ms <= now_ms
            if ready and (batch.waits_for or not blocked):
                # A parked chunk holds back nobody but itself: only those in the order of the journal block what is behind them.
                del self._queue[at]
                return batch
            blocked |= not batch.waits_for
        return None

    def next_ms(self) -> int | None:
        """Return when a chunk may leave; None if there is none."""
        return min((batch.retry_ms for batch in self._queue), default=None)

    def __len__(self) -> int:
        return len(self._queue)


def recovered(state: ShardState, policy: DeliverPolicy) -> tuple[list[Batch], list[Answered]]:
    """Returns what a new owner hands off again of what was decided and not answered, and what it leaves in doubt instead."""
    # Recovery repeats the act and never the decision (PROTOCOL.md rule 3): the same names go again.
    batches = batches_again(state, policy.chunk)
    if policy.resends_unknown:
        return batches, []
    return [], [answered for batch in batches for answered in in_doubt(batch)]


def split_by_business(batch: Batch, state: ShardState) -> list[Batch]:
    """Returns one chunk for each business in ``batch``: a gateway that refuses a frame as a whole may mean one of them."""
    parts: dict[str, list[Part]] = {}
    for part in batch.parts:
        parts.setdefault(state.items[part.request].terms.business, []).append(part)
    return [batch.apart(own) for own in parts.values()]


def without_slot(batch: Batch, state: ShardState, gate: StepGate, now_ms: int) -> dict[str, tuple[Batch, int]]:
    """Takes out of ``batch`` the paced messages that have no slot to leave in: by sender, with the time of the next one.

    A chunk that leaves soon after its decision uses the slot it was decided in. Any other takes what the present slots hold.
    """
    # What has been tried before, or is late, may share its second with newer slots: it must pay for one again, or the
    # rate bound of broker/deliver/limits/slots.py would not hold across a stall.
    fresh = not batch.maybe_sent and not batch.tries and now_ms - batch.decided_ms <= FRAME_LATE_MS
    if fresh and not batch.waits_for:
        return {}
    later: dict[str, tuple[Batch, int]] = {}
    kept: list[Part] = []
    for part in batch.parts:
        item = state.items[part.request]
        if not item.paced:
            kept.append(part)
            continue
        sender, pace = item.terms.sender, gate.pace(item)
        slot_ms, left = pace.slot_ms(now_ms), gate.left(sender, pace)
        granted, rest = part.ranks[:left], part.ranks[left:]
        if granted:
            gate.slots.spend(sender, slot_ms, len(granted))
            kept.append(Part(part.request, granted, part.attempt, part.suppressed_upto))
        if rest:
            waiting, _ = later.setdefault(sender, (batch.apart([]), pace.next_ms(slot_ms)))
            waiting.parts.append(Part(part.request, rest, part.attempt, part.suppressed_upto))
    batch.parts = kept
    return later
