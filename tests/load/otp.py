"""`python -m tests.load.otp`: one-time codes at a steady rate on an idle one-node Kafka, publish to gateway.

Open loop: each code is published when it is due, whatever became of the one before; its age counts from the instant it was
published until the gateway's own log says accepted. The last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from schemas.names import Lane
from schemas.request import Notification, Recipient, To
from streams import clock, log
from streams.client import Client
from streams.client.events import Head, notification
from streams.demo.summary import code_ages_ms
from streams.local.stack import StackPlan, running
from streams.quantiles import quantile
from streams.sources.people import person

_PEOPLE = 5_000


async def measure(folder: Path, *, per_second: int, seconds: int) -> dict[str, int | None]:
    """Publish for ``seconds``; samples and percentiles in milliseconds."""
    sent: dict[bytes, int] = {}
    async with running(
        StackPlan(data=folder, free_ports=True, gateway_options=("--profile", "online")), say=_say
    ) as stack:
        async with Client(stack.bootstrap) as client:

            async def one(number: int) -> None:
                who = person(3, number % _PEOPLE)
                content = Notification(
                    template="login_code",
                    params={"minutes": "5"},
                    to=To(recipients=(Recipient(who.address, locale=who.locale),)),
                )
                head = Head(source="//bank-meridian/load", id=f"{folder.name}-{number}", lifetime_ms=300_000)
                at_ms = clock.now_ms()
                published = await client.publish(Lane.OTP, notification(head, content), codes={"code": "493027"})
                sent[bytes(published.name)] = at_ms

            begun_ms = clock.monotonic_ms()
            async with asyncio.TaskGroup() as codes:
                for number in range(per_second * seconds):
                    due_ms = begun_ms + number * 1000 // per_second
                    await asyncio.sleep(max(0.0, (due_ms - clock.monotonic_ms()) / 1000))
                    codes.create_task(one(number))
        await asyncio.sleep(2)
        ages = code_ages_ms(stack.settings, sent)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    return {"samples": len(ages), **{name: quantile(ages, share) for name, share in shares.items()}}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.otp", description=__doc__)
    parser.add_argument("--per-second", type=int, default=50, help="codes a second (50)")
    parser.add_argument("--seconds", type=int, default=100, help="how long (100)")
    asked = parser.parse_args()
    log.configure(level="error", program="load")
    with tempfile.TemporaryDirectory(prefix="fanfare-otp-") as folder:
        found = asyncio.run(measure(Path(folder), per_second=asked.per_second, seconds=asked.seconds))
    print(json.dumps(found))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
