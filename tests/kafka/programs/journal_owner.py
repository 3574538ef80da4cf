"""An owner of one journal that does what it is told, line by line, on standard input.

Run as `python -m tests.kafka.programs.journal_owner TOPIC`. Commands: `open`, `append TEXT`, `repeat` (the claim),
`lose` (the shard, before it is opened), `quiesce`. Each is answered by one line of JSON on standard output. A fault ends the
process with its exit code, as it would end a worker.
"""

import asyncio
import contextlib
import json
import sys

from schemas.lanes import Lane
from schemas.wire.header import Header, Kind, body_of, pack
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.journal_terms import JournalTerms, NotAssignedError
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import ConfirmedProducer
from streams.kafka.reader import LogReader, LogRecord
from streams.runtime import clock, log
from streams.runtime.settings import load
from tests.support.memory_kafka import known


def entry(epoch: int, text: str) -> bytes:
    """A record of a journal that says `text`."""
    return pack(Header(Kind.OUTCOME, Lane.OTP, 0, epoch, clock.now_ms()), text)


class Owner:
    """The journal of partition 0, and the texts folded from it."""

    def __init__(self, topic: str) -> None:
        self.texts: list[str] = []
        self.greeted: list[int] = []
        self.assigned = True
        time = KafkaTime("worker")
        self._producer = ConfirmedProducer(load().kafka, "owner", time=time)
        self._reader = LogReader(load().kafka, "owner", [(topic, 0)])
        at = JournalPlace(topic, Lane.OTP, 0)
        self.journal = Journal(at, self._apply, reader=self._reader, producer=self._producer, time=time)

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()
        await self._reader.start()

    async def obey(self, command: str, text: str) -> dict[str, object]:
        """Do one command; what is known afterwards."""
        match command:
            case "open":
                terms = JournalTerms(1, lambda: self.assigned, known, self._hello)
                with contextlib.suppress(NotAssignedError):
                    await self.journal.open(terms)
            case "append":
                await self.journal.append(entry(self.journal.epoch, text))
            case "repeat":
                due = self.journal.claims.due(clock.now_ms(), 0)
                assert due is not None
                await self.journal.repeat_claim(due.floor)
            case "lose":
                self.assigned = False
            case "quiesce":
                await self.journal.quiesce()
            case _:
                raise ValueError(command)
        epoch = self.journal.fold.epoch
        return {"texts": self.texts, "epoch": epoch, "voids": self.journal.fold.voids, "greeted": self.greeted}

    async def _hello(self, epoch: int) -> int:
        self.greeted.append(epoch)
        return epoch

    def _apply(self, record: LogRecord, header: Header) -> None:
        if header.kind is Kind.OUTCOME:
            self.texts.append(body_of(record.value, str))


async def main() -> None:
    """Obey until standard input ends."""
    log.configure(program="journal_owner")
    owner = Owner(*sys.argv[1:])
    await owner.start()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, _, text = line.rstrip("\n").partition(" ")
        sys.stdout.write(json.dumps(await owner.obey(command, text)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
