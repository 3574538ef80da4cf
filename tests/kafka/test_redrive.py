"""Dead letters of a business that nobody knew, sent again once it is registered, on a real Kafka with a real worker."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from schemas import topics
from schemas.ids import partition_of
from schemas.lanes import HOUR_MS, Lane
from schemas.request import Notification, Recipient, To
from schemas.status import DeadLetter, Status
from streams.client.client import Client
from streams.client.events import Event, Head, notification
from streams.kafka.grants import worker_user
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.kafka.scan import scan
from streams.runtime.child import FANFARE, Child
from streams.runtime.kafka_access import Address
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.programs import running
from tests.support.secured import as_admin, as_business, as_user, environment

LANE = Lane.UPDATE
LATE = "acme"
"""The business that is registered after it has published."""
DEADLINE_S = 60

REGISTRATION = """\
- {kind: business, id: acme, name: Acme}
- {kind: sender, id: acme/main, business: acme, number: "+12015550188", default: true}
"""


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, with the catalogue's topics and the development registry."""
    with registered_kafka() as address:
        yield address


def parcel(number: int) -> Event:
    """A sound event of the late business."""
    to = To(recipients=(Recipient("tel:+12025550101", locale="en"),))
    body = Notification("parcel_delivered", to, params={"parcel": str(number), "event_time": "noon"})
    return notification(Head(source=f"//{LATE}/depot", id=f"{number}", lifetime_ms=HOUR_MS), body)


def working(bootstrap: Address, folder: Path) -> AbstractAsyncContextManager[Child]:
    """A worker of the lane, without a gateway."""
    way = as_user(bootstrap, worker_user(LANE))
    settings = {"bootstrap": way, "gateway_update": "http://127.0.0.1:1", "data_dir": folder}
    command = (*FANFARE, "worker", "--lane", LANE.word)
    return running(command, folder / "worker.log", shards=SHARDS, worker_metrics_port=0, **settings)


async def letters(bootstrap: Address, count: int) -> list[DeadLetter]:
    """All dead letters, once there are so many."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = [record async for bite in scan(bootstrap, topics.DEAD_LETTERS) for record in bite]
            if len(found) >= count:
                return [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in found]
            await asyncio.sleep(0.2)


async def verdicts(bootstrap: Address, ids: set[str]) -> dict[str, str]:
    """Id -> what the late business was told about each of ``ids`` by plan."""
    told: dict[str, str] = {}
    async with asyncio.timeout(DEADLINE_S):
        while set(told) < ids:
            async for bite in scan(bootstrap, topics.status(LATE)):
                for record in bite:
                    status = msgspec.convert(msgspec.json.decode(record.value or b"")["data"], Status)
                    told.setdefault(status.id, f"{status.state} {status.reason}".strip())
            await asyncio.sleep(0.2)
    return told


async def fanfare(bootstrap: Address, *arguments: str) -> tuple[list[str], str]:
    """A command run to its end: lines of its output, and its standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streams.cli", *arguments),
        env=environment(bootstrap=bootstrap, shards=SHARDS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0, (out + said).decode()
    return out.decode().splitlines(), said.decode()


def outcomes(lines: list[str]) -> list[str]:
    """The first words of each line but the summary."""
    return sorted(line[:13].strip() for line in lines[:-1])


async def test_what_nobody_could_be_told_of_is_accepted_once_its_business_is_known(
    bootstrap: Address, tmp_path: Path
) -> None:
    """Refused again while nothing has changed; then sent once, accepted, and not sent a second time. Junk stays.

    One letter stands there twice, as after a worker's death: its record is sent once.
    """
    async with working(bootstrap, tmp_path):
        async with Client(as_business(bootstrap, LATE)) as client:
            for number in range(3):
                await client.publish(LANE, parcel(number))
        publisher = Publisher(as_admin(bootstrap))
        await publisher.start()
        home = partition_of(LATE.encode(), SHARDS)
        await publisher.publish(Outgoing(topics.requests(LANE), b"{", key=LATE.encode(), partition=home))
        found = await letters(bootstrap, 4)
        assert {one.reason for one in found} == {"unknown_business", "invalid_json"}
        again = next(one for one in found if one.business == LATE)
        await publisher.publish(Outgoing(topics.DEAD_LETTERS, msgspec.json.encode(again)))
        await publisher.stop()

        lines, _ = await fanfare(bootstrap, "dead-letters", "redrive")
        assert outcomes(lines) == ["refused again"] * 5

        (tmp_path / "acme.yaml").write_text(REGISTRATION)
        await fanfare(bootstrap, "registry", "apply", str(tmp_path / "acme.yaml"))
        chosen = ("--where", f"business={LATE}")
        lines, _ = await fanfare(bootstrap, "dead-letters", "redrive", "--dry-run", *chosen)
        assert outcomes(lines) == ["sent before", *["would send"] * 3]
        lines, said = await fanfare(bootstrap, "dead-letters", "redrive", "--max", "1", *chosen)
        assert outcomes(lines) == ["sent"]
        assert [msgspec.json.decode(line)["attempt"] for line in said.splitlines() if '"redriven"' in line] == [2]
        lines, _ = await fanfare(bootstrap, "dead-letters", "redrive")
        assert outcomes(lines) == ["refused again", "sent", "sent", "sent before", "sent before"]
        assert await verdicts(bootstrap, {"0", "1", "2"}) == dict.fromkeys("012", "accepted")

        lines, _ = await fanfare(bootstrap, "dead-letters", "redrive", *chosen)
        assert outcomes(lines) == ["sent before"] * 4
        lines, _ = await fanfare(bootstrap, "dead-letters", "ls", "--reason", "unknown_business")
        shown, _ = await fanfare(bootstrap, "dead-letters", "show", lines[1].split()[0])
        assert "parcel_delivered" in shown[-1]
        assert len(await letters(bootstrap, 5)) == 5
    closed, _ = await fanfare(bootstrap, "audit", "--data", str(tmp_path))
    assert msgspec.json.decode(closed[-1])["violations"] == 0
