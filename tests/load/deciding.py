"""The cost of plan: ``python -m tests.load.deciding`` prints microseconds of processor time a request, alone and in batches.

Each figure is the median of several runs over single updates of different people: nothing is appended, so all of them are new.
"""

import statistics
import sys
import time
from typing import Final

import msgspec

from broker.plan.decode import PlanInput
from broker.plan.state import PlanState
from broker.plan.step import decide
from schemas.lanes import Lane
from tests.support.plan_bench import NOW_MS, event, given, policy, registry

_RUNS: Final = 9
_REQUESTS: Final = 2_048
_LABELS: Final = {"season": "winter"}


def inputs(count: int) -> list[PlanInput]:
    """Updates to one person each, as producers write them."""
    header = ("content-type", b"application/cloudevents+json; charset=UTF-8")
    wholes = (
        event(
            Lane.UPDATE,
            id=f"flight-{number}",
            people=(number % 200,),
            subject=f"flight/UA{number}/2013-02-08",
            data={"facet": "departure", "version": number, "labels": _LABELS},
        )
        for number in range(count)
    )
    return [given(msgspec.json.encode(whole), offset, headers=(header,)) for offset, whole in enumerate(wholes)]


def cost_us(records: list[PlanInput], batch: int) -> float:
    """Measure microseconds of processor time a request, in batches of that many."""
    known, rules = registry(), policy()
    begun = time.process_time()
    for first in range(0, len(records), batch):
        decide(records[first : first + batch], PlanState(), known, rules, NOW_MS)
    return (time.process_time() - begun) / len(records) * 1_000_000


if __name__ == "__main__":
    records = inputs(int(sys.argv[1]) if len(sys.argv) > 1 else _REQUESTS)
    for batch in (1, 256):
        costs = [cost_us(records, batch) for _ in range(_RUNS)]
        print(
            f"batches of {batch:3}: {statistics.median(costs):6.1f} µs a request ({min(costs):.1f} to {max(costs):.1f})"
        )
