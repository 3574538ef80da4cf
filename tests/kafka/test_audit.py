"""`fanfare audit` on a real Kafka, a real ledger file and real gateway logs: the clean run of the pure tests, written down."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.lanes import Lane
from schemas.topics import CHARGES, catalogue
from streams.kafka import clients
from streams.kafka.admin import admin
from streams.kafka.reader import LogRecord
from streams.ledger.database import FILE, Books
from streams.operate.audit import audit_system
from streams.runtime.kafka_access import Address, kafka_at
from streams.runtime.settings import Settings, load
from streams.simulator.event_log import EventLog
from streams.simulator.program import log_folder
from tests.kafka.registered import own_kafka
from tests.pure.audit.log import PEPPER, SHARDS
from tests.pure.audit.story import Story
from tests.support.secured import as_operator, environment, fields_of

_FOR_EVER = str(2**62)
_CONFIG = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": _FOR_EVER}
"""The story has its own clock, so its records keep their own times here."""


@pytest.fixture(scope="module")
def written() -> Iterator[Address]:
    """A Kafka of its own with the story in it: the catalogue's names are taken on the one that tests share."""
    with own_kafka() as (bootstrap, runner):
        runner.run(_write(bootstrap, Story()))
        yield as_operator(bootstrap)


async def _write(bootstrap: Address, story: Story) -> None:
    name = kafka_at(bootstrap).name
    wanted = catalogue(("shop", "airline", "bank"))
    made = [clients.new_topic(name(topic.name), topic.partitions or SHARDS, 1, _CONFIG) for topic in wanted]
    async with admin(bootstrap) as client:
        await client.create_topics([*made, clients.new_topic(name("somebody.else"), 1, 1, {})])
    producer = clients.producer(bootstrap, "test")
    await producer.start()
    for topic, log in story.logs.items():
        for record in log:
            place = {"partition": record.partition, "timestamp_ms": record.timestamp_ms}
            await producer.send(name(topic), record.value, record.key, headers=list(record.headers), **place)
    await producer.send_and_wait(name("somebody.else"), b"not ours")
    await producer.stop()


@pytest.fixture
def settings(written: str, tmp_path: Path) -> Settings:
    """The deployment of the story, with the ledger's file and the gateway's logs in a folder of the test."""
    story = Story()
    with Books(tmp_path / FILE) as books:
        for partition in range(SHARDS):
            charges = [record for record in story.logs[CHARGES] if record.partition == partition]
            records = [LogRecord(r.offset, r.timestamp_ms, r.key, r.value or b"") for r in charges]
            if records:
                books.post(partition, records)
    deployment = load(**fields_of(written), data_dir=tmp_path, shards=SHARDS, pepper=PEPPER.hex())
    for lane in Lane:
        _note(deployment, story, lane, len(story.gateway[lane]))
    return deployment


def _note(settings: Settings, story: Story, lane: Lane, count: int) -> None:
    log = EventLog(log_folder(settings.data_dir, lane))
    log.append(story.gateway[lane][-count:])
    log.close()


def _command(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    own: dict[str, str | int | bool | Path] = {"data_dir": settings.data_dir, "shards": SHARDS, "pepper": PEPPER.hex()}
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "audit", *options],
        env=environment(bootstrap=settings.kafka, **own),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_closes_the_accounts_of_a_clean_run(settings: Settings) -> None:
    """Exit 0; counts; the last line is JSON."""
    done = _command(settings)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert "No violation" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert (figures["accepted"], figures["charged"], figures["violations"], figures["in_doubt"]) == (105, 67, 0, 1)
    assert figures["terminal"] + figures["open"] == figures["accepted"]


def test_the_command_fails_and_names_what_is_wrong(settings: Settings) -> None:
    """The gateway took a message twice: exit 1, number, name and place; a canary in a process's log is found, too."""
    story = Story()
    story.hand(story.code, 1, [0])
    _note(settings, story, Lane.OTP, 1)
    leaky = settings.data_dir / "logs" / "worker.log"
    leaky.parent.mkdir()
    leaky.write_text("one\ncode 271828\n")
    done = _command(settings, "--canary", "271828")
    assert done.returncode == 1
    assert f"10 visible_twice  gateway/0:{len(story.gateway[Lane.OTP])}" in done.stdout
    assert f"19 canary  {leaky}:2" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["violations"] == 2


async def test_without_a_ledger_every_charge_is_missing_from_the_book(settings: Settings) -> None:
    """When nothing more is to come; a ledger that is only behind is no violation."""
    (settings.data_dir / FILE).unlink()
    assert (await audit_system(settings)).found == {}
    assert set((await audit_system(settings, quiet=True)).found) == {"ledger_ranks_differ"}


def test_a_folder_of_another_kafka_is_refused(settings: Settings) -> None:
    """One sentence instead of a violation for every message: the book is of another cluster."""
    Books(settings.data_dir / FILE, cluster="another").close()
    done = _command(settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "keeps the charges of another Kafka (cluster another" in done.stderr


def test_a_kafka_that_does_not_answer_is_said_in_a_sentence(settings: Settings) -> None:
    """No traceback."""
    done = _command(settings.model_copy(update={"bootstrap": "127.0.0.1:9"}))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Kafka" in done.stderr
    assert topics.REGISTRY not in done.stdout
