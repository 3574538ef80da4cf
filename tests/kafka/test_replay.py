"""`fanfare record` and `fanfare replay` on a real Kafka: what was published comes again, as new requests, and plan takes them."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from broker.plan.decode import PlanInput
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import decide
from schemas.ids import request_name
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.topics import requests
from schemas.wire.sealed import AddressBook, open_code
from streams.dev.recordings.files import read_entries
from streams.dev.recordings.playback import Result
from streams.kafka.scan import Record, scan
from streams.registry.read import read_registry
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.settings import load
from tests.kafka.registered import SHARDS
from tests.kafka.test_sources import bootstrap as bootstrap  # noqa: PLC0414 - the fixture, with a Kafka of this module's own
from tests.support.programs import until
from tests.support.secured import environment

RECORDED = 200
LANES = (Lane.OTP, Lane.UPDATE)


async def fanfare(bootstrap: Address, *arguments: str) -> asyncio.subprocess.Process:
    """Start the command with this Kafka."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streams.cli", *arguments),
        env=environment(bootstrap=bootstrap),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finished(bootstrap: Address, *arguments: str) -> str:
    """Run the command to its end; its standard output."""
    process = await fanfare(bootstrap, *arguments)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def standing(bootstrap: Address, since_ms: int) -> dict[Lane, list[Record]]:
    """The records of request topics from then on."""
    return {
        lane: [record async for bite in scan(bootstrap, requests(lane), since_ms=since_ms) for record in bite]
        for lane in LANES
    }


async def verdicts(bootstrap: Address, lane: Lane, records: Sequence[Record]) -> list[int]:
    """What plan's own code says of these records, each partition in its order: 0 is accepted; a duplicate gets none."""
    registry, found = await read_registry(bootstrap), []
    for partition in range(SHARDS):
        policy = msgspec.structs.replace(
            PlanPolicy.of(lane, partition, pepper=bytes(32), address_book=AddressBook({1: bytes(range(32))})),
            shards=SHARDS,
        )
        inputs = [
            PlanInput(Origin(partition, each.offset), each.key, each.value, each.headers, each.timestamp_ms)
            for each in records
            if each.partition == partition
        ]
        step = decide(inputs, PlanState(), registry, policy, clock.now_ms())
        found += [entry.verdict for entry in step.journal]
    return found


async def recorded(bootstrap: Address, path: Path) -> None:
    """Record what the sources publish, live, until Ctrl-C."""
    recording = await fanfare(bootstrap, "record", "otp", "update", "--out", str(path), "--pseudonymise")
    assert recording.stderr is not None
    assert (await recording.stderr.readline()).startswith(b"recording requests.otp, requests.update from ")
    for source in ("logins", "parcels"):
        await finished(bootstrap, "source", source, "--limit", "100" if source == "logins" else "60", "--speed", "max")
    await until(lambda: path.read_bytes().count(b"\n") >= RECORDED)
    recording.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        _, err = await recording.communicate()
    assert recording.returncode == 0, err.decode()
    assert b"is complete" in err


async def test_what_was_recorded_is_replayed_as_new(bootstrap: Address, tmp_path: Path) -> None:
    """Two hundred events come again at ten times the speed: all acknowledged, all accepted, none a duplicate of another."""
    path = tmp_path / "day.jsonl"
    await recorded(bootstrap, path)
    entries = list(read_entries(str(path)))
    assert len(entries) >= RECORDED
    before = await standing(bootstrap, 0)
    assert len(entries) == sum(map(len, before.values()))
    since_ms = clock.now_ms()
    await asyncio.sleep(0.002)
    sentence, told = (await finished(bootstrap, "replay", str(path), "--speed", "10")).splitlines()
    result = msgspec.json.decode(told, type=Result)
    assert sentence.startswith(f"{len(entries)} records sent, ")
    assert (result.sent, result.acknowledged, result.errors) == (len(entries), len(entries), 0)
    again = await standing(bootstrap, since_ms)
    for lane in LANES:
        assert len(again[lane]) == sum(entry.lane is lane for entry in entries)
        assert await verdicts(bootstrap, lane, [*before[lane], *again[lane]]) == [0] * 2 * len(again[lane])
        repeated = [record._replace(offset=record.offset + 1_000_000) for record in before[lane]]
        assert len(await verdicts(bootstrap, lane, [*before[lane], *repeated])) == len(before[lane])
    keys = load().private_seal_keys
    for event in (msgspec.json.decode(record.value or b"") for record in again[Lane.OTP]):
        (person,) = event["data"]["to"]["recipients"]
        name = request_name(Lane.OTP, event["source"], event["id"])
        place = {"request": name, "address": person["address"], "template": "login_code", "parameter": "code"}
        assert open_code(person["params"]["code"]["sealed"], keys, **place).isdecimal()


async def test_ctrl_c_ends_a_replay_in_order(bootstrap: Address, tmp_path: Path) -> None:
    """It prints the figures of what was sent, all of it acknowledged, and exits with 130."""
    path = tmp_path / "day.jsonl.zst"
    await finished(bootstrap, "source", "parcels", "--limit", "10", "--speed", "max")
    await finished(bootstrap, "record", "requests.update", "--since", "1h", "--seconds", "0", "--out", str(path))
    replay = await fanfare(bootstrap, "replay", str(path), "--rate", "5", "--filter", "lane=update", "--loop", "9")
    assert replay.stderr is not None
    await replay.stderr.readline()
    assert b"acknowledged" in await replay.stderr.readline()
    os.kill(replay.pid, signal.SIGINT)
    async with asyncio.timeout(20):
        out, _ = await replay.communicate()
    result = msgspec.json.decode(out.splitlines()[-1], type=Result)
    assert replay.returncode == 130
    assert result.interrupted
    assert result.sent == result.acknowledged > 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("record", "plans.update"), "no topic that businesses publish to"),
        (("record", "otp", "--since", "yesterday"), "--since: an instant looks like"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        (("replay", "nowhere.jsonl", "--filter", "a=b"), "is no FIELD=VALUE with one of the fields"),
        (("replay", "nowhere.jsonl", "--speed", "2", "--rate", "2"), "exclude each other"),
    ],
)
async def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], sentence: str) -> None:
    """One sentence and status 1, before any Kafka is asked."""
    process = await fanfare("127.0.0.1:1", *arguments)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert sentence in err.decode()
    assert err.count(b"\n") == 1
