"""A list larger than its sender may tell at once, on a real Kafka, every limit on: everybody is told, at the announced pace."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.request import Evidence, Member, Notification, Optin
from schemas.status import Status
from streams.client.client import Client
from streams.client.events import Head, notification, optin, to_list
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack, StackPlan
from streams.kafka.scan import scan
from streams.operate.audit import audit_system
from streams.registry.read import read_sizes
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder
from tests.kafka.registered import silent
from tests.support.secured import as_business, running

BUSINESS = "shop-parcelo"
PEOPLE = [person(5, number) for number in range(1_000)]
RATE = 200
"""Of 1,000 a second a fifth is for campaigns."""
DEADLINE_S = 120


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment of the development registry, phones always on."""
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(plan, say=silent) as stack:
        yield stack


async def joined(client: Client, stack: Stack) -> None:
    """Everybody opts in; returns when the size of the list is known."""
    proof = Evidence(method="web_form", wording="Send me offers", source="test")
    members = tuple(Member(one.address, one.locale) for one in PEOPLE)
    await client.publish(
        Lane.CAMPAIGN, optin(Head(source=f"//{BUSINESS}/x", id="join"), Optin("offers", "join", members, proof))
    )
    while (await read_sizes(stack.kafka)).people(BUSINESS, "offers") != len(PEOPLE):
        await asyncio.sleep(0.2)


def handed_off_ms(stack: Stack) -> list[int]:
    """When the gateway took each message of the business, ascending."""
    events = read(log_folder(stack.settings.data_dir, Lane.CAMPAIGN) / FILE_NAME, GatewayEvent)
    return sorted(
        event.at_ms
        for event in events
        if event.event == "accepted" and event.business == BUSINESS
        for _, count in event.ranks
        for _ in range(count)
    )


async def test_everybody_is_told_at_the_announced_pace_whatever_is_killed(stack: Stack) -> None:
    """Accepted with people, rate and time; the worker dies on the way; nobody is lost and no second holds more than the bound."""
    async with Client(as_business(stack.kafka, BUSINESS)) as client, asyncio.timeout(DEADLINE_S):
        await joined(client, stack)
        content = Notification("offer", to_list("offers"), params={"offer": "miles", "until": "Sunday"})
        sent = await client.publish(
            Lane.CAMPAIGN, notification(Head(source=f"//{BUSINESS}/x", id="offer", lifetime_ms=3_600_000), content)
        )
        words: list[Status] = []
        killed = False
        async for status in client.follow(BUSINESS, since=sent.at_ms):
            if status.request != sent.request:
                continue
            words.append(status)
            if not killed and status.counts.get("delivered", 0) + status.counts.get("accepted", 0) > 100:
                killed = True
                await stack.processes["worker-campaign-0"].restart()
            if status.state == "closed":
                break
    accepted = words[0]
    assert (accepted.state, accepted.people, accepted.rate_per_s) == ("accepted", len(PEOPLE), RATE)
    assert accepted.eta_ms - accepted.at_ms == len(PEOPLE) * 1_000 // RATE
    assert killed
    assert any(word.state == "running" and word.eta_ms > word.at_ms for word in words)
    assert sum(words[-1].counts.values()) == len(PEOPLE)
    assert words[-1].counts.keys() <= {"delivered", "read"}
    times = handed_off_ms(stack)
    assert len(times) == len(PEOPLE)
    worst = max(sum(at_ms <= other < at_ms + 1_000 for other in times) for at_ms in times)
    assert worst <= RATE + 2 * (RATE // 100) + 2 * 0.25 * RATE
    assert (await audit_system(stack.settings)).violations == ()


async def test_sizes_stand_in_one_compacted_topic(stack: Stack) -> None:
    """An entry a shard, under its own key, told once however many lanes follow the audience."""
    async with Client(as_business(stack.kafka, BUSINESS)) as client, asyncio.timeout(DEADLINE_S):
        await joined(client, stack)
        await asyncio.sleep(3)
    keys = [record.key async for bite in scan(stack.kafka, topics.SIZES) for record in bite]
    wanted = {f"{BUSINESS}/offers/{shard}".encode() for shard in range(stack.settings.shards)}
    assert set(keys) == wanted
    assert len(keys) <= 2 * len(wanted)
