"""The cost of limits on what a person gets: ``python -m tests.load.limits`` sends to 100,000 people and restates them all.

Prints a line of JSON for each limit that deliver has: microseconds of processor time a person to ask and to spend, in chunks as
deliver decides them, then records, bytes and seconds of restating everybody. Nothing is published.
"""

import json
import secrets
import time
from itertools import islice

from broker.audience.members import Audience
from broker.deliver.limits.limit import Limit, Limits, Unfolded, said
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import LIMITS, ShardState
from schemas.delivery_journal import LimitsRestated
from schemas.ids import NAME_BYTES
from schemas.lanes import Lane
from schemas.wire.header import Header, Kind, pack
from tests.support.shard_bench import NOW_MS

PEOPLE = 100_000


def spend(limit: Limit, chunk: int) -> None:
    """Sends a message to each of many strangers."""
    people, width = secrets.token_bytes(PEOPLE * NAME_BYTES), chunk * NAME_BYTES
    for column in (people[start : start + width] for start in range(0, len(people), width)):
        limit.due_ms("somebody", column, NOW_MS, Unfolded())
        limit.spend("somebody", column, NOW_MS)


def restate(limit: Limit, policy: DeliverPolicy) -> list[int]:
    """Restates everybody as an owner does, and folds it; returns the bytes of each record."""
    state, header = ShardState(policy, Audience()), Header(Kind.LIMITS_RESTATED, policy.lane, 0, 1, NOW_MS)
    state.limits = Limits([limit])
    sizes: list[int] = []
    owing = state.limits.restate(NOW_MS)
    while spent := said(islice(owing, PEOPLE // 8)):
        body = LimitsRestated(spent)
        sizes.append(len(pack(header, body)))
        state.apply(header, body)
    return sizes


def main() -> None:
    """Measure each limit of the campaign lane."""
    policy = DeliverPolicy.of(Lane.CAMPAIGN, 0, b"")
    for limit in (make(policy) for make in LIMITS):
        begun_s = time.process_time()
        spend(limit, policy.chunk)
        spent_s = time.process_time()
        sizes = restate(limit, policy)
        figures = {
            "limit": limit.word or "pair limit",
            "us_a_person": round((spent_s - begun_s) * 1e6 / PEOPLE, 2),
            "records": len(sizes),
            "bytes": sum(sizes),
            "restated_s": round(time.process_time() - spent_s, 2),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
