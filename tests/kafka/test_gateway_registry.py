"""A business that is registered while everything runs: its messages are delivered, and no process was started again."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.lanes import Lane
from schemas.request import Notification
from streams.client.client import Client
from streams.client.events import Head, notification, to_people
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack, StackPlan
from tests.kafka.registered import silent
from tests.support.secured import as_business, running

BAKERY = Path(__file__).parents[2] / "deploy" / "dev" / "examples" / "bakery.yaml"
PEOPLE = 20


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment whose people are all online."""
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(plan, say=silent) as stack:
        yield stack


async def register(stack: Stack) -> None:
    """Run `fanfare registry apply`."""
    command = (sys.executable, "-m", "streams.cli", "registry", "apply", str(BAKERY))
    applying = await asyncio.create_subprocess_exec(*command, env=stack.environment(), stdout=DEVNULL, stderr=DEVNULL)
    assert await applying.wait() == 0


async def test_a_business_of_ones_own_is_delivered_at_once(stack: Stack) -> None:
    """Twenty messages of a business that was registered a moment ago reach their phones; the gateways were not restarted."""
    await register(stack)
    async with Client(as_business(stack.kafka, "bakery")) as client, asyncio.timeout(60):
        sent = [
            await client.publish(
                Lane.UPDATE,
                notification(
                    Head(source="//bakery/shop", id=f"order-{number}", lifetime_ms=3_600_000),
                    Notification("order_ready", to_people(person(5, number).address), params={"order": str(number)}),
                ),
            )
            for number in range(PEOPLE)
        ]
        ends = [await client.wait(each, until="closed", timeout_s=60) for each in sent]
    assert [end.counts for end in ends if not end.counts.keys() <= {"delivered", "read"}] == []
    gateways = [process for process in stack.processes.values() if process.name.startswith("gateway")]
    assert [(process.name, process.starts) for process in gateways if process.starts > 1] == []
