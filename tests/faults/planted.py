"""What makes each alert fire: for each of them a fault that an operator may meet, done to a running stack and healed again.

A fault is lent: it stands while its context is open and is healed when it closes. ``along`` names what may fire with it
because it is true as well, and why.
"""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from schemas import topics
from schemas.gateway_api import ReportRun, Reports, ref_of
from schemas.lanes import HOUR_MS, Lane
from schemas.request import NOTIFICATION_TYPE
from schemas.wire import timestamps
from streams.dev.kafka.distribution import obtain_distribution
from streams.dev.stack.stack import Stack
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.runtime import clock
from streams.runtime.child import Child
from streams.runtime.settings import Settings, raw
from streams.runtime.signing_secrets import signing_secrets
from streams.simulator.faults import Fault, FaultKind
from streams.simulator.signature import signed_headers
from tests.faults.backlog import backlog
from tests.faults.gateways import Lent, gateway_fault
from tests.faults.kinds import back

TAKE_OVERS: Final = 5
"""One more than the alert lets pass."""
_GARBAGE_A_SECOND: Final = 2
_FOREIGN_A_SECOND: Final = 200
_QUOTA_TOOL: Final = "kafka.admin.ConfigCommand"
_TOOL_S: Final = 60
_READER_OF_STOPS: Final = "tail-suppressions"
"""The client id under which workers follow the STOPs (``streams/kafka/tail.py``)."""


class PlantedError(Exception):
    """A fault could not be planted: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One alert's fault, in words and in deed."""

    alert: str
    words: str
    lent: Lent
    along: Mapping[str, str] = field(default_factory=dict)
    """Other alerts that may fire, and why that is right."""


def stopped(name: str) -> Lent:
    """A process is ended in order, nobody starts it again, and then somebody does."""

    @contextlib.asynccontextmanager
    async def lent(stack: Stack) -> AsyncIterator[None]:
        process = stack.processes[name]
        await process.stop()
        try:
            yield
        finally:
            await process.start()
            await process.ready()

    return lent


def hung(name: str) -> Lent:
    """A process stands still (SIGSTOP) and goes on."""

    @contextlib.asynccontextmanager
    async def lent(stack: Stack) -> AsyncIterator[None]:
        process = stack.processes[name]
        process.pause()
        try:
            yield
        finally:
            process.resume()

    return lent


@contextlib.asynccontextmanager
async def started_ahead(stack: Stack) -> AsyncIterator[None]:
    """The worker of campaigns runs on a machine whose clock is an hour ahead, and then on another one."""
    name = "worker-campaign-0"
    plan = stack.processes[name].plan
    shifted = (sys.executable, "-m", "tests.kafka.programs.shifted", str(HOUR_MS))
    async with stopped(name)(stack):
        child = await Child.start((*shifted, *plan.arguments), environment=plan.environment)
        try:
            yield
        finally:
            await child.end()


def killed_often(name: str) -> Lent:
    """A process is killed again and again, each time as soon as it is back; healed when it is left alone."""

    @contextlib.asynccontextmanager
    async def lent(stack: Stack) -> AsyncIterator[None]:
        process = stack.processes[name]
        for _ in range(TAKE_OVERS):
            ends = len(process.ended)
            process.kill()
            await back(process, ends)
        yield

    return lent


@contextlib.asynccontextmanager
async def garbage(stack: Stack) -> AsyncIterator[None]:
    """Somebody writes what is no event to ``requests.update``."""
    publisher = Publisher(stack.bootstrap)
    await publisher.start()
    writing = asyncio.create_task(_write_garbage(publisher))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        await publisher.stop()


async def _write_garbage(publisher: Publisher) -> None:
    for number in itertools.count():
        record = Outgoing(topics.requests(Lane.UPDATE), b"no event %d" % number)
        await publisher.publish(record)
        await asyncio.sleep(1 / _GARBAGE_A_SECOND)


@contextlib.asynccontextmanager
async def reserved_header(stack: Stack) -> AsyncIterator[None]:
    """Writes one record with a header that is Fanfare's own, as a producer does that copies records with their headers."""
    publisher = Publisher(stack.bootstrap)
    await publisher.start()
    try:
        event = {"specversion": "1.0", "type": NOTIFICATION_TYPE, "source": "//nobody/copies", "id": "1"}
        value = msgspec.json.encode(event | {"time": timestamps.text_of(clock.now_ms()), "data": {}})
        await publisher.publish(Outgoing(topics.requests(Lane.UPDATE), value, headers=(("fanfare-copy", b"1"),)))
    finally:
        await publisher.stop()
    yield


@contextlib.asynccontextmanager
async def receipts_of_others(stack: Stack) -> AsyncIterator[None]:
    """Posts receipts about requests that nobody made, rightly signed: those of another deployment with the same secrets."""
    async with aiohttp.ClientSession() as session:
        posting = asyncio.create_task(_post_receipts(session, stack.settings))
        try:
            yield
        finally:
            posting.cancel()
            await asyncio.wait([posting])


async def _post_receipts(session: aiohttp.ClientSession, settings: Settings) -> None:
    for number in itertools.count():
        now_ms = clock.now_ms()
        refs = [
            ref_of(raw(settings.ref_secret), Lane.UPDATE, number % settings.shards, f"{number:012}{each:04}".encode())
            for each in range(_FOREIGN_A_SECOND)
        ]
        runs = tuple(ReportRun(ref, "delivered", ((0, 1),), now_ms) for ref in refs)
        batch = Reports(f"others-{now_ms}", runs)
        body = msgspec.json.encode(batch)
        signed = signed_headers(signing_secrets(settings.webhook_secret), batch.id, now_ms, body)
        async with session.post(settings.webhook_url, data=body, headers=signed) as answer:
            await answer.read()
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def throttled_reader(stack: Stack) -> AsyncIterator[None]:
    """A quota of Kafka's holds up whoever reads the STOPs, and is lifted again."""
    await _quota(stack.bootstrap, "--add-config", "consumer_byte_rate=1,request_percentage=0.01")
    try:
        yield
    finally:
        await _quota(stack.bootstrap, "--delete-config", "consumer_byte_rate,request_percentage")


async def _quota(bootstrap: str, *change: str) -> None:
    distribution = await obtain_distribution(_unsaid)
    who = ("--entity-type", "clients", "--entity-name", _READER_OF_STOPS)
    command = distribution.command(_QUOTA_TOOL, "--bootstrap-server", bootstrap, "--alter", *who, *change)
    tool = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(_TOOL_S):
        said, _ = await tool.communicate()
    if tool.returncode:
        raise PlantedError(f"Kafka's tool did not change the quota: {said.decode(errors='replace').strip()}")


def _unsaid(_line: str) -> None:
    """The jars are there: the stack runs on them."""


_LATE: Final = "what has waited is handed off late"
_FULL: Final = "a shard that cannot hand off takes no more than 10,000 requests"

FAULTS: Final = (
    Planted(
        "FanfareGatewayRefusing",
        "the gateway of updates answers every other frame with 500",
        gateway_fault(Lane.UPDATE, Fault(FaultKind.ERROR, rate=0.5)),
    ),
    Planted(
        "FanfareGatewayRefusing",
        "the gateway of updates hangs under load",
        hung("gateway-update"),
        {"FanfareHandoffLate": _LATE, "FanfareHeartbeatLate": "nothing crosses the lane", "FanfareInputStuck": _FULL},
    ),
    Planted(
        "FanfareHandoffLate",
        "the gateway of codes takes 1.8 s for a frame",
        gateway_fault(Lane.OTP, Fault(FaultKind.LATENCY, ms=1_800)),
    ),
    Planted(
        "FanfareInputStuck",
        "the gateway throttles a shard of updates, and more than 10,000 requests to it come meanwhile",
        backlog,
        {"FanfareHandoffLate": _LATE, "FanfareHeartbeatLate": "the shard's heartbeats stand in the same queue"},
    ),
    Planted(
        "FanfareStopUnread",
        f"a quota in Kafka holds up the client {_READER_OF_STOPS}",
        throttled_reader,
        {
            "FanfareHandoffLate": _LATE,
            "FanfareHeartbeatLate": "nothing is decided meanwhile",
            "FanfareInputStuck": "nothing is decided meanwhile",
        },
    ),
    Planted(
        "FanfareGatewayClockOff",
        "the gateway's clock of updates is set 1.5 s ahead",
        gateway_fault(Lane.UPDATE, Fault(FaultKind.SKEW, ms=1_500)),
    ),
    Planted(
        "FanfareKafkaClockOff",
        "the worker of campaigns is started with its clock an hour ahead",
        started_ahead,
        {"FanfareHeartbeatLate": "with a shortened wait: starts and heartbeats take as long as ever"},
    ),
    Planted("FanfareDeadLetters", f"{_GARBAGE_A_SECOND} records a second on requests.update are no event", garbage),
    Planted(
        "FanfareOperatorNeeded",
        "somebody copies one record to requests.update with a header of Fanfare's own",
        reserved_header,
    ),
    Planted(
        "FanfareReceiptsAtOdds",
        f"{_FOREIGN_A_SECOND} receipts a second are about requests of another deployment",
        receipts_of_others,
    ),
    Planted("FanfareLedgerBehind", "the ledger is ended and not started again", stopped("ledger")),
    Planted(
        "FanfareFencedOften",
        f"the worker of campaigns is killed {TAKE_OVERS} times, each time as soon as it is back",
        killed_often("worker-campaign-0"),
        {"FanfareHeartbeatLate": "with a shortened wait: starts and heartbeats take as long as ever"},
    ),
    Planted(
        "FanfareHeartbeatLate",
        "the worker of campaigns is ended and not started again",
        stopped("worker-campaign-0"),
    ),
)
"""One or more for each alert of ``deploy/prometheus/alerts.rules.yml``."""
