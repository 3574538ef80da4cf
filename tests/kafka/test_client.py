"""The producers' client on a real Kafka: thousands published and answered, a broker that restarts, a producer that breaks."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import aclosing

import msgspec
import pytest
from aiokafka.errors import OutOfOrderSequenceNumber

from broker.registry.fold import Registry
from schemas import topics
from schemas.ids import partition_of
from schemas.lanes import HOUR_MS, Lane
from schemas.request import Notification
from schemas.status import Status
from schemas.topics import catalogue
from schemas.wire.cloudevents import encode_status
from streams.client import (
    Client,
    Event,
    Following,
    Head,
    NoBrokerError,
    Outcome,
    Publication,
    Published,
    SealKey,
    StillOpenError,
    SyncClient,
    notification,
    to_people,
)
from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.kafka import clients
from streams.kafka.grants import worker_user
from streams.kafka.producer import Outgoing
from streams.kafka.provision import provision
from streams.kafka.publisher import Place, Publisher, PublishError
from streams.kafka.scan import Record, scan
from streams.registry.apply import changes, read_files, write
from streams.runtime.kafka_access import Address
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC
from tests.kafka.registered import REGISTRY_FILES, SHARDS, silent
from tests.support.secured import as_asked, as_operator, as_user, environment

SHOPS = ("shop-parcelo", "airline-ua")
QUIET = "bank-meridian"
"""A business that nobody answers: no worker of its lane runs."""
DEADLINE_S = 60
KEY = SealKey(DEV_SEAL_KID, bytes.fromhex(DEV_SEAL_PUBLIC))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kafka of this module's own, with the topics of three businesses and the development registry."""
    with asyncio.Runner() as runner:
        started = runner.run(start_cluster(data=tmp_path_factory.mktemp("kafka"), say=silent, secured=as_asked()))
        try:
            address = as_operator(started.kafka)
            runner.run(provision(address, catalogue((*SHOPS, QUIET)), shards=SHARDS, dev=True, say=silent))
            runner.run(write(address, changes(read_files(REGISTRY_FILES), Registry())))
            yield started
        finally:
            runner.run(started.stop())


@pytest.fixture(scope="module")
def bootstrap(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The way in of the operator, who may read of every shop; beside works a worker of the update lane: it answers."""
    folder = tmp_path_factory.mktemp("worker")
    own = environment(
        bootstrap=as_user(cluster.kafka, worker_user(Lane.UPDATE)),
        shards=SHARDS,
        worker_metrics_port=0,
        gateway_update="http://127.0.0.1:1",
        data_dir=folder,
    )
    command = [sys.executable, "-m", "streams.cli", "worker", "--lane", "update"]
    with (
        (folder / "log").open("wb") as out,
        subprocess.Popen(command, env=own, stdout=out, stderr=out) as worker,
    ):
        yield as_operator(cluster.kafka)
        worker.kill()


def parcel(run: str, number: int) -> Event:
    """An update of one of the shops, in turn."""
    content = Notification(
        "parcel_delivered", to_people("tel:+12125550123"), params={"parcel": str(number), "event_time": "noon"}
    )
    source = f"//{SHOPS[number % len(SHOPS)]}/{run}"
    return notification(Head(source=source, id=str(number), lifetime_ms=HOUR_MS), content)


def parcels(run: str, count: int) -> Iterator[Publication]:
    """So many, one after another."""
    return (Publication(Lane.UPDATE, parcel(run, number)) for number in range(count))


async def records(bootstrap: Address, lane: Lane, run: str) -> list[Record]:
    """What stands in a lane's topic of that run, in the order of each partition."""
    return [
        record
        async for bite in scan(bootstrap, topics.requests(lane))
        for record in bite
        if f"/{run}".encode() in (record.value or b"")
    ]


def in_order_once(found: list[Record], count: int) -> None:
    """Every event stands there once, those of one business in the order given, in the partition of its key."""
    order: dict[bytes, list[int]] = {shop.encode(): [] for shop in SHOPS}
    for record in found:
        assert record.partition == partition_of(record.key or b"", SHARDS)
        order[record.key or b""].append(int(msgspec.json.decode(record.value or b"")["id"]))
    assert list(order.values()) == [list(range(start, count, len(SHOPS))) for start in range(len(SHOPS))]


async def test_thousands_are_published_in_order_and_all_are_answered(bootstrap: Address) -> None:
    """Receipts come in the order given; each event stands in Kafka once; plan answers each; nothing closes without a gateway."""
    count = 3_000
    async with Client(bootstrap) as client:
        sent = [outcome async for outcome in client.publish_many(parcels("many", count))]
        receipts = [outcome for outcome in sent if isinstance(outcome, Published)]
        assert [receipt.id for receipt in receipts] == [str(number) for number in range(count)]
        in_order_once(await records(bootstrap, Lane.UPDATE, "many"), count)
        answers = await client.wait_all(receipts, until="answered", timeout_s=DEADLINE_S)
        assert Counter(status.state in ("accepted", "running") for status in answers.values()) == {True: count}
        sentence = r"1 request is not finished after 0\.5 s; `fanfare follow shop-"
        with pytest.raises(StillOpenError, match=sentence) as still:
            await client.wait(receipts[0], timeout_s=0.5)
        assert still.value.newest[receipts[0].request].state in ("accepted", "running")


async def test_statuses_go_on_from_a_position(bootstrap: Address) -> None:
    """Followers that take turns, each from where the last one stood, tell what one alone tells: no more, no less."""
    run = "resumed"
    async with Client(bootstrap) as client:
        sent = [await client.publish(Lane.UPDATE, parcel(run, 2 * number)) for number in range(20)]
        await client.wait_all(sent, until="answered", timeout_s=DEADLINE_S)
        async with aclosing(client.follow(SHOPS[0], since=sent[0].at_ms)) as following:
            alone = await heard(following, 20)
        position, in_turns = None, list[Status]()
        while len(in_turns) < len(alone):
            since = sent[0].at_ms if position is None else None
            async with aclosing(client.follow(SHOPS[0], since=since, position=position)) as following:
                in_turns += await heard(following, min(7, len(alone) - len(in_turns)))
                position = following.position
    assert in_turns == alone


async def heard(following: Following, count: int) -> list[Status]:
    """The next statuses."""
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(following) for _ in range(count)]


class Doubting(Publisher):
    """Loses its faith in the producer once: the record is there, and is reported as if that were not known."""

    def __init__(self, bootstrap: Address) -> None:
        super().__init__(bootstrap)
        self.doubts = 1

    async def enqueue(self, record: Outgoing) -> Awaitable[Place]:
        """As always, but for the first one."""
        placing = await super().enqueue(record)
        if not self.doubts:
            return placing
        self.doubts -= 1
        return self._doubted(placing)

    async def _doubted(self, placing: Awaitable[Place]) -> Place:
        await placing
        self._broken = self._producer
        raise PublishError("the producer is broken", unknown=True, again=True)


async def test_a_code_that_is_sent_again_is_not_sealed_again(bootstrap: Address) -> None:
    """The client's own repeat, by a new producer, and the caller's carry the bytes of the first attempt."""
    content = Notification("login_code", to_people("tel:+491701234567"), params={"minutes": "5"})
    event = notification(Head(source=f"//{QUIET}/doubted", id="1", lifetime_ms=300_000), content)
    client = Client(bootstrap)
    client._publisher = Doubting(bootstrap)
    async with client:
        first = await client.publish(Lane.OTP, event, codes={"code": "271828"})
        again = await client.publish(Lane.OTP, event, codes={"code": "271828"})
    found = await records(bootstrap, Lane.OTP, "doubted")
    assert [record.offset for record in found][1:] == [first.offset, again.offset]
    assert len({record.value for record in found}) == 1
    assert b"271828" not in (found[0].value or b"")


async def test_a_producer_that_breaks_is_replaced_in_the_middle(bootstrap: Address) -> None:
    """What its queue held is sent again in order by the next one, which the caller does not notice."""
    count = 2_000
    async with Client(bootstrap) as client:
        outcomes = []
        async for outcome in client.publish_many(parcels("broken", count)):
            outcomes.append(outcome)
            if len(outcomes) == count // 2:
                producer = client._publisher._producer
                assert producer is not None
                producer._sender._sender_task.cancel()
                producer._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Published)] == [str(n) for n in range(count)]
    found = await records(bootstrap, Lane.UPDATE, "broken")
    first = {(record.key, record.value): record for record in reversed(found)}
    in_order_once(sorted(first.values(), key=lambda record: (record.partition, record.offset)), count)


async def test_the_expiry_of_batches_is_where_it_is_switched_off(bootstrap: Address) -> None:
    """The publisher sets a name of the library's own; a release that renames it would drop what waits for a leader."""
    producer = clients.producer(bootstrap, "test", request_timeout_ms=15_000)
    assert producer._message_accumulator._batch_ttl == 15
    await producer.stop()


def test_several_threads_share_a_client(bootstrap: Address) -> None:
    """Each publishes its own and gets its own receipts; a generator is drawn in the thread that gave it."""
    with SyncClient(bootstrap, seal_key=KEY) as client:
        drawn_in: set[int] = set()
        receipts: dict[int, list[Published]] = {}

        def events(thread: int) -> Iterator[Publication]:
            for publication in parcels(f"thread-{thread}", 200):
                drawn_in.add(threading.get_ident())
                yield publication

        def publish(thread: int) -> None:
            outcomes = client.publish_many(events(thread), in_flight=20)
            receipts[thread] = [outcome for outcome in outcomes if isinstance(outcome, Published)]

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert {thread: len(found) for thread, found in receipts.items()} == dict.fromkeys(range(4), 200)
        assert all(one.source.endswith(f"thread-{thread}") for thread, found in receipts.items() for one in found)
        assert drawn_in == {thread.ident for thread in threads}
        assert list(client.follow(QUIET, silence_s=0.2)) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "fanfare-client"]
    with pytest.raises(RuntimeError, match="use it in a with statement"):
        client.publish(Lane.UPDATE, parcel("late", 1))


async def test_nobody_at_the_address_is_said_with_what_to_do() -> None:
    """Both clients name the address, how long they tried, and the command that starts a Kafka; nothing is left running."""
    sentence = r"no Kafka answers at 127.0.0.1:1 \(tried for 0.3 s\).*`fanfare kafka up`"
    with pytest.raises(NoBrokerError, match=sentence):
        await Client("127.0.0.1:1", connect_s=0.3).__aenter__()
    with pytest.raises(NoBrokerError, match=sentence):
        await asyncio.to_thread(SyncClient("127.0.0.1:1", connect_s=0.3).__enter__)
    assert not [thread for thread in threading.enumerate() if thread.name == "fanfare-client"]


@pytest.mark.parametrize(("logging", "heard"), [("", False), ("import logging; logging.basicConfig()", True)])
def test_a_plain_program_reads_the_sentence_and_no_noise(logging: str, *, heard: bool) -> None:
    """Kafka's library is silent in a program that has set up no logging, and is heard in one that has."""
    program = f"""{logging}
from streams.client import SyncClient
with SyncClient("127.0.0.1:1", connect_s=0.3):
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    said = done.stderr.splitlines()
    assert said[-1].startswith("streams.client.results.NoBrokerError: no Kafka answers at 127.0.0.1:1")
    assert ("Unable connect" in done.stderr) == heard
    assert heard or said[0] == "Traceback (most recent call last):"


async def test_a_restart_of_the_broker_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """Killed in the middle of a stream and started again: every event is acknowledged, once, in order; a follower goes on."""
    count, run = 4_000, "restarted"
    outcomes: list[Outcome] = []
    halfway = asyncio.Event()

    async def publish(client: Client) -> None:
        async for outcome in client.publish_many(parcels(run, count)):
            outcomes.append(outcome)
            if len(outcomes) == count // 2:
                halfway.set()

    await _say(cluster.kafka, "before")
    async with Client(as_operator(cluster.kafka), patience_s=DEADLINE_S) as client:
        following = client.follow(QUIET, since=0)
        assert [status.id for status in await heard(following, 1)] == ["before"]
        publishing = asyncio.create_task(publish(client))
        await halfway.wait()
        await cluster.kill_node(1)
        await cluster.start_node(1)
        await publishing
        await _say(cluster.kafka, "after")
        assert [status.id for status in await heard(following, 1)] == ["after"]
        await following.aclose()
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Published)] == [str(n) for n in range(count)]
    in_order_once(await records(cluster.kafka, Lane.UPDATE, run), count)


async def _say(bootstrap: Address, event_id: str) -> None:
    """Answer the business that nobody answers."""
    publisher = Publisher(bootstrap)
    await publisher.start()
    status = Status(f"request-{event_id}", f"//{QUIET}/x", event_id, "accepted", 1, 1, shards=1)
    await publisher.publish(Outgoing(topics.status(QUIET), encode_status(status), partition=0))
    await publisher.stop()
