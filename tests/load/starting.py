"""Measures what a start costs, by what lies behind it: ``python -m tests.load.starting plan 100000``.

No Kafka. Each message is about one person, 300 a second, and stands in the logs as the real code writes it.

- *plan*: its fold of so many verdicts whose inputs are committed; once with the committed offset and, to compare, without.
- *settle*: its shell's rebuild from so many messages that were decided, sent, delivered and read within seconds.

Each measurement is a process of its own, so memory that one has freed does not hide what the next takes.
"""

import argparse
import asyncio
import gc
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Self

import msgspec

from broker.plan.decode import PlanInput
from broker.plan.state import PlanState
from schemas import topics
from schemas.facts import ReceiptRun, Receipts, ReceiptStatus
from schemas.lanes import HOUR_MS, Category, Lane
from schemas.plan_journal import PlannedBatch
from schemas.registry import PriceCard
from schemas.wire.columns import interval
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from streams.kafka.reader import LogRecord
from streams.runtime import clock
from streams.runtime.settings import load
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from tests.support.memory_kafka import MemoryLogs, MemoryReader
from tests.support.plan_bench import Bench, event, given
from tests.support.shard_bench import NOW_MS, explicit, name
from tests.support.shard_bench import Bench as ShardBench

_A_RECORD: Final = 50
_A_SECOND: Final = 300
_REPORTS: Final = ((ReceiptStatus.SENT, 1_000), (ReceiptStatus.DELIVERED, 2_000), (ReceiptStatus.READ, 5_000))
"""Each receipt, and how long after the hand-off it comes, milliseconds."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


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

    def told(self, what: str, messages: int, **more: object) -> dict[str, object]:
        """By message."""
        return {
            "start": what,
            "messages": messages,
            "us_each": round(1e6 * self.seconds / messages, 1),
            "peak_bytes_each": round(self.peak_bytes / messages),
            "kept_bytes_each": round(self.kept_bytes / messages),
        } | more


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


def _verdicts(messages: int) -> list[bytes]:
    bench = Bench(Lane.UPDATE)
    bench.policy = msgspec.structs.replace(bench.policy, limits=False)
    log = []
    for first in range(0, messages, _A_RECORD):
        step = bench.decide(*(_asked(first + number) for number in range(_A_RECORD)))
        log.append(pack(Header(Kind.PLANNED, Lane.UPDATE, 0, 1, step.at_ms), PlannedBatch(step.journal)))
    return log


def _asked(number: int) -> PlanInput:
    about = {"facet": "state", "version": 1, "params": {"flight": "UA1545"}}
    return given(event(id=f"order-{number}", people=(number % 900,), subject=f"parcel/{number}", data=about), number)


def _plan(messages: int, committed: int) -> dict[str, object]:
    log = _verdicts(messages)
    with Weighed() as weighed:
        state = PlanState()
        state.committed(committed)
        for offset, record in enumerate(log):
            state.apply(head_of(record), body_of(record, PlannedBatch), offset)
    return weighed.told("plan", messages, committed=committed, bodies=len(state.unfinished))


def _settled(messages: int) -> MemoryLogs:
    """Outcomes and receipts; of both the last record is not committed."""
    bench, logs, said = ShardBench(Lane.UPDATE, limits=False), MemoryLogs(), 0
    reports: list[tuple[int, bytes]] = []
    lives_ms = {"expires_ms": NOW_MS + 48 * HOUR_MS, "keep_ms": NOW_MS + 48 * HOUR_MS, "source": "//shop/x"}
    for first in range(1, messages + 1, _A_RECORD):
        numbers = range(first, first + _A_RECORD)
        bench.now += _A_RECORD * 1_000 // _A_SECOND
        bench.take(*(explicit(number, [number], **lives_ms, id=f"id-{number}") for number in numbers))
        bench.run()
        for record in bench.log[said:]:
            _stand(logs, topics.outcomes(Lane.UPDATE), bench.now, record)
        said = len(bench.log)
        for status, later_ms in _REPORTS:
            at_ms = bench.now + later_ms
            runs = (ReceiptRun(name(number), interval(0, 1), status, at_ms, at_ms) for number in numbers)
            header = Header(Kind.RECEIPT, Lane.UPDATE, 0, 0, at_ms)
            reports.append((at_ms, pack(header, Receipts(tuple(runs)))))
    for at_ms, record in sorted(reports):
        _stand(logs, topics.receipts(Lane.UPDATE), at_ms, record)
    return logs


def _stand(logs: MemoryLogs, topic: str, at_ms: int, record: bytes) -> None:
    log = logs.records[topic, 0]
    log.append(LogRecord(len(log), at_ms, None, record))


def _settle(messages: int) -> dict[str, object]:
    logs = _settled(messages)
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
    return weighed.told("settle", messages, open=shard._settle.open_count, most_unpacked=most)


def settle(messages: int) -> list[Callable[[], dict[str, object]]]:
    """Settle's rebuild."""
    return [_Asked(_settle, messages)]


def plan(messages: int) -> list[Callable[[], dict[str, object]]]:
    """Plan's fold, without and with what the group says."""
    return [_Asked(_plan, messages, 0), _Asked(_plan, messages, messages)]


class _Asked:
    """One measurement, to be made in another process."""

    def __init__(self, measure: Callable[..., dict[str, object]], *asked: int) -> None:
        self._measure, self._asked = measure, asked

    def __call__(self) -> dict[str, object]:
        return self._measure(*self._asked)


_STARTS: Final = {"plan": plan, "settle": settle}


def main() -> None:
    """Measure; a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", choices=_STARTS)
    parser.add_argument("messages", nargs="*", type=int, default=[100_000])
    asked = parser.parse_args()
    for messages in asked.messages:
        for measure in _STARTS[asked.start](messages):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                print(json.dumps(alone.submit(measure).result()), flush=True)


if __name__ == "__main__":
    main()
