"""What the figures of a fault run count: pure, without a process."""

import random

import pytest

from schemas.lanes import Lane
from tests.faults.deck import FAULTS, Card, cards
from tests.faults.points import Deck
from tests.faults.recovery import gaps, recovery
from tests.faults.scene import Done, places_of

SHARD = (Lane.OTP, 3)
OTHER = (Lane.UPDATE, 3)


def fault(at_ms: int, *, kind: str = "kill", place: tuple[Lane, int] = SHARD, ended_ms: int = 0) -> Done:
    """One that silences a single shard."""
    return Done(kind, f"worker-{place[0].word}-0", frozenset({place}), at_ms, at_ms, ended_ms or at_ms + 1)


def test_recovery_lasts_until_a_shard_hands_off_again() -> None:
    """The clock runs from the harm; hand-offs before it do not count, nor do those of other shards."""
    found = recovery([fault(10_000)], {SHARD: [9_000, 12_500, 13_000], OTHER: [10_100]})
    assert found["kill worker"].times_s == [2.5]
    assert found["kill worker"].figures() == {
        "faults": 1,
        "overlapped": 0,
        "unseen": 0,
        "shards": 1,
        "p50": 2.5,
        "max": 2.5,
        "bound": 5.0,
        "over": 0,
    }


@pytest.mark.parametrize(
    ("second", "overlapped"),
    [
        pytest.param(fault(12_000), 2, id="before the first was over: both"),
        pytest.param(fault(12_600), 0, id="after the shard had handed off"),
        pytest.param(fault(12_000, place=OTHER), 0, id="in another lane"),
        pytest.param(fault(9_000, ended_ms=11_000), 2, id="still ending when the first came"),
    ],
)
def test_a_fault_counts_only_if_it_was_alone_on_its_lane(second: Done, overlapped: int) -> None:
    """Two faults that meet say nothing about either."""
    handed = {SHARD: [9_500, 12_500, 13_000, 15_000], OTHER: [9_000, 12_100]}
    found = recovery([fault(10_000), second], handed)["kill worker"]
    assert found.overlapped == overlapped
    assert len(found.times_s) == 2 - overlapped


def test_a_shard_without_a_further_hand_off_is_no_figure() -> None:
    """The load ended before it came back: counted as unseen, measured as nothing."""
    found = recovery([fault(10_000)], {SHARD: [9_000]})["kill worker"]
    assert (found.unseen, found.times_s) == (1, [])


def test_a_hand_off_on_the_way_does_not_end_the_outage() -> None:
    """A worker that hands something off before it learns of its end was not back: the longest silence counts."""
    claimed = fault(10_000, kind="claim", ended_ms=14_000)
    found = recovery([claimed], {SHARD: [9_900, 10_100, 14_200, 20_000]})["claim worker"]
    assert found.times_s == [4.1]


def test_gaps_are_what_no_fault_explains() -> None:
    """Silences that touch a fault of their lane are left out."""
    handed = {SHARD: [9_000, 9_400, 12_500, 12_700, 13_700], OTHER: [9_000, 12_500]}
    assert gaps([fault(10_000)], handed) == {
        "otp": {"p50": 0.7, "p99": 1.0, "max": 1.0},
        "update": {"p50": 3.5, "p99": 3.5, "max": 3.5},
    }


def test_a_worker_silences_its_own_shards_and_a_gateway_the_lane() -> None:
    """Shards are dealt to slots as the group deals them."""
    assert places_of("worker-otp-1", shards=8, slots=2) == {(Lane.OTP, shard) for shard in range(4, 8)}
    assert places_of("gateway-update", shards=2, slots=2) == {(Lane.UPDATE, 0), (Lane.UPDATE, 1)}
    assert places_of("ledger", shards=8, slots=2) == frozenset()


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_long_run_has_its_share_of_each_kind(nodes: int) -> None:
    """Of 110 faults at least 20 force two owners; brokers are killed only if there are three, and every sixth time."""
    deck: Deck[Card] = Deck(cards(nodes), random.Random(1))
    dealt = [deck.deal().kind for _ in range(110)]
    assert sum(kind in {"twin", "claim", "void"} for kind in dealt) >= 20
    assert set(dealt) == set(FAULTS) - (set() if nodes == 3 else {"broker"})
    assert nodes == 1 or 13 <= dealt.count("broker") <= 20
