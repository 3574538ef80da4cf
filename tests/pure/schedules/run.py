"""`python -m tests.pure.schedules.run N`: N seeded fault schedules of the real shells; `make schedules N=`."""

import argparse
import gc
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial

from tests.pure.schedules.kinds import KINDS, MUTANTS, breaks_a_promise, broken_by

JOBS = 2
_BATCH = 50
_FEW = 8
"""Seeds that a process tries before it says whether one of them shows a planted bug; most are shown by the first."""
_PROGRESS = 1_000


def broken(kind: str | None, first: int, count: int) -> list[tuple[int, str]]:
    """(seed, sentence) of every promise broken in ``count`` schedules from seed ``first`` on, of one kind or of all."""
    return [(seed, sentence) for seed in range(first, first + count) for sentence in broken_by(seed, kind)]


def run(total: int, seed: int, jobs: int, kind: str | None = None) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """(schedules done so far, what was broken in the last batch), in ``jobs`` processes."""
    starts = range(seed, seed + total, _BATCH)
    done = 0
    with ProcessPoolExecutor(jobs, initializer=seldom_collect) as pool:
        counts = [min(_BATCH, seed + total - start) for start in starts]
        for count, found in zip(counts, pool.map(partial(broken, kind), starts, counts), strict=True):
            done += count
            yield done, found


def caught_at(mutant: str, most: int, pool: Executor) -> int | None:
    """The first of ``most`` seeds, or one of the next few, that shows a planted bug; None if none does."""
    under_way: deque[Future[int | None]] = deque()
    for start in range(0, most, _FEW):
        under_way.append(pool.submit(_shown, mutant, start, _FEW))
        if len(under_way) == JOBS and (found := under_way.popleft().result()) is not None:
            return found
    return next((found for each in under_way if (found := each.result()) is not None), None)


def _shown(mutant: str, first: int, count: int) -> int | None:
    return next((seed for seed in range(first, first + count) if breaks_a_promise(MUTANTS[mutant], seed)), None)


def seldom_collect() -> None:
    """A schedule is over before its garbage is much."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main() -> int:
    """Run them; 1 if a promise was broken. The last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.pure.schedules.run", description=__doc__)
    parser.add_argument("total", type=int, nargs="?", default=2_000, metavar="N", help="how many schedules (2000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the same seed gives the same schedule")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"processes ({JOBS})")
    parser.add_argument("--kind", choices=KINDS, help="this kind alone; by default seeds take turns")
    parser.add_argument("--first", action="store_true", help="stop after the first promise that is broken")
    asked = parser.parse_args()
    again = "" if asked.kind is None else f" --kind {asked.kind}"
    violations, done, begun_s = 0, 0, time.monotonic()
    for done, found in run(asked.total, asked.seed, asked.jobs, asked.kind):
        violations += len(found)
        for seed, sentence in found:
            print(f"seed {seed}: {sentence}; again: python -m tests.pure.schedules.run 1 --seed {seed} --jobs 1{again}")
        if asked.first and violations:
            break
        if done % _PROGRESS == 0:
            print(f"{done:,} of {asked.total:,} schedules, {violations} violations", file=sys.stderr, flush=True)
    a_second = round(done / (time.monotonic() - begun_s), 1)
    print(json.dumps({"schedules": done, "violations": violations, "a_second": a_second}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
