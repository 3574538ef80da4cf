"""A tenant that publishes all that it may beside a bank with a code, in real plan and deliver: ``python -m tests.load.tenants``.

Pure: the clock is an argument and the gateway takes everything, so it measures waiting by design and not by load.
"""

import sys
from typing import Final, NamedTuple

import msgspec

from broker.plan.backlog import Backlog, Owed
from broker.plan.verdict import Rate, reserve
from schemas.lanes import MINUTE_MS, Lane
from schemas.plan_journal import WorkItem
from schemas.registry import DEFAULT_BACKLOG
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, explicit

SHARDS: Final = 8
_BANK: Final = 9_999_999
_STEP_MS: Final = 1_000
_MOST: Final = 1_000_000


class Attack(NamedTuple):
    """A tenant that publishes as much as it may, at once."""

    lane: Lane
    per_s: int
    """Messages a second of its number in the lane."""
    life_ms: int


class Found(NamedTuple):
    """What became of it and of the bank."""

    accepted: int
    waited_ms: int | None
    """Milliseconds from the bank's code in ``work`` to its frame; None: not within its life."""


ATTACKS: Final = (
    Attack(Lane.OTP, 1_000, Lane.OTP.rules.windows.lifetime_max_ms),
    Attack(Lane.UPDATE, 80, Lane.UPDATE.rules.windows.lifetime_max_ms),
)


def accepted_starts(attack: Attack, backlog: int) -> list[int]:
    """Return when each message begins that plan takes of a tenant with so large a backlog, ms since the epoch."""
    rate, free_us, starts = Rate.of(attack.per_s), 0, list[int]()
    while len(starts) < _MOST:
        reservation = reserve(free_us, NOW_MS, 1, rate)
        if reservation.start_ms >= NOW_MS + attack.life_ms:
            break
        if Backlog(backlog, [Owed(free_us, attack.per_s)]).refusal(1, NOW_MS) is not None:
            break
        free_us = reservation.free_us
        starts.append(reservation.start_ms)
    return starts


def beside_a_bank(attack: Attack, backlog: int) -> Found:
    """Let a shard take its part of the attack, then one code of a bank that lives for five minutes."""
    starts = accepted_starts(attack, backlog)
    expires_ms = NOW_MS + attack.life_ms
    inbox = [
        msgspec.structs.replace(
            explicit(number + 1, [number + 5_000], expires_ms=expires_ms, keep_ms=expires_ms + HOUR_MS), start_ms=start
        )
        for number, start in enumerate(starts)
        if number % SHARDS == 0
    ]
    bank_ms = NOW_MS + 5 * MINUTE_MS
    inbox.append(explicit(_BANK, [1], business="bank", sender="bank/main", expires_ms=bank_ms, keep_ms=bank_ms))
    return Found(len(starts), _waited_ms(Bench(attack.lane), inbox))


def _waited_ms(bench: Bench, inbox: list[WorkItem]) -> int | None:
    taken = 0
    for bench.now in range(NOW_MS, NOW_MS + 20 * MINUTE_MS, _STEP_MS):
        while True:
            while taken < len(inbox) and not bench.engine.full:
                bench.take(inbox[taken])
                taken += 1
            moved, frame = bench.append(), bench.send()
            if frame is not None:
                bench.engine.answered(frame, bench.answering(frame), bench.now)
            if not moved and frame is None:
                break
        if any(request == _BANK for request, _ in bench.sent):
            return bench.now - NOW_MS
    return None


def main() -> int:
    """Print a row for each attack: as large as plan lets it be by the throughput alone, and by the tenant's backlog."""
    for attack in ATTACKS:
        for backlog in (_MOST, DEFAULT_BACKLOG):
            found = beside_a_bank(attack, backlog)
            waited = (
                "never handed off" if found.waited_ms is None else f"handed off after {found.waited_ms / 1000:.0f} s"
            )
            print(
                f"{attack.lane.word:8} {attack.per_s:5,}/s, backlog {backlog:9,}: accepted {found.accepted:9,}, {waited}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
