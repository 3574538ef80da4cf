"""`python -m tests.load.control`: a campaign is paused, resumed and at last cancelled while it runs; limits are on.

One list of --people on a number of --per-second. Each round pauses the campaign, waits until its numbers stand still, holds them
against the gateway's own log, and resumes it; the last word is a cancel. With --kill the worker is killed while the campaign is
held, each time. Of each word it says how long after Kafka's acknowledgement the gateway took the last message (0: none after it).
The last line is JSON; exit status 1 if anything was handed off later than the bound, if numbers and log differ, or if the auditor
found anything.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas import topics
from schemas.facts import ControlWord
from schemas.lanes import Lane
from schemas.request import Control, EventName, Notification, To
from schemas.wire.header import unpack
from streams.client import Client, Head, Published, control, notification
from streams.client.progress import Numbers, numbers_of
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.kafka.scan import scan
from streams.operate.audit import audit_system
from streams.operate.control_requests import STABLE_S, Accepted, accepted, watched
from streams.runtime import clock, log
from tests.load.crowd import write_list
from tests.load.promises import switched_off
from tests.load.scenarios import BUSINESS
from tests.load.senders import registry_with, sender
from tests.load.through import Through

BOUND_MS: Final = 100 + Lane.CAMPAIGN.rules.windows.frame_ms
_SOURCE: Final = f"//{BUSINESS}/control"
_LIST: Final = "everybody"
_HOUR_MS: Final = 3_600_000
_PATIENCE_S: Final = 120.0
_LOOK_S: Final = 0.1


@dataclass
class Controlled:
    """Runs it, and holds what came of it."""

    data: Path
    people: int
    per_s: int
    rounds: int
    run_s: float
    """How long it runs between a resume and the next word."""
    kill: bool
    """Whether the worker is killed while the campaign is held."""
    latencies_ms: list[int] = field(default_factory=list)
    differences: int = 0
    """Words after which the numbers were not those of the gateway's log."""
    figures: dict[str, object] = field(default_factory=dict)

    async def run(self) -> None:
        """Does the whole of it."""
        number = sender(BUSINESS, self.per_s, "control", campaign=100)
        plan = StackPlan(
            data=self.data,
            free_ports=True,
            registry=registry_with(self.data / "registry", number),
            restarts_a_minute=60,
        )
        async with running(plan, say=_say) as stack:
            await write_list(stack.settings, BUSINESS, _LIST, self.people)
            async with Client(stack.bootstrap) as client:
                numbers = await self._campaign(stack, client, number.id)
            found = await audit_system(stack.settings)
            for violation in found.violations:
                _say(f"{violation.invariant} {violation.name} {violation.where}: {violation.sentence}")
            self.figures |= {
                "handed_off": numbers.handed_off,
                "cancelled": numbers.cancelled,
                "violations": found.total,
                "switched_off": switched_off(stack.settings, stack.plan.gateway_options),
            }

    async def _campaign(self, stack: Stack, client: Client, sender_id: str) -> Numbers:
        content = Notification("offer", To(list=_LIST), sender=sender_id, params={"offer": "Miles", "until": "Sunday"})
        head = Head(source=_SOURCE, id=f"campaign-{clock.now_ms():x}", lifetime_ms=_HOUR_MS)
        sent = await client.publish(Lane.CAMPAIGN, notification(head, content))
        await client.wait(sent, until="answered", timeout_s=_PATIENCE_S)
        target = (await accepted(stack.bootstrap, Lane.CAMPAIGN))[sent.request]
        through = Through(stack.settings.data_dir, Lane.CAMPAIGN)
        for number in range(self.rounds):
            await _running(through, sent, through.taken[sent.request], self.run_s)
            await self._word(stack, client, (sent, target), "pause", through)
            if self.kill:
                await self._kill_while_held(stack, sent, through)
            await _say_word(client, sent, "resume", f"resume-{number}")
        await _running(through, sent, through.taken[sent.request], self.run_s)
        return await self._word(stack, client, (sent, target), "cancel", through)

    async def _word(
        self, stack: Stack, client: Client, asked: tuple[Published, Accepted], action: str, through: Through
    ) -> Numbers:
        """Says it, waits until the numbers stand still, and holds them against the gateway's log."""
        sent, target = asked
        author = await _say_word(client, sent, action, f"{action}-{len(self.latencies_ms)}")
        quiet = await watched(
            stack.bootstrap,
            [target],
            lambda newest: all(_still(numbers_of(each.counts), action) for each in newest.values()),
            stable_s=STABLE_S,
            timeout_s=_PATIENCE_S,
        )
        numbers = numbers_of(quiet[sent.request].counts)
        through.look()
        taken, said_ms = through.taken[sent.request], await _acknowledged_ms(stack, author)
        self.latencies_ms.append(max(0, through.last_ms[sent.request] - said_ms))
        differs = (numbers.handed_off, numbers.people) != (taken, self.people) or not _still(numbers, action)
        self.differences += differs
        _say(f"{action}: {numbers}, the gateway took {taken}, the last {self.latencies_ms[-1]} ms after the word")
        return numbers

    async def _kill_while_held(self, stack: Stack, sent: Published, through: Through) -> None:
        """Kills the worker: what is held stays so, and the next owner hands off nothing of it."""
        worker, before = stack.processes["worker-campaign-0"], through.taken[sent.request]
        worker.kill()
        await asyncio.sleep(_LOOK_S)
        await worker.ready()
        await asyncio.sleep(STABLE_S)
        through.look()
        self.differences += through.taken[sent.request] != before

    def told(self) -> dict[str, object]:
        """Returns the last line."""
        late = sum(latency > BOUND_MS for latency in self.latencies_ms)
        latency = {"p50": statistics.median(self.latencies_ms), "max": max(self.latencies_ms), "bound": BOUND_MS}
        return {
            "people": self.people,
            "per_s": self.per_s,
            "words": len(self.latencies_ms),
            "words_with_later_hand_offs": late,
            "differences": self.differences,
            "last_hand_off_ms": latency,
            **self.figures,
        }


def _still(numbers: Numbers, action: str) -> bool:
    return numbers.quiet and (action == "pause" or not numbers.held)


async def _running(through: Through, sent: Published, before: int, seconds: float) -> None:
    """Lets it run for a while, from the first message on."""
    async with asyncio.timeout(_PATIENCE_S):
        while through.taken[sent.request] <= before:
            await asyncio.sleep(_LOOK_S)
            through.look()
    await asyncio.sleep(seconds)


async def _say_word(client: Client, sent: Published, action: str, event_id: str) -> str:
    """Publishes the control event and waits until it is answered; returns how the word names its author."""
    head = Head(source=_SOURCE, id=event_id)
    event = control(head, Control(action, of=EventName(sent.source, sent.id)))
    await client.wait(await client.publish(Lane.CAMPAIGN, event), until="answered", timeout_s=_PATIENCE_S)
    return f"{_SOURCE} {event_id}"


async def _acknowledged_ms(stack: Stack, author: str) -> int:
    """Returns Kafka's time of a word."""
    async for bite in scan(stack.bootstrap, topics.CONTROLS):
        for record in bite:
            if unpack(record.value or b"", ControlWord)[1].by == author:
                return record.timestamp_ms
    raise AssertionError(f"no word of {author} in {topics.CONTROLS}")


def main() -> int:
    """Runs it; the last line is JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.control", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=1_000_000, metavar="N", help="people on the list (1000000)")
    parser.add_argument("--per-second", type=int, default=20_000, metavar="N", help="the number's rate (20000)")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="pauses before the cancel (10)")
    parser.add_argument(
        "--run", type=float, default=1.5, metavar="S", help="seconds between a resume and the next word"
    )
    parser.add_argument("--kill", action="store_true", help="kill -9 of the worker while the campaign is held")
    parser.add_argument("--data", type=Path, help="keep everything here; else a temporary folder")
    asked = parser.parse_args()
    log.configure(level="critical", program="control")
    with tempfile.TemporaryDirectory(prefix="fanfare-control-") as folder:
        data = (asked.data or Path(folder)).absolute()
        run = Controlled(data, asked.people, asked.per_second, asked.rounds, asked.run, asked.kill)
        asyncio.run(run.run())
    told = run.told()
    print(json.dumps(told))
    return 1 if told["words_with_later_hand_offs"] or told["differences"] or told["violations"] else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
