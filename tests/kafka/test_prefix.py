"""Two deployments share one Kafka under prefixes of their own: each has its topics, groups and bills, and no other's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from schemas.lanes import Lane
from streams.client import Client
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.kafka.admin import committed_offsets
from streams.operate.audit import audit_system
from streams.runtime.kafka_access import kafka_at
from streams.worker.resources import group_of
from tests.conftest import RealKafka
from tests.kafka.parcels import parcel
from tests.kafka.registered import silent
from tests.support.secured import as_business, on, share

PREFIXES = ("north.", "south-")
PEOPLE = 3


@pytest.fixture
async def stacks(kafka: RealKafka, tmp_path: Path) -> AsyncIterator[list[Stack]]:
    """Two deployments on the session's Kafka."""
    async with AsyncExitStack() as after:
        lent = []
        for prefix in PREFIXES:
            plan = StackPlan(
                data=tmp_path / prefix,
                free_ports=True,
                gateway_options=("--profile", "online"),
            )
            way = await share(kafka.bootstrap, prefix)
            lent.append(await after.enter_async_context(running(on(way, plan), say=silent)))
        yield lent


async def test_two_deployments_on_one_kafka_do_not_see_each_other(kafka: RealKafka, stacks: list[Stack]) -> None:
    """The same events are new to both, each is delivered by its own, and each audit counts its own alone."""
    for stack in stacks:
        async with Client(as_business(stack.kafka, "shop-parcelo")) as client, asyncio.timeout(90):
            sent = [await client.publish(Lane.UPDATE, parcel(number)) for number in range(PEOPLE)]
            ends = [await client.wait(each, until="closed", timeout_s=60) for each in sent]
        assert [end.counts for end in ends if not end.counts.keys() <= {"delivered", "read"}] == []
    for stack in stacks:
        audit = await audit_system(stack.settings)
        assert audit.total == 0
        assert sum(audit.states["update"].values()) == PEOPLE
        assert await committed_offsets(stack.kafka, group_of(Lane.UPDATE))
        lines = (stack.settings.data_dir / "logs" / "worker-update-0.log").read_text("utf-8")
        assert f'"topic":"{stack.kafka.prefix}outcomes.update"' in lines
    assert not await committed_offsets(
        msgspec.structs.replace(kafka_at(kafka.bootstrap), prefix="east."), group_of(Lane.UPDATE)
    )
