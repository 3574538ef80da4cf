"""One schedule of one shard's deliver."""

import random

from tests.pure.schedules.deliver.check import violations
from tests.pure.schedules.deliver.owner import Owner
from tests.pure.schedules.deliver.world import DeliverWorld
from tests.pure.schedules.stage import Role, Schedule

MAX_OWNERS = 4


def deliver(seed: int, owner: type[Owner] = Owner) -> Schedule[DeliverWorld]:
    """Kills, pauses, up to four owners, unknown and late appends, churn, STOPs, trimmed logs, jumping clocks."""
    return Schedule(DeliverWorld(random.Random(seed)), violations, Role(owner, most=MAX_OWNERS))
