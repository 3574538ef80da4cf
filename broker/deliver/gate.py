"""Holds back what may not leave a shard now: what words of control pause, whose business has to wait, and who has no slot.

*Control.* The topic ``controls`` is the truth, asked at every decision and every frame; the journal only tells settle what
stands, so that counts are exact (``Held``). A pause is said when it binds and a resume before it is used: between the two
nothing of the request is decided to be sent.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from broker.deliver.decide import Rules, whole_refusal
from broker.deliver.frame import Batch, Part
from broker.deliver.item import Item
from broker.deliver.limits.slots import Pace, Slots
from broker.deliver.state import ShardState
from broker.standing import Controls, Ruling, Standing
from schemas.delivery_journal import Held

HELD_BY_CONTROL: Final = "\0control/"
"""Prefix of the key that items and chunks held by a pause wait under. No sender or business begins so."""
ASLEEP_TIMES: Final = 4
"""So many times as many items may sleep beside those that go on: about 3 KB of memory each."""
_MOST: Final = 4_096
"""Said in one append: about 30 bytes each."""
_NEVER: Final = -2


def held_by(request: bytes) -> str:
    """Returns what an item and its chunks wait for while words of control hold it."""
    return HELD_BY_CONTROL + request.hex()


def paused(item: Item, controls: Controls) -> bool:
    """Returns whether nothing of an item may be decided to be sent: it is held, or the journal says so still."""
    said = item.held is not None and item.held.held
    return said or controls.ruling(item.request, item.terms).standing is Standing.HELD


def set_apart(batch: Batch, state: ShardState, rules: Rules, now_ms: int) -> Iterator[tuple[Batch, int]]:
    """Takes out of ``batch`` what is held and may be out already: it waits as it is, each part with when it expires.

    It is not asked about again while it is held: the gateway might take for the first time what an earlier try lost.
    """
    if not batch.maybe_sent:
        return
    kept: list[Part] = []
    for part in batch.parts:
        item = state.items[part.request]
        if whole_refusal(item, rules, now_ms) is None and paused(item, rules.facts.controls):
            yield batch.apart([part]), item.terms.expires_ms
        else:
            kept.append(part)
    batch.parts = kept


def is_full(held: int, asleep: int, most: int) -> bool:
    """Returns whether a shard that holds so many items, of which so many are not to be decided now, takes no more.

    It takes ``most`` that compete for the gateway, and :data:`ASLEEP_TIMES` as many that do not.
    """
    return held - min(asleep, ASLEEP_TIMES * most) >= most


class ControlNews(NamedTuple):
    """Tells what words of control have changed."""

    cancelled: list[Item]
    freed: list[bytes]
    """Requests that were held, and go on before the journal has said so."""


class ControlWatch:
    """Notices words of control, and knows what the journal does not say of them yet. Made anew for each ownership."""

    __slots__ = ("_binding", "_due", "_opened", "_upto")

    def __init__(self) -> None:
        self._upto = _NEVER
        self._opened: list[bytes] = []
        self._due: dict[bytes, None] = {}
        self._binding: dict[bytes, int] = {}
        """Requests that a new word holds or ends, and its offset, until nothing of them is in the air."""

    def opened(self, requests: Iterable[bytes]) -> None:
        """Look at these requests as well: they were opened just now."""
        self._opened += requests

    def look(self, state: ShardState, controls: Controls) -> ControlNews | None:
        """Returns what words have changed since the last look; None if there was none, and nothing was opened."""
        names, self._opened = self._opened, []
        before, news = self._upto, controls.upto != self._upto
        if not news and not names:
            return None
        self._upto = controls.upto
        # Without a new word only what was opened since the last look can stand differently.
        items = list(state.items.values()) if news else [item for name in names if (item := state.items.get(name))]
        waiting = set(self._due)
        cancelled = [item for item in items if self._look_at(item, controls, before)]
        return ControlNews(cancelled, [request for request in waiting if request not in self._due])

    def _look_at(self, item: Item, controls: Controls, before: int) -> bool:
        ruling = controls.ruling(item.request, item.terms)
        unsaid = _unsaid(item, ruling)
        cancelled = ruling.standing is Standing.CANCELLED and not item.cancelled
        item.cancelled = item.cancelled or cancelled
        if unsaid is not None:
            self._due[item.request] = None
        else:
            self._due.pop(item.request, None)
        # Only words that came while this owner served: to a new owner all of them are old, and none says how fast it obeys.
        if before > _NEVER and ruling.upto > before and (cancelled or (unsaid is not None and unsaid.held)):
            self._binding[item.request] = ruling.upto
        return cancelled

    def bound(self, in_flight: Batch | None) -> list[int]:
        """Returns the offset of a word for each request that it has stopped here: nothing more of it leaves. Each once."""
        if not self._binding:
            return []
        flying = set() if in_flight is None else {part.request for part in in_flight.parts}
        still = {request: upto for request, upto in self._binding.items() if request in flying}
        stopped = [upto for request, upto in self._binding.items() if request not in flying]
        self._binding = still
        return stopped

    def due(self, state: ShardState, controls: Controls) -> tuple[Held, ...]:
        """Returns what to say with the next append, whatever else it holds."""
        said: list[Held] = []
        for request in list(self._due)[:_MOST]:
            item = state.items.get(request)
            section = None if item is None else _unsaid(item, controls.ruling(request, item.terms))
            if section is None:
                del self._due[request]
            else:
                said.append(section)
        return tuple(said)

    @property
    def pending(self) -> bool:
        """Returns whether there is something to say."""
        return bool(self._due)


def _unsaid(item: Item, ruling: Ruling) -> Held | None:
    """Returns what the journal has to say about an item; None if it says it already, or if the item ends by a cancel."""
    said = item.held is not None and item.held.held
    held = ruling.standing is Standing.HELD
    if ruling.standing is Standing.CANCELLED or held == said:
        return None
    return Held(item.request, held, ruling.upto)


@dataclass(frozen=True, slots=True)
class StepGate:
    """The scheduler's view of the world in one step (:class:`broker.deliver.scheduler.Gate`)."""

    rules: Rules
    slots: Slots
    """Slots that this owner has used, for new decisions and for messages that it could not hand off in time."""
    waits: Callable[[str], bool]
    """Asks whether chunks wait for a sender's slot, or for the gateway's patience with a business."""
    now_ms: int
    """The time of the step, milliseconds since the epoch."""

    def left(self, sender: str, pace: Pace) -> int:
        """Return how many messages of a number its slots hold now."""
        return self.slots.left(sender, pace, self.now_ms)

    def pace(self, item: Item) -> Pace:
        """Return the slots of an item's number, at the rate that is registered now."""
        policy = self.rules.policy
        per_s = self.rules.facts.rate_of(item.terms.sender, item.opened.item.per_s)
        return Pace(per_s or 1, policy.shard, policy.shards)

    def busy(self, sender: str) -> bool:
        """Return whether messages of a number are decided and wait for a slot to be handed off in."""
        return self.waits(sender)

    def held(self, item: Item) -> str | None:
        """Return what holds an item back: a pause, or its business, while the gateway wants to hear nothing of it.

        Who a paused list's members are is frozen all the same, so that it is known how many wait.
        """
        business = item.terms.business
        if self.over(item):
            return None
        if item.frozen and self.paused(item):
            return held_by(item.request)
        return business if self.waits(business) else None

    def paused(self, item: Item) -> bool:
        """Return whether words of control hold an item."""
        return paused(item, self.rules.facts.controls)

    def over(self, item: Item) -> bool:
        """Return whether the same refusal now holds for all that is left of an item."""
        return whole_refusal(item, self.rules, self.now_ms) is not None
