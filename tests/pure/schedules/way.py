"""The whole way behind plan: what one schedule of deliver wrote and handed off is what one of settle joins and bills.

Stages meet in logs alone, so one may run after the other: nothing that happens in the later changes the earlier.
"""

from tests.pure.schedules.deliver.schedule import deliver
from tests.pure.schedules.deliver.world import DeliverWorld
from tests.pure.schedules.settle.schedule import settle
from tests.pure.schedules.settle.story import Handed, Story


class Way:
    """A run by its seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def run(self) -> list[str]:
        """Every broken promise: of deliver, or else of what follows."""
        first = deliver(self._seed)
        return first.run() or settle(self._seed, story=_story(first.world)).run()


def _story(world: DeliverWorld) -> Story:
    """What deliver leaves to settle."""
    handed = [Handed(one.request, one.rank, one.at_ms) for one in world.gateway.log]
    return Story(world.items, world.journal.whole, handed)
