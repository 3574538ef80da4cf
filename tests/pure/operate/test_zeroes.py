"""Counters before anything is counted: all are there, at nought, and what was counted already is not forgotten."""

import pytest
from prometheus_client import generate_latest

from schemas.lanes import Lane
from streams.operate.scrape import samples_of
from streams.runtime import metrics, zeroes
from streams.runtime.prometheus import Counter

INTAKE = "fanfare_intake_"
"""Intake begins its own."""


@pytest.fixture(scope="module")
def samples() -> set[str]:
    """Names of every sample of a process that is all programs at once and has just begun."""
    for lane in Lane:
        zeroes.worker(lane)
        zeroes.gateway(lane)
    zeroes.webhook()
    zeroes.ledger()
    return {name for name, _ in samples_of(generate_latest(metrics.REGISTRY).decode())}


def test_every_counter_is_there_before_it_counts(samples: set[str]) -> None:
    """A rate over the first refusal of its kind sees it."""
    counters = [family.name for family in metrics.catalogue() if isinstance(family, Counter)]
    assert len(counters) > 20
    assert [name for name in counters if not name.startswith(INTAKE) and name not in samples] == []


@pytest.mark.parametrize(
    ("family", "labels"),
    [
        (metrics.REFUSED, [(lane.word, word) for lane in Lane for word in metrics.REFUSAL.values]),
        (
            metrics.MESSAGES,
            [
                (lane.word, state, own)
                for lane in Lane
                for state in metrics.STATE.values
                for own in metrics.HEARTBEAT.values
            ],
        ),
        (metrics.GATEWAY_ANSWERS, [(lane.word, word) for lane in Lane for word in metrics.ANSWER.values]),
        (metrics.DEAD_LETTERS, [("plan", word) for word in metrics.REFUSAL.values]),
        (metrics.ALERTS, [(word,) for word in metrics.ALERT.values]),
        (metrics.POSTS, [(word,) for word in metrics.POST.values]),
        (metrics.POSTED, [(word,) for word in metrics.CATEGORY.values]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_closed_sets_are_whole(samples: set[str], family: Counter, labels: list[tuple[str, ...]]) -> None:
    """Each value of a label has its own series."""
    assert family.name in samples
    assert set(labels) <= family.children.keys()


def test_what_was_counted_is_kept() -> None:
    """To begin again changes nothing."""
    before = metrics.ACCEPTED.of("otp", "no").value
    metrics.ACCEPTED.of("otp", "no").inc(3)
    zeroes.worker(Lane.OTP)
    assert metrics.ACCEPTED.of("otp", "no").value == before + 3
