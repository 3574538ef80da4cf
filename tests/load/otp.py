"""`python -m tests.load.otp`: one-time codes at a steady rate on an idle one-node Kafka, publish to gateway.

How they are sent and timed stands in :mod:`tests.load.codes`. The last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from streams.dev.recordings.playback import Latencies
from streams.dev.stack.stack import StackPlan, running
from streams.runtime import log
from tests.load.codes import SENDER, ages_of, send_codes
from tests.load.promises import switched_off
from tests.load.senders import registry_with


async def measure(folder: Path, *, per_second: int, seconds: int) -> dict[str, object]:
    """Publish for ``seconds``; samples and percentiles in milliseconds."""
    plan = StackPlan(data=folder, free_ports=True, registry=registry_with(folder / "registry", SENDER))
    async with running(plan, say=_say) as stack:
        sent = await send_codes(stack, per_second=per_second, seconds=seconds)
        await asyncio.sleep(2)
        ages = Latencies(ages_of(stack, sent))
        off = switched_off(stack.settings, plan.gateway_options)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    return {
        "samples": len(ages),
        **{name: ages.quantile(share) for name, share in shares.items()},
        "switched_off": off,
    }


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
