"""Answers, for one step of a shard, what holds an item back and which slots its number has."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.deliver.control import held_by, paused
from broker.deliver.decide import Rules, whole_refusal
from broker.deliver.item import Item
from broker.deliver.limits.slots import Pace, Slots


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
