"""The journal's shell on real Kafka: opening, folding, and the paths that only a second owner makes it take.

The gap read is tested on purpose: faults at random seldom enter it, and one that hangs is a shard that stands still.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.journal import Fold
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, body_of, pack
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Address
from tests.conftest import RealKafka
from tests.kafka.programs.journal_owner import entry
from tests.kafka.records import new_topic, trim
from tests.support.secured import environment

ROOT = Path(__file__).parents[2]


class OwnerProcess:
    """One running `journal_owner` program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, bootstrap: Address, topic: str) -> "OwnerProcess":
        """Start it; it is connected when it has answered its first command."""
        command = [sys.executable, "-m", "tests.kafka.programs.journal_owner", topic]
        pipe, limit = asyncio.subprocess.PIPE, 2**24
        own = environment(bootstrap=bootstrap)
        return cls(
            await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=own, stdin=pipe, stdout=pipe, limit=limit)
        )

    def tell(self, command: str) -> None:
        """Give a command without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")

    async def ask(self, command: str) -> dict[str, object]:
        """Give a command and wait for the answer."""
        assert self.process.stdout is not None
        self.tell(command)
        async with asyncio.timeout(10):
            line = await self.process.stdout.readline()
        assert line, f"it ended with {await self.process.wait()} instead of answering {command!r}"
        answer: dict[str, object] = json.loads(line)
        return answer

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(10):
            return await self.process.wait()


class JournalUnderTest:
    """A journal's topic, a producer that is nobody's owner, and the owners of the test."""

    def __init__(self, bootstrap: Address, topic: str, stranger: ConfirmedProducer) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self._stranger = stranger
        self.owners: list[OwnerProcess] = []

    async def owner(self) -> OwnerProcess:
        """Start an owner."""
        self.owners.append(await OwnerProcess.start(self.bootstrap, self.topic))
        return self.owners[-1]

    async def intrude(self, *records: bytes) -> None:
        """Append records behind the owner's back."""
        await self._stranger.send_many([Outgoing(self.topic, record, partition=0) for record in records])


@pytest.fixture
async def journal(kafka: RealKafka) -> AsyncIterator[JournalUnderTest]:
    """A journal of its own; the test's owners are ended afterwards."""
    topic = await new_topic(kafka.bootstrap, config={"message.timestamp.type": "LogAppendTime"})
    stranger = ConfirmedProducer(kafka.bootstrap, "stranger")
    await stranger.start()
    under_test = JournalUnderTest(kafka.bootstrap, topic, stranger)
    yield under_test
    for owner in under_test.owners:
        if owner.process.returncode is None:
            owner.process.kill()
        await owner.process.wait()
        owner.process._transport.close()  # type: ignore[attr-defined]
    await stranger.stop()


def claim(epoch: int) -> bytes:
    """Somebody's claim."""
    return pack(Header(Kind.CLAIM, Lane.OTP, 0, epoch, 0), Claim("stranger"))


async def test_what_was_appended_is_folded_by_the_next_owner(journal: JournalUnderTest) -> None:
    """State is the folded journal: the same in the owner that wrote it and in one that reads it after a kill."""
    first = await journal.owner()
    assert (await first.ask("open"))["epoch"] == 1
    await first.ask("append red")
    written = await first.ask("append blue")
    assert written == {"texts": ["red", "blue"], "epoch": 1, "voids": 0, "greeted": [1]}
    first.process.kill()

    second = await journal.owner()
    assert await second.ask("open") == {"texts": ["red", "blue"], "epoch": 2, "voids": 0, "greeted": [2]}
    assert (await second.ask("append green"))["texts"] == ["red", "blue", "green"]


async def test_reopening_folds_only_what_is_new(journal: JournalUnderTest) -> None:
    """After a revocation the memory stays; the next opening reads on from there and claims a higher epoch."""
    owner = await journal.owner()
    await owner.ask("open")
    await owner.ask("append red")
    await owner.ask("quiesce")
    await journal.intrude(claim(2), entry(2, "by another owner"))
    assert (await owner.ask("open"))["texts"] == ["red", "by another owner"]
    assert (await owner.ask("append blue")) == {
        "texts": ["red", "by another owner", "blue"],
        "epoch": 3,
        "voids": 0,
        "greeted": [1, 3],
    }


@pytest.mark.parametrize(
    ("label", "records"),
    [
        ("a zombie's decision", [entry(1, "late")]),
        ("several of them", [entry(1, "late"), entry(1, "later"), entry(0, "latest")]),
        ("a claim of the same epoch", [claim(2)]),
        ("a claim of a lower epoch", [claim(1)]),
    ],
)
async def test_void_records_in_a_gap_are_stepped_over(
    journal: JournalUnderTest, label: str, records: list[bytes]
) -> None:
    """A gap of void records is read, counted and ignored; the owner goes on, and every reader sees the same."""
    await journal.intrude(claim(1))
    owner = await journal.owner()
    await owner.ask("open")
    await owner.ask("append mine")
    await journal.intrude(*records)
    after = await owner.ask("append mine too")
    assert after["texts"] == ["mine", "mine too"], label
    assert after["voids"] == len(records), label
    owner.process.kill()
    assert (await (await journal.owner()).ask("open"))["texts"] == ["mine", "mine too"], label


async def test_a_higher_claim_in_a_gap_ends_the_owner(journal: JournalUnderTest) -> None:
    """A foreign claim under a living owner makes its next append void: it must not act on it, and exits fenced."""
    owner = await journal.owner()
    await owner.ask("open")
    await owner.ask("append mine")
    await journal.intrude(claim(2))
    owner.tell("append void")
    assert await owner.exit_code() == Exit.FENCED
    heir = await journal.owner()
    folded = await heir.ask("open")
    assert (folded["texts"], folded["voids"], folded["epoch"]) == (["mine"], 1, 3)


async def test_two_owners_that_open_at_once_end_with_one(journal: JournalUnderTest) -> None:
    """Whoever claims last owns the journal; the other one finds out at its next append, before it acts."""
    owners = [await journal.owner(), await journal.owner()]
    await asyncio.gather(*(owner.ask("quiesce") for owner in owners))
    answers = await asyncio.gather(*(owner.ask("open") for owner in owners))
    epochs = [int(str(answer["greeted"][-1])) for answer in answers]  # type: ignore[index]
    assert epochs[0] != epochs[1]
    winner, loser = owners if epochs[0] > epochs[1] else owners[::-1]
    loser.tell("append void")
    assert await loser.exit_code() == Exit.FENCED
    assert (await winner.ask("append mine"))["texts"] == ["mine"]


async def test_a_trimmed_journal_is_refused(journal: JournalUnderTest) -> None:
    """When the log begins after the point where the fold must begin, decisions may be missing: nobody starts on it."""
    first = await journal.owner()
    await first.ask("open")
    await first.ask("append decided")
    await first.ask("append sent")
    first.process.kill()
    await trim(journal.bootstrap, journal.topic, 2)
    second = await journal.owner()
    second.tell("open")
    assert await second.exit_code() == Exit.TRIMMED


async def test_the_next_owner_folds_from_the_claim_before_the_last(journal: JournalUnderTest) -> None:
    """What was said since the claim before the last one is folded, what is older has been said again; it may be trimmed."""
    first = await journal.owner()
    await first.ask("open")
    for text in ("said before the claim that the floor names", "open"):
        await first.ask(f"append {text}")
        await first.ask("repeat")
    await first.ask("append new")
    first.process.kill()
    second = await journal.owner()
    assert (await second.ask("open"))["texts"] == ["open", "new"]
    second.process.kill()
    await second.process.wait()
    await trim(journal.bootstrap, journal.topic, 2)
    assert (await (await journal.owner()).ask("open"))["texts"] == ["open", "new"]


async def test_a_log_trimmed_above_the_floor_is_refused(journal: JournalUnderTest) -> None:
    """One record past the floor is one too many, however often it was repeated."""
    first = await journal.owner()
    await first.ask("open")
    for command in ("append old", "repeat", "append open", "repeat"):
        await first.ask(command)
    first.process.kill()
    await trim(journal.bootstrap, journal.topic, 3)
    second = await journal.owner()
    second.tell("open")
    assert await second.exit_code() == Exit.TRIMMED


async def test_a_shard_that_was_taken_away_is_not_claimed(journal: JournalUnderTest) -> None:
    """The owner that opens next finds no claim of it."""
    first = await journal.owner()
    await first.ask("lose")
    assert (await first.ask("open"))["epoch"] == 0
    assert (await (await journal.owner()).ask("open"))["epoch"] == 1


async def test_a_long_journal_is_folded_whole(journal: JournalUnderTest) -> None:
    """Many fetches of many batches: every record once, in order."""
    texts = [f"{number} {'x' * 100}" for number in range(8_000)]
    await journal.intrude(claim(1))
    await journal.intrude(*(entry(1, text) for text in texts))
    owner = await journal.owner()
    assert (await owner.ask("open"))["texts"] == texts


async def test_no_owner_acts_on_a_void_record(journal: JournalUnderTest, tmp_path: Path) -> None:
    """Three processes fight for one journal, are stopped, woken and killed: whatever one of them acted on is valid."""
    chance, witness = random.Random(20261125), tmp_path / "acted"

    def rival() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.kafka.programs.journal_rival", journal.topic, str(witness)]
        own = environment(bootstrap=journal.bootstrap)
        return subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.DEVNULL)

    rivals = [rival() for _ in range(3)]
    try:
        for _ in range(25):
            index = chance.randrange(3)
            await _disturb(rivals[index], chance)
            if rivals[index].poll() is not None:
                rivals[index] = rival()
    finally:
        for process in rivals:
            process.kill()
            process.wait()

    fold, valid = await _fold_of(journal)
    acted = witness.read_text().split()
    assert fold.voids > 0, "nobody was overtaken: the test has shown nothing"
    assert len(acted) > 200
    assert set(acted) <= valid


async def _disturb(process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Stop it for a moment, or end it."""
    if chance.random() < 0.7:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(chance.random() * 0.4)
        process.send_signal(signal.SIGCONT)
    else:
        process.kill()
        process.wait()
    await asyncio.sleep(chance.random() * 0.2)


async def _fold_of(journal: JournalUnderTest) -> tuple[Fold, set[str]]:
    """The whole journal as any reader sees it."""
    fold, valid = Fold(), set()
    reader = LogReader(journal.bootstrap, "test", [(journal.topic, 0)])
    await reader.start()
    _, end = await reader.bounds((journal.topic, 0))
    async for bite in reader.read((journal.topic, 0), 0, end):
        for record in bite:
            header = fold.admit(record.value)
            if header is not None and header.kind is Kind.OUTCOME:
                valid.add(body_of(record.value, str))
    await reader.stop()
    return fold, valid
