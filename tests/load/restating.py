"""Measures how long one turn of the loop is while an owner restates, by the number of names: ``python -m tests.load.restating``.

No Kafka: deliver's engine and plan's state are driven as their shells drive them, each record is packed and folded. The longest
turn is one step with the record that it makes; what is decided between two bites is counted, too.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import msgspec

from broker.claims import Claims
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState, restatement
from schemas.delivery_journal import ClosedName, Newest, Restated
from schemas.lanes import HOUR_MS, Lane
from schemas.plan_journal import Claim, Origin, Planned, PlannedBatch
from schemas.wire.header import Header, Kind, pack
from tests.support.shard_bench import NOW_MS, Bench, explicit

OLD_MS = NOW_MS - 30 * HOUR_MS
_AT_ONCE = 10_000
BITE = {field.name: field.default for field in msgspec.structs.fields(PlanPolicy)}["bite"]


class Turns:
    """Times turns."""

    def __init__(self) -> None:
        self.longest_s = self.total_s = 0.0
        self.turns = 0

    def take(self, turn: Callable[[], object]) -> object:
        """One turn."""
        begun_s = time.process_time()
        result = turn()
        took_s = time.process_time() - begun_s
        self.longest_s, self.total_s = max(self.longest_s, took_s), self.total_s + took_s
        self.turns += 1
        return result


def deliver(names: int) -> dict[str, object]:
    """A round over so many closed names, a quarter of which are over, and as many facts and people as a tenth of them."""
    bench, turns = Bench(Lane.UPDATE), Turns()
    header = Header(Kind.OUTCOME_RESTATED, Lane.UPDATE, 0, 1, OLD_MS)
    for start in range(0, names, _AT_ONCE):
        closed = tuple(
            ClosedName(os.urandom(16), NOW_MS + (HOUR_MS if number % 4 else -HOUR_MS)) for number in range(_AT_ONCE)
        )
        newest = tuple(Newest(os.urandom(16), 1, OLD_MS, NOW_MS + HOUR_MS) for _ in range(_AT_ONCE // 10))
        bench.state.apply(header, Restated(closed=closed, newest=newest))
        bench.state.limits._limits[0][0].spend("airline/main", os.urandom(16 * (_AT_ONCE // 10)), NOW_MS + start)
    bench.claims = Claims()
    _claimed(bench, OLD_MS)
    bench.epoch += 1
    bench.engine = bench.engine.__class__(bench.policy, bench.state, epoch=2, now_ms=bench.now, claims=bench.claims)
    decided = records = 0
    while bench.engine.restating.claim_due is None:
        bench.take(explicit(1_000_000 + turns.turns, [1_000_000 + turns.turns]))
        before, logged = len(bench.finished), len(bench.log)
        turns.take(bench.append)
        decided += len(bench.finished) > before
        records += len(bench.log) > logged and len(bench.finished) == before
    return _told("deliver", names, turns, records=records, decided_between=decided)


def _claimed(bench: Bench, at_ms: int) -> None:
    header = Header(Kind.CLAIM, Lane.UPDATE, 0, 1, at_ms)
    bench.claims.fold(header, pack(header, Claim("a")), 0)
    header = Header(Kind.CLAIM, Lane.UPDATE, 0, 2, NOW_MS - HOUR_MS)
    bench.claims.fold(header, pack(header, Claim("b")), 1)


def plan(names: int) -> dict[str, object]:
    """A round over so many names, a quarter of which are over."""
    state, turns, records = PlanState(10**12), Turns(), 0
    header = Header(Kind.PLANNED, Lane.UPDATE, 0, 1, OLD_MS)
    for start in range(0, names, _AT_ONCE):
        entries = (_name(start + number) for number in range(_AT_ONCE))
        state.apply(header, PlannedBatch(tuple(entries)), start)
    header = Header(Kind.PLAN_RESTATED, Lane.UPDATE, 0, 1, NOW_MS)
    state.apply(header, PlannedBatch(()), names)

    def bite() -> bool:
        body = restatement(state, 0, now_ms=NOW_MS, before_ms=NOW_MS - HOUR_MS, most=BITE)
        if body is not None:
            pack(header, body)
            state.apply(header, body, names + 1)
        return body is not None

    while True:
        while turns.take(lambda: state.forget(2 * BITE)) == 2 * BITE:
            """The loop has its turn."""
        if not turns.take(bite):
            break
        records += 1
    return _told("plan", names, turns, records=records, left=len(state.names))


def _name(number: int) -> Planned:
    keep_ms = NOW_MS + (HOUR_MS if number % 4 else -HOUR_MS)
    return Planned(
        name=os.urandom(16),
        origin=Origin(0, number),
        fingerprint=os.urandom(8),
        verdict=0,
        decided_ms=OLD_MS,
        keep_ms=keep_ms,
    )


def _told(stage: str, names: int, turns: Turns, **more: int) -> dict[str, object]:
    longest_ms, total_s = round(turns.longest_s * 1_000, 1), round(turns.total_s, 2)
    return {
        "stage": stage,
        "names": names,
        "longest_turn_ms": longest_ms,
        "turns": turns.turns,
        "total_s": total_s,
    } | more


def main() -> None:
    """Measure both stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", type=int, default=[200_000])
    for names in parser.parse_args().names:
        for stage in (deliver, plan):
            print(json.dumps(stage(names)), flush=True)


if __name__ == "__main__":
    main()
