"""The kernel on real Kafka: who owns which shard, what is committed, and how a worker ends."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from broker.losses import Loss
from streams.kafka.faust_app import selftest
from streams.runtime import clock
from streams.runtime.exits import Exit
from tests.conftest import RealKafka
from tests.kafka.conftest import MakeTopic
from tests.kafka.lanes import LaneUnderTest, LaneWorker
from tests.kafka.records import trim
from tests.support.programs import until
from tests.support.secured import as_admin

MakeLane = Callable[[int, int], Awaitable[LaneUnderTest]]


@pytest.fixture
async def make_lane(kafka: RealKafka, make_topic: MakeTopic, tmp_path: Path) -> AsyncIterator[MakeLane]:
    """Makes a lane whose two topics have so many partitions; its workers are ended after the test."""
    lanes: list[LaneUnderTest] = []

    async def make(first: int, second: int) -> LaneUnderTest:
        lanes.append(LaneUnderTest(kafka.bootstrap, tmp_path, await make_topic(first), await make_topic(second)))
        return lanes[-1]

    yield make
    for lane in lanes:
        lane.close()


async def test_a_shard_of_every_topic_goes_to_one_worker(make_lane: MakeLane) -> None:
    """Three workers share eight shards: each shard has one owner, for all topics; a SIGTERM passes them on at once."""
    lane = await make_lane(8, 8)
    workers = [lane.worker(slot) for slot in "abc"]
    await lane.settled(workers, shards=8)
    assert [w.shards() for w in workers] == [[0, 1], [2, 3, 4], [5, 6, 7]]
    await lane.write(lane.first, 80, partitions=8)
    await lane.write(lane.second, 80, partitions=8)
    await until(lambda: sum(len(w.events("got")) for w in workers) == 160)
    for topic in (lane.first, lane.second):
        assert [sorted(w.offsets(topic)) for w in workers] == [w.shards() for w in workers]

    leaver, *stayers = workers
    leaver.send(signal.SIGTERM)
    assert await leaver.exit_code(deadline_s=5) == 0
    await lane.settled(stayers, shards=8, deadline_s=5)  # the session would last 6 s


async def test_a_killed_worker_comes_back_to_its_shards(make_lane: MakeLane) -> None:
    """Kill -9 and a restart in the slot: the neighbour is not disturbed, nothing uncommitted is lost."""
    lane = await make_lane(8, 8)
    victim, neighbour = lane.worker("a"), lane.worker("b")
    await lane.settled([victim, neighbour], shards=8)
    before = len(neighbour.events("assigned"))
    await lane.write(lane.first, 80, partitions=8)
    await until(lambda: len(victim.events("got")) == 40)
    victim.send(signal.SIGKILL)
    await victim.exit_code()
    await lane.write(lane.first, 80, partitions=8)

    heir = lane.worker("a")
    await until(lambda: all(19 in heir.offsets(lane.first).get(shard, []) for shard in victim.shards()), deadline_s=5)
    assert heir.shards() == victim.shards()
    assert len(neighbour.events("assigned")) == before
    assert not neighbour.events("revoked")[before:]


async def test_nothing_is_lost_under_back_pressure(make_lane: MakeLane) -> None:
    """A slow engine holds reading back: every offset comes once and in order, and the inbox stays bounded."""
    lane = await make_lane(2, 2)
    await lane.write(lane.first, 12_000, partitions=2)
    worker = lane.worker("a", rate=2_000)
    await until(lambda: len(worker.events("got")) == 12_000, deadline_s=30)
    assert worker.offsets(lane.first) == {0: list(range(6_000)), 1: list(range(6_000))}
    worker.send(signal.SIGTERM)
    assert await worker.exit_code() == 0
    longest = worker.events("stop")[-1].longest
    assert worker.orders.spec.inbox_limit < longest <= worker.orders.spec.inbox_limit + 500 + 256


async def test_an_engine_that_stands_still_fills_no_memory(make_lane: MakeLane) -> None:
    """One full inbox stops the fetching of its partition, and of no other."""
    lane = await make_lane(1, 1)
    worker = lane.worker("a", rate=20)
    await lane.write(lane.first, 6_000, partitions=1)
    limit = worker.orders.spec.inbox_limit
    await until(lambda: len(worker.events("got")) > limit)
    await lane.write(lane.second, 200, partitions=1)
    await until(lambda: len(worker.offsets(lane.second).get(0, [])) == 200)
    await until(lambda: len(worker.events("got")) > limit + 300)
    first_ms = worker.events("got")[0].at_ms
    await until(lambda: clock.now_ms() - first_ms > 2_000)
    assert len(worker.offsets(lane.first)[0]) <= limit + 500 + 256 + 2 * 20


async def test_a_commit_never_passes_unfinished_work(make_lane: MakeLane) -> None:
    """One record that stays open holds the commit back for ever, however much behind it is finished."""
    lane = await make_lane(1, 1)
    await lane.write(lane.first, 20, partitions=1)
    await lane.write(lane.second, 20, partitions=1)
    worker = lane.worker("a", hold=5)
    await until(lambda: len(worker.events("got")) == 40)
    await _until_committed(lane, 5)
    await lane.write(lane.first, 20, partitions=1)
    await until(lambda: len(worker.events("got")) == 60)
    worker.send(signal.SIGTERM)
    assert await worker.exit_code() == 0
    assert await lane.committed(lane.first) == 5

    heir = lane.worker("a")
    await until(lambda: len(heir.offsets(lane.first).get(0, [])) == 35)
    assert heir.offsets(lane.first)[0] == list(range(5, 40))
    await _until_committed(lane, 40)


async def test_transactions_of_a_business_are_no_holes(make_lane: MakeLane) -> None:
    """Markers of a transactional producer take offsets that nobody can read; they are stepped over."""
    lane = await make_lane(1, 1)
    await lane.write(lane.first, 30, partitions=1, transactions=True)  # three, with their markers, in one fetch
    worker = lane.worker("a")
    await until(lambda: len(worker.events("got")) == 30)
    for _ in range(2):  # and each in a fetch of its own
        await lane.write(lane.first, 10, partitions=1, transactions=True)
    await lane.write(lane.first, 1, partitions=1)
    await until(lambda: len(worker.events("got")) == 51)
    assert worker.offsets(lane.first)[0] == [offset for offset in range(56) if offset % 11 != 10]
    await _until_committed(lane, 56)


@pytest.mark.parametrize("begins", [25, 30])
async def test_inputs_trimmed_unread_are_given_up_by_one_word(make_lane: MakeLane, begins: int) -> None:
    """Without it every start ends with a sentence that has the word; with it reading goes on where the log begins, for good."""
    lane = await make_lane(1, 1)
    worker = lane.worker("a")
    await lane.write(lane.first, 10, partitions=1)
    await _until_committed(lane, 10)
    worker.send(signal.SIGTERM)
    assert await worker.exit_code() == 0
    await lane.write(lane.first, 20, partitions=1)
    await trim(as_admin(lane.bootstrap), lane.first, begins)

    refused = lane.worker("a")
    assert await refused.exit_code() == Exit.TRIMMED
    assert f"{begins - 10} records are gone" in refused.log.read_text()
    word = Loss(lane.first, 0, begins)
    assert f"FANFARE_ACCEPT_TRIMMED={word}" in refused.log.read_text()

    worker = lane.worker("a", accepted=frozenset({word}))
    await _until_committed(lane, 30)
    assert [event.offset for event in worker.events("lost")] == [begins - 10]
    worker.send(signal.SIGTERM)
    assert await worker.exit_code() == 0

    worker = lane.worker("a")
    await lane.write(lane.first, 1, partitions=1)
    await _until_committed(lane, 31)
    assert worker.offsets(lane.first) == {0: [30]}


async def test_of_two_processes_in_a_slot_the_older_ends(make_lane: MakeLane) -> None:
    """A second process takes the slot over; the first notices at its next heartbeat, and the second is not disturbed."""
    lane = await make_lane(4, 4)
    older = lane.worker("a")
    await older.assigned()
    newer = lane.worker("a")
    await newer.assigned()
    assert await older.exit_code(deadline_s=8) == Exit.SLOT_TAKEN
    await _still_serves(lane, newer)


async def test_a_woken_process_does_not_disturb_its_successor(make_lane: MakeLane) -> None:
    """Stopped for more than half the session, replaced, woken: it ends itself before it does anything."""
    lane = await make_lane(4, 4)
    sleeper = lane.worker("a")
    await sleeper.assigned()
    sleeper.send(signal.SIGSTOP)
    successor = lane.worker("a")
    await successor.assigned()
    await lane.write(lane.first, 4, partitions=4)
    await until(lambda: len(successor.events("got")) == 4)
    stopped_ms = successor.events("start")[0].at_ms
    await until(lambda: clock.now_ms() - stopped_ms > 3_200)
    sleeper.send(signal.SIGCONT)
    assert await sleeper.exit_code(deadline_s=5) in {Exit.WATCHDOG, Exit.SLOT_TAKEN}
    assert not sleeper.events("got")
    await _still_serves(lane, successor)


async def test_a_blocked_main_loop_ends_the_process(make_lane: MakeLane) -> None:
    """Heartbeats come from another thread and go on; only the watchdog sees that nothing works any more."""
    lane = await make_lane(1, 1)
    worker = lane.worker("a", block_s=20.0)
    await worker.assigned()
    await lane.write(lane.first, 1, partitions=1)
    assert await worker.exit_code(deadline_s=10) == Exit.WATCHDOG


async def test_topics_that_do_not_fit_are_refused(make_lane: MakeLane) -> None:
    """A lane whose topics have different partition counts has no owner for some shards: nobody starts on it."""
    lane = await make_lane(4, 2)
    worker = lane.worker("a")
    assert await worker.exit_code() == Exit.GROUP_LOST
    assert "equal partition counts" in worker.log.read_text()
    assert not worker.events("assigned")


async def test_a_worker_without_a_kafka_says_so(tmp_path: Path) -> None:
    """It does not wait for ever, and the log names the address that it tried; the next start may find it."""
    lane = LaneUnderTest("127.0.0.1:9", tmp_path, "first", "second")
    worker = lane.worker("a")
    try:
        assert await worker.exit_code() == Exit.DEADLINE
    finally:
        lane.close()
    assert "No Kafka answers at 127.0.0.1:9." in worker.log.read_text()


def test_the_installed_faust_is_the_examined_one() -> None:
    """Versions and hooked internals are as the overrides expect them."""
    selftest.verify()


def test_another_faust_is_refused_with_a_sentence() -> None:
    """A release that was not examined does not start, and the sentence says what to do."""
    with pytest.raises(
        selftest.KernelMismatchError, match=r"faust-streaming 0\.16 is needed and .* Install requirements"
    ):
        selftest.verify({"faust-streaming": "0.16"})


async def _until_committed(lane: LaneUnderTest, offset: int) -> None:
    async with asyncio.timeout(10):
        while await lane.committed(lane.first) != offset:
            pass


async def _still_serves(lane: LaneUnderTest, worker: LaneWorker) -> None:
    """It is handed new records without a further assignment."""
    before, assignments = len(worker.events("got")), len(worker.events("assigned"))
    await lane.write(lane.second, 8, partitions=4)
    await until(lambda: len(worker.events("got")) == before + 8)
    assert len(worker.events("assigned")) == assignments
    assert worker.process.poll() is None
