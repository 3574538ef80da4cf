"""One sentence on a deployment: healthy, or the first thing that is not."""

import pytest

from streams.operate.scrape import Labels, Process, Samples, Scrape
from streams.operate.top.readings import verdict

WORKER = Process("worker update", 9811)
SLOT = Process("worker update slot 1", 9911, optional=True)


def gauge(name: str, value: float, **labels: str) -> dict[tuple[str, Labels], float]:
    """One sample of the update lane."""
    return {(name, frozenset({("lane", "update"), *labels.items()})): value}


def said(samples: Samples, ready: str = "ok") -> str:
    """The verdict on a worker that says this, with a further slot that is not there."""
    return verdict([Scrape(WORKER, ready, samples), Scrape(SLOT, "away")])


HEARTBEAT, INPUT, STOPS = "fanfare_heartbeat_age_seconds", "fanfare_stage_oldest_seconds", "fanfare_tail_age_seconds"


@pytest.mark.parametrize(
    ("samples", "ready", "sentence"),
    [
        ({}, "ok", "healthy"),
        (gauge(HEARTBEAT, 12, shard="1"), "ok", "healthy"),
        (gauge(INPUT, 90, stage="settle"), "ok", "healthy"),
        (gauge(STOPS, 9, topic="registry"), "ok", "healthy"),
        ({}, "away", "worker update does not answer on port 9811"),
        ({}, "failed: shards", "worker update is not ready (failed: shards) on port 9811"),
        (gauge(HEARTBEAT, 75, shard="1"), "ok", "nothing has crossed a shard of lane update for 75 s"),
        (gauge(INPUT, 42, stage="deliver"), "ok", "an input of deliver in lane update has been unfinished for 42 s"),
        (
            gauge(STOPS, 8, topic="suppressions"),
            "ok",
            "lane update last saw the STOPs 8 s ago and holds messages back",
        ),
    ],
)
def test_the_verdict_is_one_sentence(samples: Samples, ready: str, sentence: str) -> None:
    """What is optional is not missed, what may wait is not late."""
    assert said(samples, ready) == sentence


def test_the_cause_comes_before_what_follows_from_it() -> None:
    """A worker that is away is named, not the silence that it leaves; a stale view of the STOPs before the backlog."""
    silent = gauge(HEARTBEAT, 75, shard="1")
    assert said(silent, "away").startswith("worker update does not answer")
    assert said(silent | gauge(STOPS, 8, topic="suppressions")).startswith("lane update last saw the STOPs")
