"""Codes alone and beside campaigns, in alternating blocks of one run: what bulk costs them.

The bulk is ten campaigns at once, of ten numbers at the highest rate that the platform gives one: 10,000 messages a second. At
the end of its block what is left of it is cancelled, so that the next codes are alone.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from schemas.lanes import Lane
from schemas.registry import PLATFORM_RATE_PER_S
from schemas.request import Control
from streams.client import Client, Head, control
from streams.dev.stack.stack import Stack
from tests.load.codes import Sent, ages_of, send_codes, spread
from tests.load.paced import publish, until_calm
from tests.load.scenarios import BUSINESS, Ask, Scenario
from tests.load.senders import sender

BLOCKS: Final = 3
"""Of each kind."""
BLOCK_S: Final = 12
CODES_A_SECOND: Final = 50
_LEAD_S: Final = 2
"""So long a campaign is under way before the codes of its block begin."""
_NUMBERS: Final = 10
_LONGEST_S: Final = 60

BULK: Final = tuple(
    Scenario(
        f"bulk_{number}",
        sender(BUSINESS, PLATFORM_RATE_PER_S, f"bulk_{number}", campaign=100),
        (Ask(Lane.CAMPAIGN, PLATFORM_RATE_PER_S * (BLOCK_S + _LEAD_S + 1)),),
    )
    for number in range(_NUMBERS)
)
"""Their numbers have to be registered and their lists written."""


async def codes_beside(stack: Stack) -> dict[str, object]:
    """Returns p50 and p99 of codes in milliseconds, alone and beside the campaigns, and how much higher the latter p99 is."""
    sent: dict[str, Sent] = {"idle": {}, "bulk": {}}
    for block in range(2 * BLOCKS):
        kind = ("idle", "bulk")[block % 2]
        campaigns = [name for scenario in BULK for name in await publish(stack, scenario)] if kind == "bulk" else []
        if campaigns:
            await asyncio.sleep(_LEAD_S)
        first = block * BLOCK_S * CODES_A_SECOND
        sent[kind] |= await send_codes(stack, per_second=CODES_A_SECOND, seconds=BLOCK_S, first=first)
        await _cancel(stack, campaigns)
        await until_calm(stack, [Lane.CAMPAIGN, Lane.OTP], longest_s=_LONGEST_S)
    idle, bulk = (spread(ages_of(stack, sent[kind])) for kind in ("idle", "bulk"))
    ratio = (bulk["p99_ms"] or 0) / max(1, idle["p99_ms"] or 0)
    return {"idle": idle, "bulk": bulk, "p99_ratio": round(ratio, 2)}


async def _cancel(stack: Stack, campaigns: Sequence[str]) -> None:
    """What was not handed off of these requests is not any more."""
    async with Client(stack.bootstrap) as client:
        for name in campaigns:
            head = Head(source=f"//{BUSINESS}/beside", id=f"cancel-{name}")
            await client.publish(Lane.CAMPAIGN, control(head, Control("cancel", request=name)))
