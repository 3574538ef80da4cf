"""One schedule of one partition's plan."""

import random

from tests.pure.schedules.plan.check import violations
from tests.pure.schedules.plan.owner import PlanOwner
from tests.pure.schedules.plan.world import PlanWorld
from tests.pure.schedules.stage import Role, Schedule

MAX_OWNERS = 4


def plan(seed: int, owner: type[PlanOwner] = PlanOwner) -> Schedule[PlanWorld]:
    """Kills, pauses, up to four owners, repeated and re-routed events, a changing registry, trimmed logs, jumping clocks."""
    return Schedule(PlanWorld(random.Random(seed)), violations, Role(owner, most=MAX_OWNERS))
