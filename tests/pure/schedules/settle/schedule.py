"""One schedule of one shard's settle, and of the ledger behind it."""

import random

from tests.pure.schedules.settle.check import violations
from tests.pure.schedules.settle.ledger import LedgerOwner
from tests.pure.schedules.settle.owner import SettleOwner
from tests.pure.schedules.settle.story import Story
from tests.pure.schedules.settle.world import SettleWorld
from tests.pure.schedules.shells.process import ShellSchedule
from tests.pure.schedules.stage import Role

MAX_OWNERS = 3
STEPS = 400
"""The evidence has come by then."""


def settle(
    seed: int,
    owner: type[SettleOwner] = SettleOwner,
    ledger: type[LedgerOwner] = LedgerOwner,
    story: Story | None = None,
) -> ShellSchedule[SettleWorld]:
    """Receipts repeated, reordered, skipped, late and forged; kills, pauses, several joiners, a ledger killed in mid-air."""
    world = SettleWorld(random.Random(seed), story)
    schedule = ShellSchedule(world, violations, Role(owner, most=MAX_OWNERS), Role(ledger, most=1, grouped=False))
    schedule.steps = schedule.traffic_steps = STEPS
    return schedule
