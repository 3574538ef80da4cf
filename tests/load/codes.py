"""One-time codes at a steady rate, publish to gateway, and how old they were when the gateway took them.

Open loop: each code is published when it is due, whatever became of the one before. Its age counts from the instant it was
published until the gateway's own log says accepted: two readings of one machine's clock in whole milliseconds.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.lanes import Lane
from schemas.registry import Sender
from schemas.request import Notification, Recipient, To
from streams.client import Client
from streams.client.events import Head, notification
from streams.dev.demo.summary import code_ages_ms
from streams.dev.recordings.playback import Latencies
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack
from streams.runtime import clock
from tests.load.senders import sender

SENDER: Final[Sender] = sender("bank-meridian", 1_000, otp=100)
"""The number that has to be registered."""
_PEOPLE: Final = 5_000
_SEED: Final = 3
_LIFETIME_MS: Final = 300_000

Sent = dict[bytes, int]
"""Request to the time of its publishing."""


async def send_codes(stack: Stack, *, per_second: int, seconds: float, first: int = 0) -> Sent:
    """Publishes so many codes a second for a while, to person number ``first`` and those after; each is acknowledged."""
    sent: Sent = {}
    run = uuid.uuid4().hex
    async with Client(stack.bootstrap) as client:

        async def one(number: int) -> None:
            who = person(_SEED, (first + number) % _PEOPLE)
            to = To(recipients=(Recipient(who.address, locale=who.locale),))
            content = Notification(template="login_code", params={"minutes": "5"}, to=to)
            head = Head(source="//bank-meridian/load", id=f"{run}-{number}", lifetime_ms=_LIFETIME_MS)
            at_ms = clock.now_ms()
            published = await client.publish(Lane.OTP, notification(head, content), codes={"code": "493027"})
            sent[bytes(published.name)] = at_ms

        begun_ms = clock.monotonic_ms()
        async with asyncio.TaskGroup() as codes:
            for number in range(round(per_second * seconds)):
                due_ms = begun_ms + number * 1000 // per_second
                await asyncio.sleep(max(0.0, (due_ms - clock.monotonic_ms()) / 1000))
                codes.create_task(one(number))
    return sent


def ages_of(stack: Stack, sent: Mapping[bytes, int]) -> list[int]:
    """Returns the ages of these codes as the gateway took them, ascending, milliseconds."""
    return code_ages_ms(stack.settings, sent)


def spread(ages_ms: Sequence[int]) -> dict[str, int | None]:
    """Returns median and 99th percentile of ages."""
    ages = Latencies(ages_ms)
    return {"p50_ms": ages.quantile(0.5), "p99_ms": ages.quantile(0.99)}
