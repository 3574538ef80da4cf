"""Puts a backup into an empty Kafka, and makes its journals begin above every epoch that the gateways have seen.

Each topic gets its records in their order, partition for partition, so offsets are what they were where nothing was compacted
away. It may be run again after an interruption: what stands there already is compared with the backup and not written twice.
A Kafka that anybody has used since is refused, for two histories cannot be joined.

Gateways outlive a Kafka. They refuse an epoch below the highest that they have seen of a shard, and a new journal would begin
with 1 and be refused as one that has lost its claims (PROTOCOL.md section 1.2, 1). So the last step greets the gateway of each
lane and writes a claim with the epoch that it names into each journal: owners go on above it.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from schemas import topics
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.topics import Topic, catalogue, lane_topics
from schemas.wire.header import Header, Kind, UnreadableRecordError, pack, unpack
from streams.gateway.kinds import gateway_of
from streams.gateway.port import Fenced, GatewayError
from streams.kafka.producer import Outgoing
from streams.kafka.provision import provision
from streams.kafka.publisher import Place, Publisher
from streams.kafka.scan import Record, scan
from streams.operate.backup import (
    KEPT,
    BackupError,
    Kept,
    Manifest,
    Part,
    fingerprints,
    read_manifest,
    records_of,
)
from streams.registry.read import read_registry
from streams.runtime import clock
from streams.runtime.settings import Settings

_IN_FLIGHT: Final = 2_000
_HELLO_MS: Final = 2_000
_INSTANCE: Final = "restore"
"""Who claims a journal so that owners begin above what the gateway has seen."""


class Restored(NamedTuple):
    """Counts what was done."""

    written: int
    """Records written by this run."""
    found: int
    """Records that stood there already, from a run that was interrupted."""
    adopted: int
    """Journals that begin above what their gateway has seen."""
    silent: tuple[Lane, ...]
    """Lanes whose gateway did not answer: run it again when it does."""


async def restore(settings: Settings, folder: Path, *, say: Callable[[str], None]) -> Restored:
    """Puts the backup in ``folder`` into the Kafka that ``settings`` name, which is empty, or was when this began.

    Raises :class:`BackupError`, ``ProvisionError``, ``PublishError`` and ``ScanError``, before anything is written if the backup
    does not fit the settings.
    """
    manifest = read_manifest(folder)
    demand_fit(manifest, settings)
    await _provision(settings, (), say)
    for lane in Lane:
        await _demand_unused(settings, lane)
    publisher = Publisher(settings.kafka, "fanfare-restore")
    await publisher.start()
    try:
        written = found = 0
        for topic in KEPT:
            for part in (part for part in manifest.parts if part.topic == topic.name):
                there = await _count(settings, topic, part, folder)
                await _write(publisher, part, islice(records_of(folder, part), there, None))
                written, found = written + part.records - there, found + there
            say(f"{topic.name}: restored")
        # As `registry apply` does: a business that is known has topics to read answers and bills from.
        await _provision(settings, tuple(sorted((await read_registry(settings.kafka)).businesses)), say)
        adopted, silent = await _adopt(settings, publisher)
    finally:
        await publisher.stop()
    return Restored(written, found, adopted, silent)


async def _provision(settings: Settings, businesses: tuple[str, ...], say: Callable[[str], None]) -> None:
    wanted = catalogue(businesses, time_scale=settings.time_scale)
    await provision(settings.kafka, wanted, shards=settings.shards, dev=settings.dev, say=say)


def demand_fit(manifest: Manifest, settings: Settings) -> None:
    """Demands that people of the backup can be found and reached with these settings; raises :class:`BackupError`."""
    if manifest.shards != settings.shards:
        raise BackupError(
            f"the backup has {manifest.shards} shards and FANFARE_SHARDS is {settings.shards}: people lie where the number of "
            f"shards puts them. Restore with FANFARE_SHARDS={manifest.shards}."
        )
    own = fingerprints(settings)
    wrong = [name for name, fingerprint in manifest.fingerprints.items() if own.get(name) != fingerprint]
    if wrong:
        raise BackupError(
            f"these secrets are not those of the backup: {', '.join(wrong)}. Without the pepper nobody is found again, without "
            "an address key nobody is reached whose address it seals. Set the ones that belong to it."
        )


async def _demand_unused(settings: Settings, lane: Lane) -> None:
    """Refuses a Kafka in which something has begun to work since."""
    for topic in lane_topics(lane):
        async for bite in scan(settings.kafka, topic.name):
            if not all(_is_ours(record) for record in bite):
                raise BackupError(
                    f"{settings.kafka.name(topic.name)} holds records: something works on this Kafka already. Restore into an "
                    "empty one, or under another FANFARE_KAFKA_PREFIX, before any process is started."
                )


def _is_ours(record: Record) -> bool:
    """Returns whether a record is a claim of a run that was interrupted."""
    try:
        return unpack(record.value or b"", Claim, Kind.CLAIM)[1].instance == _INSTANCE
    except UnreadableRecordError:
        return False


async def _count(settings: Settings, topic: Topic, part: Part, folder: Path) -> int:
    """Returns how many records of a partition stand there already; raises :class:`BackupError` for any other."""
    if topic.compacted:
        await _demand_known(settings, part, folder)
        return 0  # written again, an entry replaces itself
    wanted, count = records_of(folder, part), 0
    async for bite in scan(settings.kafka, part.topic, partition=part.partition):
        for record in bite:
            if next(wanted, None) != _kept(record):
                raise _foreign(settings, part)
            count += 1
    return count


async def _demand_known(settings: Settings, part: Part, folder: Path) -> None:
    known = None
    async for bite in scan(settings.kafka, part.topic, partition=part.partition):
        known = known or set(records_of(folder, part))
        if not known.issuperset(map(_kept, bite)):
            raise _foreign(settings, part)


def _kept(record: Record) -> Kept:
    return record.key, record.value, tuple(record.headers)


def _foreign(settings: Settings, part: Part) -> BackupError:
    return BackupError(
        f"{settings.kafka.name(part.topic)} holds records that are not the backup's: restore into an empty Kafka, or under "
        "another FANFARE_KAFKA_PREFIX."
    )


async def _write(publisher: Publisher, part: Part, records: Iterator[Kept]) -> None:
    """Appends records in their order, a few thousand under way."""
    waiting: deque[Awaitable[Place]] = deque()
    for key, value, headers in records:
        waiting.append(await publisher.enqueue(Outgoing(part.topic, value, key, part.partition, headers)))
        if len(waiting) >= _IN_FLIGHT:
            await waiting.popleft()
    while waiting:
        await waiting.popleft()


async def _adopt(settings: Settings, publisher: Publisher) -> tuple[int, tuple[Lane, ...]]:
    """Claims each journal with the epoch that the lane's gateway has seen; how many, and whose gateway was silent."""
    adopted, silent = 0, []
    for lane in Lane:
        try:
            async for shard, epoch in _epochs(settings, lane):
                claim = pack(Header(Kind.CLAIM, lane, shard, epoch, clock.now_ms()), Claim(_INSTANCE))
                await publisher.publish(Outgoing(topics.outcomes(lane), claim, partition=shard))
                adopted += 1
        except GatewayError:
            silent.append(lane)
    return adopted, tuple(silent)


async def _epochs(settings: Settings, lane: Lane) -> AsyncIterator[tuple[int, int]]:
    """Yields shard and epoch for journals of which the gateway has seen claims; raises ``GatewayError`` if it does not answer."""
    gateway = gateway_of(settings, lane)
    try:
        for shard in range(settings.shards):
            try:
                await gateway.hello(lane, shard, 1, timeout_ms=_HELLO_MS)
            except Fenced as fenced:
                yield shard, fenced.epoch
    finally:
        await gateway.close()
