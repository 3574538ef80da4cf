"""The webhook as a process on real Kafka: what it believes, what stands in the log when it answers, and what a kill costs."""

import asyncio
import base64
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from broker.kafka_clock import AHEAD_MS
from schemas import topics
from schemas.facts import Inbound, Receipts, ReceiptStatus, Scope, Suppressions
from schemas.gateway_api import REPLAY_WINDOW_MS, Reply, ReportRun, Reports, ref_of
from schemas.ids import shard_of, text_of
from schemas.lanes import HOUR_MS, Lane
from schemas.registry import CONFIRMATIONS, Business, Keywords, Parameter, Sender, Template
from schemas.topics import SHARDS, catalogue
from schemas.wire.columns import ranks_of
from schemas.wire.header import unpack
from schemas.wire.sealed import AddressBook
from schemas.wire.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from streams.gateway.frames import FrameGateway
from streams.kafka import clients
from streams.kafka.provision import provision
from streams.registry.apply import write
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.settings import load, raw
from streams.runtime.signing_secrets import signing_secrets
from streams.simulator.signature import signed_headers
from tests.conftest import RealKafka
from tests.support import simulated
from tests.support.listeners import listening
from tests.support.programs import PATIENCE_S, Program, until
from tests.support.secured import as_operator, as_user
from tests.support.simulated import fresh, person

SECRETS = signing_secrets(load().webhook_secret)
OTHERS = ("whsec_" + "c" * 40,)
REF_SECRET = raw(load().ref_secret)


class RunningWebhook:
    """`fanfare webhook` on the session's Kafka."""

    def __init__(self, bootstrap: Address) -> None:
        self.bootstrap = bootstrap
        self.program = Program("webhook")

    async def start(self, **settings: object) -> None:
        """Start it; on the port that it had."""
        await self.program.start(
            "webhook", bootstrap=as_user(self.bootstrap, "webhook"), webhook_metrics_port=0, **settings
        )

    async def post(self, body: bytes, *, headers: dict[str, str] | None = None) -> int:
        """Post a batch, signed unless other headers are given; the status, 0 if the connection broke."""
        signed = signed_headers(SECRETS, "b", clock.now_ms(), body) if headers is None else headers
        try:
            async with (
                aiohttp.ClientSession(self.program.url) as session,
                session.post("/v1/reports", data=body, headers=signed) as answer,
            ):
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def records(self, topic: str) -> list[tuple[int, bytes]]:
        """(partition, value) of everything that stands in a topic now."""
        places = [clients.place(self.bootstrap, topic, partition) for partition in range(SHARDS)]
        async with clients.consumer(self.bootstrap, "test") as consumer, asyncio.timeout(PATIENCE_S):
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            for place in places:
                consumer.seek(place, 0)
            found: list[tuple[int, bytes]] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for place, batch in (await consumer.getmany(timeout_ms=100)).items():
                    found += [(place.partition, record.value) for record in batch]
            return found

    async def receipts(self, lane: Lane, request: bytes) -> list[tuple[int, int, tuple[int, ...]]]:
        """(partition, status, ranks) of each receipt about a request, repeats included."""
        return [
            (partition, run.status, tuple(ranks_of(run.ranks)))
            for partition, value in await self.records(topics.receipts(lane))
            for run in unpack(value, Receipts)[1].runs
            if run.request == request
        ]


@pytest.fixture
async def webhook(kafka: RealKafka) -> AsyncIterator[RunningWebhook]:
    """A running webhook."""
    await provision(as_operator(kafka.bootstrap), catalogue(), shards=SHARDS, dev=True, say=print)
    running = RunningWebhook(kafka.bootstrap)
    await running.start()
    yield running
    await running.program.kill()


def new_name() -> bytes:
    """A request that no other test speaks of."""
    return uuid.uuid4().bytes


def run(request: bytes, status: str = "delivered", *, lane: Lane = Lane.UPDATE, shard: int = 3) -> ReportRun:
    """A report about ranks 4 and 5."""
    return ReportRun(ref_of(REF_SECRET, lane, shard, request), status, ((4, 2),), clock.now_ms())


def batch(*runs: ReportRun, replies: tuple[Reply, ...] = ()) -> bytes:
    """A batch as it is posted."""
    return msgspec.json.encode(Reports("b", runs, replies))


async def test_what_is_answered_200_stands_in_kafka(webhook: RunningWebhook) -> None:
    """Receipts are in their lane's topic at their shard when the answer comes; a foreign one among them is set aside."""
    request = new_name()
    foreign = ReportRun(ref_of(b"x" * 32, Lane.UPDATE, 3, request), "read", ((0, 1),), 0)
    runs = (run(request), foreign, run(request, "read", shard=6), run(request, lane=Lane.OTP))
    assert await webhook.post(batch(*runs)) == 200
    assert sorted(await webhook.receipts(Lane.UPDATE, request)) == [(3, 2, (4, 5)), (6, 3, (4, 5))]
    assert await webhook.receipts(Lane.OTP, request) == [(3, 2, (4, 5))]


async def test_a_stop_stands_in_kafka_before_the_answer(webhook: RunningWebhook) -> None:
    """When the gateway has its 200, the suppression is in the person's shard and the reply is in inbound."""
    request, identity = new_name(), uuid.uuid4().hex
    ref = ref_of(REF_SECRET, Lane.CAMPAIGN, 3, request)
    said_ms = clock.now_ms() - 10
    reply = Reply(identity, "acme", "acme/main", text_of(person(1)), "text", "Stop all!", said_ms, ref, 7)
    assert await webhook.post(batch(run(request), replies=(reply,))) == 200
    entries = [
        (partition, entry)
        for partition, value in await webhook.records(topics.SUPPRESSIONS)
        for entry in unpack(value, Suppressions)[1].entries
        if entry.evidence == identity
    ]
    [(partition, entry)] = entries
    assert partition == shard_of(person(1), SHARDS)
    assert (entry.recipient, entry.scope, entry.revoke) == (person(1), Scope.ALL, True)
    assert (entry.evidence_ms, entry.request) == (said_ms, request)
    assert said_ms <= entry.received_ms <= clock.now_ms()
    inbound = [unpack(value, Inbound)[1] for _, value in await webhook.records(topics.INBOUND)]
    assert [(each.body, each.rank) for each in inbound if each.id == identity] == [("Stop all!", 7)]


@pytest.mark.parametrize(
    ("why", "age_ms", "signed", "sent"),
    [
        ("signed with another secret", 0, OTHERS, ""),
        ("another body than was signed", 0, SECRETS, " "),
        ("replayed after the window", REPLAY_WINDOW_MS + 2_000, SECRETS, ""),
        ("from the future", -REPLAY_WINDOW_MS - 2_000, SECRETS, ""),
    ],
)
async def test_unbelieved(webhook: RunningWebhook, why: str, age_ms: int, signed: tuple[str, ...], sent: str) -> None:
    """What was not signed by the gateway just now is answered 401, and nothing of it is appended."""
    request = new_name()
    body = batch(run(request))
    headers = signed_headers(signed, "b", clock.now_ms() - age_ms, body)
    assert await webhook.post(body + sent.encode(), headers=headers) == 401, why
    assert await webhook.receipts(Lane.UPDATE, request) == []


async def test_unsigned_and_unreadable(webhook: RunningWebhook) -> None:
    """No signature, or one that is none: 401. Signed, but no batch: 400."""
    body = batch(run(new_name()))
    unsigned: list[dict[str, str]] = [
        {},
        {TIMESTAMP_HEADER: "now"},
        {ID_HEADER: "b", TIMESTAMP_HEADER: "1", SIGNATURE_HEADER: "v1,\u00fc"},
    ]
    for headers in unsigned:
        assert await webhook.post(body, headers=headers) == 401
    assert [await webhook.post(other) for other in (b"", b"[]", b"\\")] == [400] * 3


async def test_killed_after_the_append(webhook: RunningWebhook) -> None:
    """Killed between append and answer it gives no answer; the repeat gives the record twice, which is one fact."""
    await webhook.program.kill()
    await webhook.start(crash_at="webhook.appended")
    request = new_name()
    body = batch(run(request))
    assert await webhook.post(body) == 0
    assert await webhook.program.died() == -signal.SIGKILL
    await webhook.start()
    assert await webhook.post(body) == 200
    assert await webhook.receipts(Lane.UPDATE, request) == [(3, 2, (4, 5))] * 2


async def test_a_stop_is_confirmed_once_whatever_dies(webhook: RunningWebhook) -> None:
    """Words and templates come from the registry; killed after the append, the repeated batch asks for the same message."""
    business, identity = f"acme-{uuid.uuid4().hex}", uuid.uuid4().hex
    said = Template(CONFIRMATIONS[0], "utility", (Parameter("business"),), {"en": "{business}"}, business=business)
    words = Keywords("nl", stop=(f"halt {identity}",))
    await write(
        webhook.bootstrap, [Business(business, "Acme"), Sender(f"{business}/main", business, "+1"), said, words]
    )
    sealed = base64.b64encode(AddressBook(load().address_book).seal("tel:+12125550123")).decode()
    plain = Reply(
        identity, business, f"{business}/main", text_of(person(1)), "text", "", clock.now_ms(), address=sealed
    )
    body = batch(replies=(msgspec.structs.replace(plain, body=f"HALT {identity}!"),))
    await webhook.program.kill()
    await webhook.start(crash_at="webhook.appended")
    assert await webhook.post(body) == 0
    await webhook.program.died()
    await webhook.start()
    assert await webhook.post(body) == 200
    asked = [event for _, value in await webhook.records("requests.update") if business in (event := value.decode())]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    event = msgspec.json.decode(asked[0])
    assert event["data"]["to"]["recipients"] == [{"address": "tel:+12125550123"}]
    assert (event["source"], event["data"]["template"]) == (f"//{business}/fanfare", CONFIRMATIONS[0])


async def test_the_gateway_repeats_until_the_webhook_is_back(webhook: RunningWebhook, tmp_path: Path) -> None:
    """Webhook away, gateway killed meanwhile: every delivery is in Kafka in the end."""
    request = new_name()
    await webhook.program.kill()
    async with listening(tmp_path, f"{webhook.program.url}/v1/reports", "--profile", "online") as gateway:
        people = simulated.section(
            range(50),
            request=request,
            expires_ms=clock.now_ms() + 3_600_000,
            ref=ref_of(REF_SECRET, Lane.CAMPAIGN, 3, request),
        )
        async with FrameGateway(gateway.url) as port:
            assert (await port.send(fresh(people), timeout_ms=5_000)).sections == ((),)
        await gateway.kill()
        await gateway.start()
        assert gateway.log("report") == []
        await webhook.start()
        await until(lambda: len(gateway.log("report")) == 2)
    receipts = await webhook.receipts(Lane.CAMPAIGN, request)
    assert {status for _, status, _ in receipts} == {ReceiptStatus.SENT, ReceiptStatus.DELIVERED}
    assert {ranks for _, _, ranks in receipts} == {tuple(range(50))}


async def test_a_webhook_that_is_started_an_hour_ahead_goes_by_kafkas_time(webhook: RunningWebhook) -> None:
    """It takes what was signed just now, and evidence has the time at which it came."""
    await webhook.program.kill()
    webhook.program.entry = (sys.executable, "-m", "tests.kafka.programs.shifted", str(HOUR_MS))
    await webhook.start()
    request, sent_ms = new_name(), clock.now_ms()
    assert await webhook.post(batch(run(request))) == 200
    taken_ms = clock.now_ms()
    bodies = [unpack(value, Receipts)[1] for _, value in await webhook.records(topics.receipts(Lane.UPDATE))]
    (received_ms,) = [run.received_ms for body in bodies for run in body.runs if run.request == request]
    assert sent_ms - AHEAD_MS <= received_ms <= taken_ms
