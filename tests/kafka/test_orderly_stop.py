"""SIGTERM with a message on its way to the gateway: the answer is waited for and journaled by the owner that sent it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.deliver.state import body_of_outcome
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.request import Notification
from schemas.wire.header import head_of
from streams.client import Client, Head, notification, to_people
from streams.dev.stack.stack import Stack, StackPlan
from streams.kafka.scan import scan
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder
from tests.kafka.registered import silent
from tests.support.secured import as_business, running

LANE = Lane.UPDATE
SLOW_MS = 500
"""How long the gateway takes: less than an orderly stop waits, and more than a process needs to end."""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment whose gateway is slow, and in which no heartbeat interferes."""
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "latency", "ms": SLOW_MS, "lane": LANE.word}]))
    plan = StackPlan(
        data=tmp_path / "data",
        free_ports=True,
        gateway_options=("--profile", "online", "--faults", str(faults)),
        fields={"heartbeat_ms": 3_600_000},
    )
    async with running(plan, say=silent) as stack:
        yield stack


async def epochs(stack: Stack, what: str) -> list[int]:
    """Under which epochs deliver's journal holds sections of a kind: ``decided``, ``answered``."""
    found = []
    async for bite in scan(stack.kafka, topics.outcomes(LANE)):
        for record in bite:
            header = head_of(record.value or b"")
            body = body_of_outcome(header, record.value or b"")
            found += [header.epoch] * (len(getattr(body, what)) if isinstance(body, Outcome) else 0)
    return found


def at_the_gateway(stack: Stack) -> list[str]:
    """What the gateway logged of messages."""
    events = read(log_folder(stack.settings.data_dir, LANE) / FILE_NAME, GatewayEvent)
    return [event.event for event in events if event.event in {"accepted", "repeated"}]


async def test_what_is_in_the_air_is_answered_before_the_end(stack: Stack) -> None:
    """Decided and answered under one epoch, with exit status 0; the next owner has nothing to ask again."""
    worker = stack.processes["worker-update-0"]
    content = Notification(
        template="parcel_delivered",
        params={"parcel": "PX-1", "event_time": "6:38 pm"},
        to=to_people("tel:+12125550123"),
    )
    event = notification(Head(source="//shop-parcelo/parcels", id="delivered-1", lifetime_ms=3_600_000), content)
    async with Client(as_business(stack.kafka, "shop-parcelo")) as client, asyncio.timeout(60):
        await client.publish(LANE, event)
        while not (decided := await epochs(stack, "decided")):
            await asyncio.sleep(0.01)
        worker.terminate()
        while not worker.ended:
            await asyncio.sleep(0.01)
        answered = await epochs(stack, "answered")
        await worker.ready()
    assert [end.status for end in worker.ended] == [0]
    assert answered == decided
    assert at_the_gateway(stack) == ["accepted"]
