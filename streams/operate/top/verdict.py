"""Says in one sentence whether a deployment is healthy, else the first thing that is not. Pure.

The thresholds are those of the alerts (``deploy/prometheus/alerts.rules.yml``) as far as one look can tell them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.ids import Lane
from streams.operate.scrape import Scrape

HEALTHY: Final = "healthy"
_HEARTBEAT_S: Final = 60.0
_INPUT_S: Final = 30.0
_STOPS_S: Final = 1.0


def verdict(scrapes: Sequence[Scrape]) -> str:
    """Returns ``healthy``, or the first thing that is not: processes before lanes, causes before what follows from them."""
    return next(_complaints(scrapes), HEALTHY)


def _complaints(scrapes: Sequence[Scrape]) -> Iterator[str]:
    for each in scrapes:
        if each.ready != "ok" and not (each.ready == "away" and each.process.optional):
            how = "does not answer" if each.ready == "away" else f"is not ready ({each.ready})"
            yield f"{each.process.name} {how} on port {each.process.port}"
    for lane in Lane:
        yield from _of_lane(scrapes, lane.word)


def _of_lane(scrapes: Sequence[Scrape], lane: str) -> Iterator[str]:
    for topic, what in (("suppressions", "the STOPs"), ("controls", "what is paused")):
        seen_s = _highest(scrapes, "fanfare_tail_age_seconds", lane=lane, topic=topic)
        if seen_s > _STOPS_S:
            yield f"lane {lane} last saw {what} {seen_s:.0f} s ago and holds messages back"
    for stage in ("plan", "deliver"):
        oldest_s = _highest(scrapes, "fanfare_stage_oldest_seconds", lane=lane, stage=stage)
        if oldest_s > _INPUT_S:
            yield f"an input of {stage} in lane {lane} has been unfinished for {oldest_s:.0f} s"
    silent_s = _highest(scrapes, "fanfare_heartbeat_age_seconds", lane=lane)
    if silent_s > _HEARTBEAT_S:
        yield f"nothing has crossed a shard of lane {lane} for {silent_s:.0f} s"


def _highest(scrapes: Sequence[Scrape], name: str, **labels: str) -> float:
    found = (value for each in scrapes if (value := each.highest(name, **labels)) is not None)
    return max(found, default=0.0)
