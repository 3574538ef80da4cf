"""HTTP intake as a process on real Kafka: what stands in the log when it answers 202, who is let in, what outages cost."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count

import aiohttp
import msgspec
import pytest

from broker.registry.fold import Registry
from schemas import topics
from schemas.ids import partition_of, request_name, text_of
from schemas.lanes import Lane
from schemas.registry import ApiKey
from schemas.topics import catalogue
from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.intake.admission import MAX_OF_ONE, digest_of
from streams.kafka.provision import provision
from streams.kafka.scan import Record, scan
from streams.operate.scrape import Process, scrape_all
from streams.registry.apply import changes, read_files, write
from streams.runtime import clock
from streams.runtime.ports import free_ports
from streams.runtime.settings import dev_intake_key, load
from tests.acceptance.http_inputs import SHOP, Answer, Call, call_of, send
from tests.acceptance.inputs import CANARY
from tests.kafka.registered import REGISTRY_FILES, SHARDS, silent
from tests.support.programs import PATIENCE_S, Program
from tests.support.secured import as_asked, as_operator, as_user

_ids = count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kafka of this module's own, which may be paused, with the catalogue's topics and the development registry."""
    with asyncio.Runner() as runner:
        started = runner.run(start_cluster(data=tmp_path_factory.mktemp("kafka"), say=silent, secured=as_asked()))
        try:
            runner.run(provision(as_operator(started.kafka), catalogue((SHOP,)), shards=SHARDS, dev=True, say=silent))
            runner.run(write(as_operator(started.kafka), changes(read_files(REGISTRY_FILES), Registry())))
            yield started
        finally:
            runner.run(started.stop())


class Running:
    """`fanfare intake`, and a client of it."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.program = Program("intake")
        self._session = session

    async def send(self, call: Call) -> Answer:
        """The answer to a request."""
        return await send(self._session, self.program.url, call)

    async def records(self, lane: Lane, event_id: str) -> list[Record]:
        """The records of an event, as they stand in its lane."""
        found = [record async for bite in scan(self.cluster.kafka, topics.requests(lane)) for record in bite]
        return [record for record in found if msgspec.json.decode(record.value or b"{}").get("id") == event_id]


@contextlib.asynccontextmanager
async def running(cluster: Cluster, **settings: object) -> AsyncIterator[Running]:
    """An intake that listens."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        intake = Running(cluster, session)
        fields = {"bootstrap": as_user(cluster.kafka, "intake"), "shards": SHARDS, "intake_metrics_port": 0, **settings}
        try:
            await intake.program.start("intake", **fields)
            yield intake
        finally:
            await intake.program.kill()


@pytest.fixture
async def intake(cluster: Cluster) -> AsyncIterator[Running]:
    """A running intake."""
    async with running(cluster) as started:
        yield started


def new_call(*, lane: Lane = Lane.UPDATE, business: str = SHOP) -> Call:
    """A sound request with an id of its own."""
    return call_of(f"event-{next(_ids)}", clock.now_ms(), lane=lane, business=business)


async def test_what_is_answered_202_stands_in_kafka(intake: Running) -> None:
    """Byte for byte, under the business's key in its partition; the answer names the request and where its statuses come."""
    for lane, business in ((Lane.OTP, "bank-meridian"), (Lane.UPDATE, SHOP), (Lane.CAMPAIGN, "airline-ua")):
        call = new_call(lane=lane, business=business)
        answer = await intake.send(call)
        name = text_of(request_name(lane, call.event["source"], call.event["id"]))
        assert answer.status == 202
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.told == {"name": name, "lane": lane.word, "status_topic": f"status.{business}"}
        (record,) = await intake.records(lane, call.event["id"])
        assert (record.key, record.value) == (business.encode(), call.body)
        assert record.partition == partition_of(business.encode(), SHARDS)
        assert record.headers == (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


async def test_binary_mode_becomes_the_same_bytes_each_time(intake: Running) -> None:
    """Attributes from headers, percent-encoded ones too; in Kafka it is one event in structured mode."""
    call = new_call()
    sent = dict(call.event)
    call.binary(subject="%E2%82%AC%205", time=f'"{sent["time"]}"')
    first, again = await intake.send(call), await intake.send(call)
    assert (first.status, again.told) == (202, first.told)
    one, two = await intake.records(Lane.UPDATE, sent["id"])
    assert one.value == two.value
    assert msgspec.json.decode(one.value or b"") == {**sent, "subject": "€ 5"}


async def test_a_batch_is_taken_whole_and_in_order(intake: Running) -> None:
    """One answer an event, in the batch's order; with one that is wrong, none is taken."""
    calls = [new_call() for _ in range(20)]
    batch = new_call()
    batch.batch(*(call.event for call in calls))
    answer = await intake.send(batch)
    names = [text_of(request_name(Lane.UPDATE, call.event["source"], call.event["id"])) for call in calls]
    assert (answer.status, [told["name"] for told in answer.told]) == (202, names)
    places = [(await intake.records(Lane.UPDATE, call.event["id"]))[0].offset for call in calls]
    assert places == sorted(places)
    sound, wrong = new_call(), new_call()
    wrong.event["data"]["template"] = "none"
    batch.batch(sound.event, wrong.event)
    assert [error["place"] for error in (await intake.send(batch)).errors] == ["/1/data/template"]
    assert await intake.records(Lane.UPDATE, sound.event["id"]) == []


async def test_a_key_works_from_its_registration_until_it_is_switched_off(intake: Running) -> None:
    """Without a restart; a second key of the business goes on."""
    entry = ApiKey("rotated", SHOP, digest_of("a key of the shop"))
    call = new_call()
    call.head("Authorization", "Bearer a key of the shop")
    assert (await intake.send(call)).status == 401
    for active, wanted in ((True, 202), (False, 401)):
        await write(as_operator(intake.cluster.kafka), [msgspec.structs.replace(entry, active=active)])
        async with asyncio.timeout(PATIENCE_S):
            while (await intake.send(call)).status != wanted:
                await asyncio.sleep(0.05)
    assert (await intake.send(call)).headers["WWW-Authenticate"].startswith("Bearer")
    assert (await intake.send(new_call())).status == 202


HEAD = (
    "POST /v1/events?lane=update HTTP/1.1\r\nHost: intake\r\nContent-Type: application/cloudevents+json\r\nConnection: close\r\n"
    f"Authorization: Bearer {dev_intake_key('bank-meridian')}\r\n"
).encode()


async def raw(intake: Running, sent: bytes) -> bytes:
    """What comes back for these bytes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.program.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()


UNREADABLE = {
    "a long header": HEAD + b"X: " + CANARY.encode() * 2_000 + b"\r\n\r\n",
    "200 headers": HEAD + b"".join(b"X-%d: kanarie\r\n" % n for n in range(200)) + b"\r\n",
    "a long target": b"POST /v1/events?lane=" + CANARY.encode() * 2_000 + b" HTTP/1.1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}kanarie",
    "length and chunks": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nkanarie\r\n",
    "TLS": b"\x16\x03\x01\x02\x00kanarie\r\n\r\n",
}


async def test_a_head_that_cannot_be_read_is_a_problem_too(intake: Running) -> None:
    """400 and the end of the connection; nothing of it is repeated."""
    for name, sent in UNREADABLE.items():
        head, _, body = (await raw(intake, sent)).partition(b"\r\n\r\n")
        assert b" 400 Bad Request" in head, name
        assert b"application/problem+json" in head, name
        assert msgspec.json.decode(body)["errors"][0]["reason"] == "bad_head", name
        assert CANARY.encode() not in body, name


async def test_a_body_is_only_asked_for_if_its_head_is_in_order(intake: Running) -> None:
    """``Expect: 100-continue``, which curl sends before a large body."""
    asking = b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert (await raw(intake, HEAD + asking + b"{}")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400")
    assert (await raw(intake, HEAD.replace(b"Bearer", b"Basic") + asking)).startswith(b"HTTP/1.1 401")


async def test_without_kafka_nothing_is_lost_and_nothing_is_doubled(intake: Running) -> None:
    """As many as there is room for wait and get 503, more get 429; sent again when Kafka is back, each is 202, with its bytes."""
    calls = [new_call() for _ in range(MAX_OF_ONE + 3)]
    assert (await intake.send(new_call())).status == 202
    intake.cluster.pause_node(1)
    try:
        slow = asyncio.ensure_future(raw(intake, HEAD + b"Content-Length: 20\r\n\r\n{"))
        answers = await asyncio.gather(*(intake.send(call) for call in calls))
    finally:
        intake.cluster.resume_node(1)
    assert (await slow).startswith(b"HTTP/1.1 408")
    told = Counter((answer.status, answer.headers["Retry-After"], answer.errors[0]["reason"]) for answer in answers)
    assert told == {(503, "2", "kafka_away"): MAX_OF_ONE, (429, "1", "too_many_in_flight"): 3}
    async with asyncio.timeout(PATIENCE_S):
        while (await intake.send(calls[0])).status != 202:
            await asyncio.sleep(0.1)
    assert {(await intake.send(call)).status for call in calls[1:]} == {202}
    for call in calls:
        assert {record.value for record in await intake.records(Lane.UPDATE, call.event["id"])} == {call.body}


async def test_a_kill_costs_an_answer_and_no_event(intake: Running) -> None:
    """Every 202 stands in Kafka after ``kill -9``; whoever got none repeats, and it is taken."""
    calls = [new_call() for _ in range(50)]
    sent = [asyncio.ensure_future(intake.send(call)) for call in calls]
    await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
    await intake.program.kill()
    ended = await asyncio.gather(*sent, return_exceptions=True)
    await intake.program.start(
        "intake", bootstrap=as_user(intake.cluster.kafka, "intake"), shards=SHARDS, intake_metrics_port=0
    )
    for call, answer in zip(calls, ended, strict=True):
        if isinstance(answer, Answer):
            assert answer.status == 202
            assert await intake.records(Lane.UPDATE, call.event["id"])
        else:
            assert (await intake.send(call)).status == 202


async def test_it_counts_its_answers_and_says_that_it_is_ready(cluster: Cluster) -> None:
    """By outcome, and events by lane; nobody's key or source is among the labels."""
    (port,) = free_ports(1)
    async with running(cluster, intake_metrics_port=port) as intake:
        batch, unknown = new_call(), new_call()
        batch.batch(*(new_call().event for _ in range(3)))
        unknown.head("Authorization", "Bearer nobody's")
        assert [(await intake.send(call)).status for call in (batch, new_call(), unknown)] == [202, 202, 401]
        (found,) = await scrape_all(load(), [Process("intake", port)])
    assert found.ready == "ok"
    assert found.total("fanfare_intake_requests_total", outcome="accepted") == 2
    assert found.total("fanfare_intake_requests_total", outcome="no_key") == 1
    assert found.total("fanfare_intake_events_total", lane="update") == 4
    assert found.total("fanfare_intake_seconds_count") == 3
    assert found.highest("fanfare_intake_in_flight") == 0
