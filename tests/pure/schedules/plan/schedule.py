"""One schedule of one partition's plan."""

import random

from tests.pure.schedules.plan.check import violations
from tests.pure.schedules.plan.owner import PlanOwner
from tests.pure.schedules.plan.world import PlanWorld
from tests.pure.schedules.shells.process import ShellSchedule
from tests.pure.schedules.stage import Role

MAX_OWNERS = 4


def plan(seed: int, owner: type[PlanOwner] = PlanOwner) -> ShellSchedule[PlanWorld]:
    """Kills, pauses, rebalances, up to four owners, repeated and re-routed events, a changing registry, trimmed logs, clocks."""
    return ShellSchedule(PlanWorld(random.Random(seed)), violations, Role(owner, most=MAX_OWNERS))
