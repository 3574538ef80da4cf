"""A running campaign is paused, resumed and cancelled on a real Kafka: nothing leaves later, and the numbers are exact."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.request import Control, Evidence, Member, Notification, Optin, Sealed
from schemas.status import Status
from streams.client import Client, Head, Published, control, notification, optin, to_list, to_people
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack, StackPlan
from streams.operate.audit import audit_system
from streams.operate.scrape import processes, scrape_all
from streams.runtime import clock
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.phone_users import Profile
from streams.simulator.program import log_folder
from tests.kafka.registered import silent
from tests.support.secured import as_business, running

BUSINESS: Final = "shop-parcelo"
SOURCE: Final = f"//{BUSINESS}/crm"
PEOPLE: Final = 15_000
"""Fifteen seconds at the sender's 1,000 a second."""
PER_EVENT: Final = 3_000
BOUND_MS: Final = 100 + Lane.CAMPAIGN.rules.windows.frame_ms
DEADLINE_S: Final = 120


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment with every limit on, whose people have their phones with them."""
    profile = tmp_path / "profile.json"
    profile.write_bytes(msgspec.json.encode(Profile(*(0,) * 12)))
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", str(profile)))
    async with running(plan, say=silent) as stack:
        yield stack


async def fanfare(stack: Stack, *arguments: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streams.cli", *arguments),
        env=stack.environment(),
        stdout=PIPE,
        stderr=PIPE,
    )
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return said.decode()


async def campaign(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What `fanfare campaign` prints as JSON."""
    (line,) = (await fanfare(stack, "campaign", *arguments, "-o", "json")).splitlines()
    return msgspec.json.decode(line, type=dict[str, Any])


def taken(stack: Stack, sent: Published) -> list[tuple[int, int]]:
    """When the gateway took messages of a request, and how many."""
    events = read(log_folder(stack.settings.data_dir, Lane.CAMPAIGN) / FILE_NAME, GatewayEvent)
    return [
        (event.at_ms, sum(count for _, count in event.ranks))
        for event in events
        if event.event == "accepted" and event.request == sent.request
    ]


def count(stack: Stack, sent: Published) -> int:
    """How many messages of a request the gateway has taken."""
    return sum(many for _, many in taken(stack, sent))


async def until_taken(stack: Stack, sent: Published, least: int) -> None:
    """Wait until the gateway has taken so many."""
    while count(stack, sent) < least:
        await asyncio.sleep(0.05)


async def offer(client: Client, number: int) -> Published:
    """An offer to everybody."""
    content = Notification("offer", to_list("offers"), params={"offer": "miles", "until": "Sunday"})
    event = notification(Head(source=SOURCE, id=f"offer-{number}", lifetime_ms=3_600_000), content)
    return await client.publish(Lane.CAMPAIGN, event)


async def test_a_campaign_is_held_goes_on_and_ends(stack: Stack) -> None:
    """Paused while it runs, held through a kill -9, resumed, cancelled; the gateway's log says what the numbers say."""
    async with Client(as_business(stack.kafka, BUSINESS)) as client, asyncio.timeout(DEADLINE_S):
        proof = Evidence(method="web form", wording="Send me offers", source="test")
        for first in range(0, PEOPLE, PER_EVENT):
            people = (person(7, number) for number in range(first, first + PER_EVENT))
            members = tuple(Member(one.address, one.locale) for one in people)
            joining = optin(Head(source=SOURCE, id=f"join-{first}"), Optin("offers", "join", members, proof))
            await client.wait(await client.publish(Lane.CAMPAIGN, joining), until="answered")
        sent = await offer(client, 1)
        await until_taken(stack, sent, 1_000)

        paused = await campaign(stack, "pause", sent.request)
        told_ms = clock.now_ms()
        numbers = paused["numbers"]
        assert paused["state"] == "paused"
        assert numbers["handed_off"] == count(stack, sent)
        assert numbers["held"] == PEOPLE - numbers["handed_off"] > 0
        assert numbers["people"] == PEOPLE

        assert stack.processes["worker-campaign-0"].kill()
        await everybody_else_is_told(stack)
        assert count(stack, sent) == numbers["handed_off"]
        assert max(at_ms for at_ms, _ in taken(stack, sent)) <= told_ms

        await campaign(stack, "resume", SOURCE, "offer-1")
        await until_taken(stack, sent, numbers["handed_off"] + 1_000)
        cancelled = await campaign(stack, "cancel", SOURCE, "offer-1")
        numbers = cancelled["numbers"]
        assert numbers["handed_off"] == count(stack, sent)
        assert numbers["cancelled"] == PEOPLE - numbers["handed_off"] > 0
        status = await client.wait(sent, until="closed", since=sent.at_ms)
        assert status.counts["cancelled"] == numbers["cancelled"]

    seconds = await slowest_s(stack, Lane.CAMPAIGN, "control")
    assert seconds is not None
    assert seconds <= 2 * BOUND_MS / 1000
    found = await audit_system(stack.settings)
    assert found.violations == ()
    assert found.counts["controls"] == found.counts["commands"] == 3


async def parcel(client: Client, number: int) -> Published:
    """An update about a parcel to one person."""
    params: dict[str, str | Sealed] = {"parcel": f"PX-{number}", "event_time": "noon"}
    content = Notification("parcel_delivered", to_people(person(7, number).address), params=params)
    head = Head(source=SOURCE, id=f"parcel-{number}", lifetime_ms=3_600_000, subject=f"parcel/{number}")
    return await client.publish(Lane.UPDATE, notification(head, content))


def is_held(status: Status) -> bool:
    """Whether its one message waits for a resume."""
    return status.counts == {"held": 1}


async def test_operators_stop_a_sender_and_a_business_a_subject(stack: Stack) -> None:
    """What comes later is held, too; each lets go what it holds itself; explain tells of both."""
    async with Client(as_business(stack.kafka, BUSINESS)) as client, asyncio.timeout(DEADLINE_S):
        await fanfare(stack, "control", "pause", "--sender", f"{BUSINESS}/main", "--lane", "update")
        assert f"update   sender   {BUSINESS}/main" in await fanfare(stack, "control", "ls")
        sent = await parcel(client, 1)
        await client.wait(sent, until=is_held)
        pause = control(Head(source=SOURCE, id="pause-1"), Control("pause", subject="parcel/1"))
        await client.wait(await client.publish(Lane.UPDATE, pause), until="answered")
        await fanfare(stack, "control", "resume", "--sender", f"{BUSINESS}/main")
        await client.wait(await parcel(client, 2), until="closed")
        shown = await campaign(stack, "show", "--subject", "parcel/1", "--business", BUSINESS, "--lane", "update")
        assert (shown["state"], shown["numbers"]["held"]) == ("paused", 1)
        cancelled = await campaign(stack, "cancel", "--subject", "parcel/1", "--business", BUSINESS, "--lane", "update")
        assert cancelled["numbers"]["cancelled"] == 1
        story = await fanfare(stack, "explain", SOURCE, "parcel-1", "--lane", "update")
        for line in ("the sender shop-parcelo/main is paused, by operator", "what is not handed off is held in shard"):
            assert line in story
        assert "the subject parcel/1 is cancelled, by //shop-parcelo/fanfare-campaign" in story
    assert (await audit_system(stack.settings)).violations == ()


async def test_it_is_measured_how_soon_a_stop_is_obeyed(stack: Stack) -> None:
    """From Kafka's acknowledgement of a STOP until no frame of before it is in the air, in each lane that it is about."""
    said = {"phone": person(7, 3).address, "business": BUSINESS, "text": "STOP"}
    way = as_business(stack.kafka, BUSINESS)
    async with Client(way) as client, aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE_S):
        await client.wait(await parcel(client, 3), until="closed")
        await session.post(f"{stack.settings.gateway_url(Lane.UPDATE)}/v1/replies", json=said, raise_for_status=True)
        for lane in (Lane.UPDATE, Lane.CAMPAIGN):
            while (seconds := await slowest_s(stack, lane, "stop")) is None:
                await asyncio.sleep(0.05)
            assert seconds <= 2 * BOUND_MS / 1000


async def everybody_else_is_told(stack: Stack) -> None:
    """Another business's offer goes out meanwhile, in every shard."""
    proof = Evidence(method="web form", wording="Send me offers", source="test")
    members = tuple(Member(person(9, number).address) for number in range(64))
    async with Client(as_business(stack.kafka, "airline-ua")) as client:
        head = Head(source="//airline-ua/crm", id="join", lifetime_ms=3_600_000)
        joining = optin(head, Optin("offers", "join", members, proof))
        await client.wait(await client.publish(Lane.CAMPAIGN, joining), until="answered")
        content = Notification("offer", to_list("offers"), params={"offer": "seats", "until": "Sunday"})
        head = Head(source="//airline-ua/crm", id="offer", lifetime_ms=3_600_000)
        sent = await client.publish(Lane.CAMPAIGN, notification(head, content))
        await client.wait(sent, until="closed")


async def slowest_s(stack: Stack, lane: Lane, word: str) -> float | None:
    """The upper bound of the slowest observation of the worker's histogram; None if it has none."""
    worker = [process for process in processes(stack.settings) if process.name == f"worker {lane.word}"]
    (scrape,) = await scrape_all(stack.settings, worker)
    buckets = scrape.buckets("fanfare_control_latency_seconds", lane=lane.word, word=word)
    all_of_them = buckets.get(float("inf"), 0)
    return min(bound for bound, count in buckets.items() if count == all_of_them) if all_of_them else None
