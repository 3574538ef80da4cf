"""`python -m tests.load.slots`: time against the ideal for paced lists, by rate, shards and people, without Kafka.

People are spread over shards by lot, as a hash spreads them; each shard uses every slot of its own, and at
the beginning those that began not long before. So the ratio is what phase-locked slots cost by themselves: the largest shard's
part over the mean, and the wait for a slot. The last line is JSON.
"""

import argparse
import json
from typing import Final

import numpy as np

from broker.deliver.limits.slots import Pace

_BEGINS_MS: Final = 1_900_000_000_000
RATES: Final = (80, 1_000, 100_000)
SHARDS: Final = (1, 8, 64)
PEOPLE: Final = (1_000, 20_000, 1_000_000)


def seconds(per_s: int, shards: int, people: int, dice: np.random.Generator, skew_ms: int) -> float:
    """Returns when the last of ``people`` is told, seconds after the list was opened; each shard's clock is off by lot."""
    parts = np.bincount(dice.integers(0, shards, people), minlength=shards)
    return max(_shard_s(Pace(per_s, shard, shards), int(part), dice, skew_ms) for shard, part in enumerate(parts))


def _shard_s(pace: Pace, people: int, dice: np.random.Generator, skew_ms: int) -> float:
    if not people:
        return 0.0
    now_ms = _BEGINS_MS + int(dice.integers(-skew_ms, skew_ms + 1))
    slots = -(-people // pace.quantum) - len(pace.usable(now_ms))
    if slots <= 0:
        return 0.0
    first_ms = pace.next_ms(pace.slot_ms(now_ms))
    return (first_ms - now_ms) / 1_000 + (slots - 1) * pace.shards * pace.quantum / pace.per_s


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.slots", description=__doc__)
    parser.add_argument("--skew", type=int, default=20, metavar="MS", help="clocks of shards differ by up to this (20)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    dice, rows = np.random.default_rng(asked.seed), []
    print(f"{'rate':>8} {'shards':>7} {'people':>9} {'ideal s':>10} {'s':>10} {'ratio':>6}")
    for per_s in RATES:
        for shards in SHARDS:
            for people in PEOPLE:
                ideal = people / per_s
                took = float(np.median([seconds(per_s, shards, people, dice, asked.skew) for _ in range(9)]))
                rows.append({"per_s": per_s, "shards": shards, "people": people, "ratio": round(took / ideal, 3)})
                print(f"{per_s:>8,} {shards:>7} {people:>9,} {ideal:>10.2f} {took:>10.2f} {took / ideal:>6.3f}")
    print(json.dumps({"skew_ms": asked.skew, "rows": rows, "switched_off": []}))


if __name__ == "__main__":
    main()
