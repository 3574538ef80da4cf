"""Foreign records in the journal of a living owner: a claim above it, which fences it, and a stale decision, which is void."""

import asyncio
import secrets
from typing import Final, NamedTuple

from broker.claims import Claims
from broker.journal import Fold
from schemas import topics
from schemas.ids import partition_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.kafka.scan import scan
from streams.operate.scrape import Process as Scraped
from streams.operate.scrape import Scrape, scrape_all
from streams.runtime import clock
from streams.runtime.exits import Exit
from tests.faults.kinds import BACK_S, back
from tests.faults.load import BUSINESS_OF
from tests.faults.scene import Scene, lane_of

_NOTICED_S: Final = 30
"""An owner appends several times a second; the restatements of a quiet one are no part of this."""
_ASK_S: Final = 0.25
_OF_PLANS: Final = 0.3
"""How often the journal of plan is chosen and not one of deliver."""
_OUTCOMES: Final = "outcomes"


class _Journal(NamedTuple):
    """Which journal: its word in metrics, its topic, its partition."""

    word: str
    lane: Lane
    topic: str
    shard: int


class _Seen(NamedTuple):
    """A journal read to its end: the fold, the floor, and the last valid record that is no claim."""

    fold: Fold
    floor: int
    decision: bytes


async def claim(scene: Scene) -> None:
    """A valid claim of nobody's, one epoch above a living owner: at its next append it must end itself, and come back above.

    If the group moves the shard just then, another owner claims above it instead, and nobody has to end.
    """
    process, ends = scene.target, len(scene.target.ended)
    journal = _chosen(scene)
    seen = await _read(scene, journal)
    epoch = seen.fold.epoch + 1
    foreign = Claim(f"nobody-{secrets.token_hex(4)}", floor=seen.floor)
    await _append(scene, journal, pack(Header(Kind.CLAIM, journal.lane, journal.shard, epoch, clock.now_ms()), foreign))
    async with asyncio.timeout(BACK_S):
        while len(process.ended) == ends:
            if (await _read(scene, journal)).fold.epoch > epoch:
                return
            await asyncio.sleep(_ASK_S)
    await back(process, ends)
    status = process.ended[ends].status
    after = await _read(scene, journal)
    assert after.fold.epoch > epoch, f"{journal.topic}-{journal.shard}: nobody has claimed above the foreign claim"
    scene.done.double = status == Exit.FENCED


async def void(scene: Scene) -> None:
    """A decision repeated under the epoch before: the living owner must count it as void and go on serving.

    If the group moves the shard just then, who folds its journal passes the record by, and nobody need count it.
    """
    process, ends = scene.target, len(scene.target.ended)
    journal = _chosen(scene)
    seen = await _read(scene, journal)
    before = await _scrape(scene)
    epoch = _epoch(before, journal)
    if not seen.decision or epoch is None or epoch != seen.fold.epoch:
        return
    await _append(scene, journal, _under(seen.decision, seen.fold.epoch - 1))
    async with asyncio.timeout(_NOTICED_S):
        now = before
        while (
            len(process.ended) == ends
            and _epoch(now, journal) == epoch
            and _voids(now, journal) <= _voids(before, journal)
        ):
            await asyncio.sleep(_ASK_S)
            now = await _scrape(scene)
    if len(process.ended) > ends:
        status = process.ended[ends].status
        assert status not in {Exit.FENCED, Exit.CRASHED}, f"a void record ended {process.name} with status {status}"
        return
    scene.done.double = _epoch(await _scrape(scene), journal) == epoch


def _chosen(scene: Scene) -> _Journal:
    """One of the journals that the process owns and appends to all the time."""
    lane = lane_of(scene.target.name)
    assert lane is not None
    shard = scene.rng.choice(sorted(shard for _, shard in scene.done.places))
    planned = partition_of(BUSINESS_OF[lane].encode(), scene.stack.settings.shards)
    if scene.rng.random() < _OF_PLANS and (lane, planned) in scene.done.places:
        return _Journal("plans", lane, topics.plans(lane), planned)
    return _Journal(_OUTCOMES, lane, topics.outcomes(lane), shard)


async def _read(scene: Scene, journal: _Journal) -> _Seen:
    fold, claims, decision = Fold(), Claims(), b""
    async for bite in scan(scene.stack.bootstrap, journal.topic, partition=journal.shard):
        for record in bite:
            assert record.value is not None
            header = fold.admit(record.value)
            if header is None:
                continue
            claims.fold(header, record.value, record.offset)
            if header.kind in {Kind.OUTCOME, Kind.PLANNED}:
                decision = record.value
    return _Seen(fold, claims.floor, decision)


async def _append(scene: Scene, journal: _Journal, value: bytes) -> None:
    publisher = Publisher(scene.stack.bootstrap, "faults-foreign")
    await publisher.start()
    try:
        scene.harm()
        await publisher.publish(Outgoing(journal.topic, value, partition=journal.shard))
    finally:
        await publisher.stop()


def _under(record: bytes, epoch: int) -> bytes:
    """The same record under another epoch."""
    return record[:5] + epoch.to_bytes(4) + record[9:]


async def _scrape(scene: Scene) -> Scrape:
    plan = scene.target.plan
    (answer,) = await scrape_all(scene.stack.settings, [Scraped(plan.name, plan.port)])
    return answer


def _voids(scrape: Scrape, journal: _Journal) -> float:
    return scrape.total("fanfare_journal_voids_total", journal=journal.word, lane=journal.lane.word)


def _epoch(scrape: Scrape, journal: _Journal) -> float | None:
    labels = {"journal": journal.word, "lane": journal.lane.word, "shard": str(journal.shard)}
    return scrape.highest("fanfare_journal_epoch", **labels)
