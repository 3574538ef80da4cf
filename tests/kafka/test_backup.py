"""A backup brings back what is kept for ever in an empty deployment, whose owners begin above every epoch of their gateways."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import topics
from schemas.lanes import Lane
from schemas.topics import business_topics, catalogue
from streams.gateway.frames import FrameGateway
from streams.kafka.admin import admin, own_topics
from streams.kafka.grants import worker_user
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.provision import provision
from streams.kafka.scan import scan
from streams.operate.backup import KEPT, BackupError, records_of, write_backup
from streams.operate.restore import restore
from streams.registry.read import read_registry
from streams.runtime.child import FANFARE
from streams.runtime.kafka_access import Address, Kafka, kafka_at
from streams.runtime.settings import Settings, load
from tests.kafka.registered import SHARDS, registered_kafka, silent
from tests.support.listeners import listening
from tests.support.programs import running, until
from tests.support.secured import as_admin, as_user, fields_of, share

REMEMBERED = 9
DEADLINE_S = 60

Records = Mapping[tuple[str, int], list[object]]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka with a deployment that has people, a STOP, charges and the development registry."""
    with registered_kafka() as address:
        yield address


@pytest.fixture
async def source(bootstrap: Address) -> Settings:
    """The settings of that deployment."""
    way = as_admin(bootstrap)
    producer = ConfirmedProducer(way, "test")
    await producer.start()
    people = [Outgoing(topics.AUDIENCE, b"person %d" % n, partition=n % SHARDS) for n in range(50)]
    said = [Outgoing(topics.SUPPRESSIONS, b"STOP", b"who", 1, (("proof", b"\x00\xff"),))]
    charged = [Outgoing(topics.CHARGES, b"charge %d" % n, b"shop", 2) for n in range(3)]
    await producer.confirm(people + said + charged)
    await producer.stop()
    return settings_of(way)


def settings_of(way: Address, **more: Any) -> Settings:
    """Returns the settings of an operator of a deployment of four shards, no gateway of which answers."""
    gone = {f"gateway_{lane.word}": "http://127.0.0.1:1" for lane in Lane}
    return load(**{**fields_of(way), "shards": SHARDS, **gone, **more})


async def elsewhere(bootstrap: Address, prefix: str) -> Kafka:
    """Returns the way into an empty deployment on the same Kafka, as its administrator."""
    return msgspec.structs.replace(kafka_at(as_admin(await share(bootstrap, prefix))), prefix=prefix)


async def held(settings: Settings) -> Records:
    """What every topic of a backup holds, by partition, in order."""
    found: defaultdict[tuple[str, int], list[object]] = defaultdict(list)
    for topic in KEPT:
        async for bite in scan(settings.kafka, topic.name):
            for record in bite:
                found[topic.name, record.partition].append((record.key, record.value, record.headers))
    return found


async def test_what_was_kept_comes_back_record_for_record(bootstrap: Address, source: Settings, tmp_path: Path) -> None:
    """Once: a run after one that was interrupted writes what is missing, and a third one nothing but compacted entries."""
    manifest = await write_backup(source, tmp_path / "backup", say=silent)
    assert manifest.records > 100
    target = settings_of(await elsewhere(bootstrap, "whole."))
    begun = await restore(target, tmp_path / "backup", say=silent)
    assert (begun.written, begun.found, begun.silent) == (manifest.records, 0, tuple(Lane))
    assert await held(target) == await held(source)
    async with admin(target.kafka) as client:
        made = await own_topics(client, target.kafka)
    businesses = (await read_registry(source.kafka)).businesses
    assert made >= {topic.name for business in businesses for topic in business_topics(business)}

    again = await restore(target, tmp_path / "backup", say=silent)
    compacted = {topic.name for topic in KEPT if topic.compacted}
    assert again.written == sum(part.records for part in manifest.parts if part.topic in compacted)
    after = await held(target)
    assert {place: rows for place, rows in after.items() if place[0] not in compacted} == {
        place: rows for place, rows in (await held(source)).items() if place[0] not in compacted
    }


async def begun(bootstrap: Address, prefix: str, *records: Outgoing) -> Settings:
    """An empty deployment but for these records."""
    target = settings_of(await elsewhere(bootstrap, prefix))
    await provision(target.kafka, catalogue(), shards=SHARDS, dev=True, say=silent)
    producer = ConfirmedProducer(target.kafka, "test")
    await producer.start()
    await producer.confirm(records)
    await producer.stop()
    return target


async def test_an_interrupted_restore_goes_on(bootstrap: Address, source: Settings, tmp_path: Path) -> None:
    """What stands there is compared with the backup, in order, and not written again."""
    manifest = await write_backup(source, tmp_path / "backup", say=silent)
    part = next(each for each in manifest.parts if each.topic == topics.AUDIENCE and each.records > 3)
    first = list(records_of(tmp_path / "backup", part))[:3]
    target = await begun(
        bootstrap, "half.", *(Outgoing(part.topic, value, key, part.partition) for key, value, _ in first)
    )
    done = await restore(target, tmp_path / "backup", say=silent)
    assert (done.written, done.found) == (manifest.records - 3, 3)
    assert await held(target) == await held(source)


@pytest.mark.parametrize(
    ("prefix", "record", "sentence"),
    [
        ("foreign.", Outgoing(topics.AUDIENCE, b"somebody", partition=1), "not the backup's"),
        ("entry.", Outgoing(topics.REGISTRY, b"{}", b"business/x", 0), "not the backup's"),
        ("used.", Outgoing(topics.requests(Lane.OTP), b"{}", partition=0), "something works on this Kafka already"),
    ],
)
async def test_two_histories_are_not_joined(
    bootstrap: Address, source: Settings, tmp_path: Path, prefix: str, record: Outgoing, sentence: str
) -> None:
    """A Kafka that holds anything else is refused."""
    await write_backup(source, tmp_path / "backup", say=silent)
    target = await begun(bootstrap, prefix, record)
    with pytest.raises(BackupError, match=sentence):
        await restore(target, tmp_path / "backup", say=silent)


async def test_what_does_not_fit_is_refused_before_anything_is_written(
    bootstrap: Address, source: Settings, tmp_path: Path
) -> None:
    """Other secrets, another number of shards, a file that is not what was written, a folder that is there."""
    folder, way = tmp_path / "backup", await elsewhere(bootstrap, "misfit.")
    manifest = await write_backup(source, folder, say=silent)
    with pytest.raises(BackupError, match="FANFARE_SHARDS=4"):
        await restore(settings_of(way, shards=8), folder, say=silent)
    with pytest.raises(BackupError, match="are not those of the backup: pepper"):
        await restore(settings_of(way, pepper="ab" * 32), folder, say=silent)
    with pytest.raises(BackupError, match="address_keys/1"):
        await restore(settings_of(way, address_keys={2: "ab" * 32}), folder, say=silent)
    with pytest.raises(BackupError, match="name another folder"):
        await write_backup(source, folder, say=silent)
    spoilt = folder / next(part for part in manifest.parts if part.topic == topics.SUPPRESSIONS and part.records).file
    spoilt.write_bytes(spoilt.read_bytes().replace(b"STOP", b"GO  "))
    with pytest.raises(BackupError, match="not what was written"):
        await restore(settings_of(way), folder, say=silent)
    with pytest.raises(BackupError, match="is no backup"):
        await restore(settings_of(way), tmp_path, say=silent)


async def test_owners_begin_above_what_their_gateway_has_seen(
    bootstrap: Address, source: Settings, tmp_path: Path
) -> None:
    """Without a word of the operator; without the restore the worker would refuse to start."""
    lane, log = Lane.CAMPAIGN, tmp_path / "worker.log"
    await write_backup(source, tmp_path / "backup", say=silent)
    way = await elsewhere(bootstrap, "epochs.")
    async with listening(tmp_path, "http://127.0.0.1:1") as gateway, FrameGateway(gateway.url) as port:
        for shard in range(SHARDS):
            await port.hello(lane, shard, REMEMBERED, timeout_ms=5_000)
        done = await restore(settings_of(way, gateway_campaign=gateway.url), tmp_path / "backup", say=silent)
        assert (done.adopted, done.silent) == (SHARDS, (Lane.OTP, Lane.UPDATE))
        settings = {"bootstrap": as_user(way, worker_user(lane)), "gateway_campaign": gateway.url, "shards": SHARDS}
        command = (*FANFARE, "worker", "--lane", lane.word)
        async with running(command, log, data_dir=tmp_path, worker_metrics_port=0, **settings):
            opened = f'"epoch":{REMEMBERED + 1}'
            await until(lambda: log.read_text().count(opened) >= SHARDS, deadline_s=DEADLINE_S)
        assert "exit_" not in log.read_text()
