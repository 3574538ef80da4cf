"""One schedule of one shard's deliver."""

import random

from tests.pure.schedules.deliver.check import violations
from tests.pure.schedules.deliver.owner import Owner
from tests.pure.schedules.deliver.world import DeliverWorld
from tests.pure.schedules.shells.process import ShellSchedule
from tests.pure.schedules.stage import Role

MAX_OWNERS = 4


def deliver(seed: int, owner: type[Owner] = Owner, *, dedupes: bool = True) -> ShellSchedule[DeliverWorld]:
    """Kills, pauses, rebalances, up to four owners, unknown and late appends, churn, STOPs, trimmed logs, jumping clocks.

    ``dedupes``: whether the gateway takes a name once, as the simulated one does.
    """
    world = DeliverWorld(random.Random(seed), dedupes=dedupes)
    return ShellSchedule(world, violations, Role(owner, most=MAX_OWNERS))
