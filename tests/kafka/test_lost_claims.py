"""A gateway that remembers more than its Kafka does: the worker refuses to start, once, and says what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.lanes import Lane
from streams.gateway.frames import FrameGateway
from streams.kafka.grants import worker_user
from streams.runtime.child import FANFARE
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Address
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.listeners import listening
from tests.support.programs import running, until
from tests.support.secured import as_user

LANE = Lane.CAMPAIGN
REMEMBERED = 9
DEADLINE_S = 60


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka that knows nothing yet."""
    with registered_kafka() as address:
        yield address


async def test_a_worker_refuses_a_kafka_that_has_lost_what_its_gateway_saw(bootstrap: Address, tmp_path: Path) -> None:
    """With one exit and one sentence; by the operator's word it goes on above the gateway's epoch."""
    log = tmp_path / "worker.log"
    command = (*FANFARE, "worker", "--lane", LANE.word)
    async with listening(tmp_path, "http://127.0.0.1:1") as gateway, FrameGateway(gateway.url) as port:
        for shard in range(SHARDS):
            await port.hello(LANE, shard, REMEMBERED, timeout_ms=5_000)
        way = as_user(bootstrap, worker_user(LANE))
        settings = {"bootstrap": way, "gateway_campaign": gateway.url, "data_dir": tmp_path, "shards": SHARDS}
        settings["worker_metrics_port"] = 0
        async with running(command, log, **settings) as worker:
            await until(lambda: worker.status is not None, deadline_s=DEADLINE_S)
            assert worker.status == Exit.TRIMMED, log.read_text()
        (line,) = [line for line in log.read_text().splitlines() if '"event":"exit_trimmed"' in line]
        assert f"the gateway knows epoch {REMEMBERED} of this journal, which ends at epoch 0" in line
        lost = ",".join(f"{topics.outcomes(LANE)}:{shard}:0" for shard in range(SHARDS))
        async with running(command, log, accept_trimmed=lost, **settings):
            opened = f'"epoch":{REMEMBERED + 1}'
            await until(lambda: log.read_text().count(opened) >= SHARDS, deadline_s=DEADLINE_S)
        assert "exit_" not in log.read_text()
