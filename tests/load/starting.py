"""Measures what a start costs, by what lies behind it: ``python -m tests.load.starting plan 100000``.

No Kafka. *plan*: so many verdicts about one person each, the group's offset at their end, folded from records as they stand in
the journal; once with the committed offset and, to compare, once without. Each measurement is a process of its own, so memory
that one has freed does not hide what the next takes.
"""

import argparse
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
from schemas.lanes import Lane
from schemas.plan_journal import PlannedBatch
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.support.plan_bench import Bench, event, given

_A_RECORD: Final = 50
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


def plan(messages: int) -> list[Callable[[], dict[str, object]]]:
    """Plan's fold, without and with what the group says."""
    return [_Asked(_plan, messages, 0), _Asked(_plan, messages, messages)]


class _Asked:
    """One measurement, to be made in another process."""

    def __init__(self, measure: Callable[..., dict[str, object]], *asked: int) -> None:
        self._measure, self._asked = measure, asked

    def __call__(self) -> dict[str, object]:
        return self._measure(*self._asked)


_STARTS: Final = {"plan": plan}


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
