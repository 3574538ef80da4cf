"""Measures what a start costs, by what lies behind it: ``python -m tests.load.starting plan 100000``.

No Kafka. The logs are made as the real code writes them, over as long as they say: each message is about one person, so many
a second (300; ``--rate``), so 1,080,000 are an hour. What a day costs is by message, for all of it is linear.

- *plan*: its fold of so many verdicts whose inputs are committed; once with the committed offset and, to compare, without.
- *deliver*: its fold of as many messages that were sent and are over for it.
- *settle*: its shell's rebuild from so many messages that were decided, sent, delivered and read within seconds.

Each measurement is a process of its own, so memory that one has freed does not hide what the next takes.
"""

import argparse
import asyncio
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from broker.audience.members import Audience
from broker.claims import Claims
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import ShardState, body_of_outcome
from broker.journal import Fold
from broker.plan.decode import PlanInput
from broker.plan.state import PlanState
from schemas import topics
from schemas.facts import ReceiptRun, Receipts, ReceiptStatus
from schemas.lanes import HOUR_MS, MINUTE_MS, Category, Lane
from schemas.plan_journal import PlannedBatch, WorkItem
from schemas.registry import PriceCard
from schemas.wire.columns import interval
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from schemas.wire.timestamps import text_of as instant
from streams.kafka.reader import LogRecord
from streams.runtime import clock
from streams.runtime.settings import load
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from tests.support.memory_kafka import MemoryLogs, MemoryReader
from tests.support.plan_bench import Bench as PlanBench
from tests.support.plan_bench import event, given
from tests.support.shard_bench import Bench as ShardBench
from tests.support.shard_bench import explicit, name

_A_RECORD: Final = 50
_RATE: Final = 300
_HOUR_S: Final = 3_600
_REPORTS: Final = ((ReceiptStatus.SENT, 1_000), (ReceiptStatus.DELIVERED, 2_000), (ReceiptStatus.READ, 5_000))
"""Each receipt, and how long after the hand-off it comes, milliseconds."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


Measured = Callable[[], dict[str, object]]
"""One measurement, to be made in another process."""


class Weighed:
    """Seconds of CPU, and bytes at the peak and after it, of what runs in ``with``."""

    def __enter__(self) -> Self:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak of memory begins anew here
        self._before = _resident()
        self._begun_s = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._begun_s
        status = Path("/proc/self/status").read_text("ascii")
        (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        self.peak_bytes = int(peak) * 1024 - self._before
        gc.collect()
        self.kept_bytes = _resident() - self._before

    def told(self, what: str, messages: int, rate: int, **more: object) -> dict[str, object]:
        """By message, and for a day of them."""
        day = 24 * _HOUR_S * rate / messages
        return {
            "start": what,
            "messages": messages,
            "hours": round(messages / rate / _HOUR_S, 2),
            "seconds": round(self.seconds, 2),
            "peak_mb": round(self.peak_bytes / 1e6),
            "day_seconds": round(self.seconds * day),
            "day_gb": round(self.peak_bytes * day / 1e9, 1),
            "us_each": round(1e6 * self.seconds / messages, 1),
            "peak_bytes_each": round(self.peak_bytes / messages),
            "kept_bytes_each": round(self.kept_bytes / messages),
        } | more


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


def _verdicts(messages: int, rate: int) -> list[bytes]:
    """Plan's journal."""
    bench, log = PlanBench(Lane.UPDATE), list[bytes]()
    bench.policy = msgspec.structs.replace(bench.policy, limits=False)
    for first in range(0, messages, _A_RECORD):
        bench.now_ms += _A_RECORD * 1_000 // rate
        step = bench.decide(*(_asked(first + number, bench.now_ms) for number in range(_A_RECORD)))
        assert not any(entry.verdict for entry in step.journal)
        log.append(pack(Header(Kind.PLANNED, Lane.UPDATE, 0, 1, step.at_ms), PlannedBatch(step.journal)))
    return log


def _asked(number: int, now_ms: int) -> PlanInput:
    about = {"facet": "state", "version": 1, "params": {"flight": "UA1545"}}
    times: dict[str, Any] = {"time": instant(now_ms), "expirytime": instant(now_ms + 10 * MINUTE_MS)}
    return given(
        event(id=f"order-{number}", people=(number % 900,), subject=f"parcel/{number}", data=about, **times), number
    )


def _plan(messages: int, rate: int, committed: int) -> dict[str, object]:
    log = _verdicts(messages, rate)
    with Weighed() as weighed:
        state = PlanState()
        state.committed(committed)
        for offset, record in enumerate(log):
            state.apply(head_of(record), body_of(record, PlannedBatch), offset)
    return weighed.told("plan", messages, rate, committed=committed, bodies=len(state.unfinished))


def _delivered(messages: int, rate: int) -> Iterator[tuple[int, range, list[bytes]]]:
    """Yields deliver's journal in pieces: when each was written, about which messages, and its records."""
    bench, said = ShardBench(Lane.UPDATE, limits=False), 0
    for first in range(1, messages + 1, _A_RECORD):
        numbers = range(first, first + _A_RECORD)
        bench.now += _A_RECORD * 1_000 // rate
        lives_ms = {"time_ms": bench.now, "expires_ms": bench.now + 10 * MINUTE_MS, "keep_ms": bench.now + 48 * HOUR_MS}
        bench.take(*(_item(number, **lives_ms) for number in numbers))
        bench.run()
        yield bench.now, numbers, bench.log[said:]
        said = len(bench.log)


def _item(number: int, **lives_ms: int) -> WorkItem:
    return explicit(number, [number], **lives_ms, source="//shop/x", id=f"id-{number}")


def _deliver(messages: int, rate: int) -> dict[str, object]:
    log = [record for _, _, records in _delivered(messages, rate) for record in records]
    with Weighed() as weighed:
        policy = DeliverPolicy.of(Lane.UPDATE, 0, b"ref")
        state, fold, claims = ShardState(policy, Audience()), Fold(), Claims()
        for offset, record in enumerate(log):
            header = fold.admit(record)
            assert header is not None
            body = body_of_outcome(header, record)
            assert body is not None
            claims.fold(header, record, offset)
            state.apply(header, body)
    return weighed.told("deliver", messages, rate, open=len(state.items), closed=len(state.closed))


def deliver(messages: int, rate: int) -> list[Measured]:
    """Deliver's fold."""
    return [partial(_deliver, messages, rate)]


def _settled(messages: int, rate: int) -> MemoryLogs:
    """Outcomes and receipts; of both the last record is not committed."""
    logs, reports = MemoryLogs(), list[tuple[int, bytes]]()
    for now_ms, numbers, records in _delivered(messages, rate):
        for record in records:
            _stand(logs, topics.outcomes(Lane.UPDATE), now_ms, record)
        for status, later_ms in _REPORTS:
            at_ms = now_ms + later_ms
            runs = (ReceiptRun(name(number), interval(0, 1), status, at_ms, at_ms) for number in numbers)
            header = Header(Kind.RECEIPT, Lane.UPDATE, 0, 0, at_ms)
            reports.append((at_ms, pack(header, Receipts(tuple(runs)))))
    for at_ms, record in sorted(reports):
        _stand(logs, topics.receipts(Lane.UPDATE), at_ms, record)
    return logs


def _stand(logs: MemoryLogs, topic: str, at_ms: int, record: bytes) -> None:
    log = logs.records[topic, 0]
    log.append(LogRecord(len(log), at_ms, None, record))


def _settle(messages: int, rate: int) -> dict[str, object]:
    logs = _settled(messages, rate)
    parts = LaneParts(load(), Lane.UPDATE)
    parts.settle_reader = MemoryReader(logs)
    words = {category.word: {"*": 1} for category in Category}
    parts.registry.cards[1] = PriceCard(1, "USD", words)
    shard = SettleShard(parts, 0, done=lambda _: None, read_to_end=lambda _: True)
    committed = {place: len(records) - 1 for place, records in logs.records.items()}
    most = 0

    async def rebuilt() -> None:
        nonlocal most
        shard.start(committed)
        while not shard._counted:
            await asyncio.sleep(0.002)
            most = max(most, shard._settle.open_count - shard._settle.shelved)
        await shard.stop()

    clock.now_ms = lambda: logs.records[topics.receipts(Lane.UPDATE), 0][-1].timestamp_ms
    with Weighed() as weighed:
        asyncio.run(rebuilt())
    return weighed.told("settle", messages, rate, open=shard._settle.open_count, most_unpacked=most)


def settle(messages: int, rate: int) -> list[Measured]:
    """Settle's rebuild."""
    return [partial(_settle, messages, rate)]


def plan(messages: int, rate: int) -> list[Measured]:
    """Plan's fold, without and with what the group says."""
    return [partial(_plan, messages, rate, 0), partial(_plan, messages, rate, messages)]


_STARTS: Final = {"plan": plan, "deliver": deliver, "settle": settle}


def main() -> None:
    """Measure; a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", choices=_STARTS)
    parser.add_argument("messages", nargs="*", type=int, default=[100_000])
    parser.add_argument("--rate", type=int, default=_RATE, help="messages a second (300)")
    asked = parser.parse_args()
    for messages in asked.messages:
        for measured in _STARTS[asked.start](messages, asked.rate):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                print(json.dumps(alone.submit(measured).result()), flush=True)


if __name__ == "__main__":
    main()
