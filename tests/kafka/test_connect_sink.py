"""Kafka Connect's file sink, from the jars of Kafka, reads billing events as they are: lines of JSON, each once, that add up."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import topics
from schemas.topics import SHARDS, business_topics
from streams.dev.kafka.distribution import Distribution, obtain_jars, read_lock
from streams.dev.kafka.java import find_java
from streams.kafka.provision import provision
from streams.runtime.kafka_access import Address
from streams.runtime.settings import cache_folder, java_home
from tests.kafka.ledgers import Charges, RunningLedger
from tests.support.programs import until

LOCK = Path(__file__).with_name("connect.lock")
WORKER = """\
bootstrap.servers={bootstrap}
listeners=HTTP://127.0.0.1:0
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename={folder}/offsets
plugin.discovery=only_scan
"""
SINK = """\
name=bill
connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector
tasks.max=1
topics={topic}
file={file}
"""


@asynccontextmanager
async def sinking(bootstrap: Address, topic: str, folder: Path) -> AsyncIterator[Path]:
    """Runs a standalone worker of Kafka Connect that appends every value of ``topic`` to a file, as a line."""
    jars = await obtain_jars(read_lock(LOCK), cache=cache_folder() / "kafka-connect", say=print)
    connect = Distribution("4.3.0", find_java(java_home=java_home()), jars)
    file = folder / "bill.jsonl"
    (folder / "worker.properties").write_text(WORKER.format(bootstrap=bootstrap, folder=folder))
    (folder / "sink.properties").write_text(SINK.format(topic=topic, file=file))
    command = connect.command(
        "org.apache.kafka.connect.cli.ConnectStandalone", folder / "worker.properties", folder / "sink.properties"
    )
    with (folder / "connect.log").open("wb") as said:
        worker = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=subprocess.STDOUT)
        try:
            yield file
        finally:
            worker.kill()
            await worker.wait()


def lines_of(file: Path) -> list[dict[str, Any]]:
    """Every whole line of a file as JSON."""
    whole = file.read_bytes().rpartition(b"\n")[0] if file.exists() else b""
    return [msgspec.json.decode(line) for line in whole.splitlines()]


@pytest.mark.slow
@pytest.mark.plain_kafka("the sink reads in a group of its own, which no printed grant names")
async def test_a_file_sink_has_the_whole_bill(charges: Charges, ledger: RunningLedger, tmp_path: Path) -> None:
    """Events that were written before it came, and those that a ledger which is killed and started again writes meanwhile."""
    await provision(ledger.bootstrap, business_topics(charges.business), shards=SHARDS, dev=True, say=print)
    await charges.write(*(range(first, first + 10) for first in range(0, 200, 10)))
    await ledger.start()
    folder = tmp_path / "connect"
    folder.mkdir()
    async with sinking(ledger.bootstrap, topics.billing(charges.business), folder) as file:
        async with asyncio.timeout(60):
            while len(lines_of(file)) < 20:
                await asyncio.sleep(0.2)
        await ledger.program.kill()
        await charges.write(*(range(first, first + 10) for first in range(200, 300, 10)))
        await ledger.start()
        await until(lambda: len(lines_of(file)) == 30)
    bill = [line["data"] for line in lines_of(file)]
    assert [charge["serial"] for charge in bill] == list(range(1, 31))
    assert {line["type"] for line in lines_of(file)} == {"fanfare.charge.v1"}
    assert sum(charge["amount_micro"] for charge in bill) == charges.due_micro == charges.owed_micro(ledger.folder)
