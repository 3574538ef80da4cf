"""An opt-out that the gateway answers, on a real Kafka: it outlives a kill before it was told, and holds from then on."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from schemas import topics
from schemas.facts import Scope, Suppression, Suppressions
from schemas.gateway_api import GatewayEvent
from schemas.ids import recipient_id, text_of
from schemas.lanes import Lane
from schemas.request import Evidence, Member, Notification, Optin
from schemas.wire.header import body_of
from streams.client.client import Client
from streams.client.events import Head, notification, optin, to_list
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack, StackPlan
from streams.kafka.scan import scan
from streams.operate.audit import audit_system
from streams.runtime.settings import raw
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.phone_users import Profile
from streams.simulator.program import log_folder
from tests.kafka.registered import silent
from tests.support.secured import as_business, running

BUSINESS = "shop-parcelo"
PEOPLE = [person(5, number) for number in range(12)]
DEADLINE_S = 60


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment in which everybody has stopped marketing in the platform's settings, and no heartbeat interferes."""
    profile = tmp_path / "profile.json"
    profile.write_bytes(msgspec.json.encode(Profile(*(0,) * 11, stopped_marketing=10_000)))
    plan = StackPlan(
        data=tmp_path / "data",
        free_ports=True,
        gateway_options=("--profile", str(profile)),
        fields={"heartbeat_ms": 3_600_000},
    )
    async with running(plan, say=silent) as stack:
        yield stack


async def offered(client: Client, number: int) -> str:
    """Publish an offer to the list and wait until all have an end; the request's name."""
    content = Notification("offer", to_list("offers"), params={"offer": "miles", "until": "Sunday"})
    sent = await client.publish(
        Lane.CAMPAIGN, notification(Head(source=f"//{BUSINESS}/x", id=f"offer-{number}"), content)
    )
    async for status in client.follow(BUSINESS, since=sent.at_ms):
        if status.request == text_of(sent.name) and status.counts == {"recipient_opted_out": len(PEOPLE)}:
            break
    return text_of(sent.name)


async def suppressed(stack: Stack) -> list[Suppression]:
    """Everything that stands in the suppressions."""
    records = [record async for bite in scan(stack.kafka, topics.SUPPRESSIONS) for record in bite]
    return [entry for record in records for entry in body_of(record.value or b"", Suppressions).entries]


def asked_of_the_gateway(stack: Stack, request: str) -> int:
    """How many messages of a request came to the gateway."""
    events = read(log_folder(stack.settings.data_dir, Lane.CAMPAIGN) / FILE_NAME, GatewayEvent)
    return sum(count for event in events if event.request == request for _, count in event.ranks)


async def test_an_answered_opt_out_is_suppressed_whatever_dies(stack: Stack) -> None:
    """The worker is killed between the answer and its telling; all are told, and the second offer goes to nobody."""
    members = tuple(Member(one.address, one.locale) for one in PEOPLE)
    proof = Evidence(method="web_form", wording="Send me offers", source="test")
    async with Client(as_business(stack.kafka, BUSINESS)) as client, asyncio.timeout(2 * DEADLINE_S):
        joining = optin(Head(source=f"//{BUSINESS}/x", id="join"), Optin("offers", "join", members, proof))
        await client.publish(Lane.CAMPAIGN, joining)
        worker = stack.processes["worker-campaign-0"]
        await worker.restart(FANFARE_CRASH_AT="deliver.answered")
        await worker.ready()
        first = await offered(client, 1)
        assert [end.status for end in worker.ended] == [0, -signal.SIGKILL]
        wanted = {recipient_id(raw(stack.settings.pepper), one.address) for one in PEOPLE}
        while {entry.recipient for entry in await suppressed(stack)} != wanted:
            await asyncio.sleep(0.1)
        second = await offered(client, 2)
    entries = await suppressed(stack)
    assert {(entry.business, entry.scope, entry.revoke) for entry in entries} == {(BUSINESS, Scope.OFFERS, True)}
    assert asked_of_the_gateway(stack, first) >= len(PEOPLE)
    assert asked_of_the_gateway(stack, second) == 0
    assert (await audit_system(stack.settings)).violations == ()
