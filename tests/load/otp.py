"""From publish to the gateway for one-time codes: ``python -m tests.load.otp [--seconds 100] [--per-s 50]``.

A stack of its own on one idle Kafka node: sealed codes to people drawn by seed, phones online, Poisson arrivals, limits on.
The first five seconds warm up and are not counted. Ends with one line of JSON: ``{"samples","p50_ms","p99_ms"}``.
"""

import argparse
import tempfile
from pathlib import Path
from random import Random

import uvloop

from schemas.names import Lane, text_of
from schemas.request import Notification, Recipient, To
from streams import clock
from streams.client.client import Client
from streams.client.events import Head, notification
from streams.sources.logins import BUSINESS, CODE_LIFETIME_MS, TEMPLATE
from streams.sources.people import person
from streams.stack import Stack, StackPlan, running
from tests.load.gauges import ages, all_accepted, at_pace, cpu_by_process, end, quantile, say

_SEED = 1
_WARM_UP_S = 5


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=101)
    parser.add_argument("--per-s", type=float, default=50)
    options = parser.parse_args()
    end(uvloop.run(_measure(options.seconds, options.per_s)))


async def _measure(seconds: int, per_s: float) -> dict[str, int | None]:
    with tempfile.TemporaryDirectory(prefix="fanfare-otp-") as folder:
        plan = StackPlan(data=Path(folder), free_ports=True, gateway_options=("--profile", "online"))
        async with running(plan, say=say) as stack, Client(stack.bootstrap) as client:
            await _codes(stack, client, f"{per_s:g}-warm", count=int(_WARM_UP_S * per_s), per_s=per_s)
            before = cpu_by_process(stack)
            times = await _codes(stack, client, f"{per_s:g}", count=int(seconds * per_s), per_s=per_s)
            used = cpu_by_process(stack)
    shares = {name: f"{(used[name] - before[name]) / seconds / 10_000:.1f} %" for name in used}
    say(f"  CPU while codes were sent: {shares}")
    say(f"  slowest, ms: {times[-5:]}")
    return {"samples": len(times), "p50_ms": quantile(times, 0.5), "p99_ms": quantile(times, 0.99)}


async def _codes(stack: Stack, client: Client, run: str, *, count: int, per_s: float) -> list[int]:
    """Publish codes and wait for the gateway; the age of each in milliseconds, ascending."""
    dice = Random(_SEED)
    sent: dict[str, int] = {}

    async def send(number: int) -> None:
        who, now_ms = person(_SEED, number), clock.now_ms()
        body = Notification(
            TEMPLATE, To(recipients=(Recipient(who.address, locale=who.locale),)), params={"minutes": "5"}
        )
        head = Head(source=f"//{BUSINESS}/load", id=f"{run}-{number}", time_ms=now_ms, lifetime_ms=CODE_LIFETIME_MS)
        code = f"{dice.randrange(10**6):06d}"
        placed = await client.publish(Lane.OTP, notification(head, body), codes={"code": code})
        sent[text_of(placed.name)] = now_ms

    await at_pace(send, per_s=per_s, count=count, seed=_SEED)
    taken = await all_accepted(stack, Lane.OTP, sent)
    lost = sent.keys() - taken.keys()
    if lost:
        say(f"  {len(lost)} of {len(sent)} codes did not reach the gateway")
    return ages(sent, taken)


if __name__ == "__main__":
    main()
