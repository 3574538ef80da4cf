"""The pipeline as it is put together: read this to see the system.

    requests.<lane> -> PLAN -> work.<lane> -> DELIVER -> outcomes.<lane> -> SETTLE -> charges -> ledger (SQLite)
                        |                       |  ^                          ^
                   plans.<lane>              gateway -> webhook -> receipts.<lane>, inbound, suppressions

One worker process runs one lane: a Faust app with the agents plan, deliver and settle, whose shards this process gets from
the lane's group. Nothing happens at import.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas import topics
from schemas.lanes import Lane
from streams.kafka.faust_app.app import FanfareApp, build_app
from streams.kafka.faust_app.hooks import WorkerSpec
from streams.runtime import metrics, zeroes
from streams.runtime.health import Health
from streams.runtime.settings import Settings
from streams.worker.resources import LaneParts, group_of
from streams.worker.worker import LaneWorker

_INPUTS = {
    "requests": topics.requests,
    "work": topics.work,
    "outcomes": topics.outcomes,
    "receipts": topics.receipts,
}
"""Label of the lag to the input that it is about."""


def stages(lane: Lane) -> Mapping[str, tuple[str, ...]]:
    """The agents of a lane and the topics that each reads; all have S partitions."""
    return {
        "plan": (topics.requests(lane),),
        "deliver": (topics.work(lane),),
        "settle": (topics.outcomes(lane), topics.receipts(lane)),
    }


def worker(settings: Settings, lane: Lane) -> FanfareApp:
    """Builds a worker of ``lane``, ready to run (:func:`streams.kafka.faust_app.app.run_worker`)."""
    return assembled(LaneParts(settings, lane))


def assembled(parts: LaneParts) -> FanfareApp:
    """The worker that these parts make."""
    settings, lane = parts.settings, parts.lane
    hooks = LaneWorker(parts)
    parts.health = Health(
        settings, "worker", port=settings.worker_metrics(lane), live=hooks.live_checks(), ready=hooks.ready_checks()
    )
    spec = WorkerSpec(
        group=group_of(lane),
        slot=f"{lane.word}-{settings.slot}",
        bootstrap=settings.kafka,
        stages=stages(lane),
        accepted_losses=settings.accepted_losses,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_ms=min(1_000, settings.session_timeout_ms // 3),
    )
    hooks.app = build_app(spec, hooks)
    zeroes.worker(lane)
    _follow(hooks, lane)
    return hooks.app


def _follow(hooks: LaneWorker, lane: Lane) -> None:
    """Gauges that are read at each scrape."""
    word = lane.word
    for stage in ("plan", "deliver", "settle"):
        metrics.STAGE_WAITING.of(stage, word).follow(_over(hooks, stage, lambda owner: owner.backlog))
        metrics.STAGE_OLDEST.of(stage, word).follow(hooks.oldest_s(stages(lane)[stage]))
    for journal, stage in (("plans", "plan"), ("outcomes", "deliver")):
        metrics.FLOOR_AGE.of(journal, word).follow(hooks.floor_age_s(stage))
        metrics.FOLD_RECORDS.of(journal, word).follow(
            _over(hooks, stage, lambda owner: owner.journal.claims.fold_records)
        )
        metrics.FOLD_BYTES.of(journal, word).follow(_over(hooks, stage, lambda owner: owner.journal.claims.fold_bytes))
    for kind, topic_of in _INPUTS.items():
        metrics.LAG.of(kind, word).follow(hooks.lag(topic_of(lane)))
    metrics.EVIDENCE_WAITING.of(word).follow(_over(hooks, "settle", lambda settle: settle.quarantined))
    for topic in (*hooks.followed, topics.REGISTRY):
        metrics.TAIL_AGE.of(topic, word).follow(hooks.tail_age_s(topic))


def _over(hooks: LaneWorker, stage: str, size: Callable[[Any], int]) -> Callable[[], float]:
    """Returns the sum of a size of a stage over the shards served here."""
    return lambda: float(sum(size(getattr(shard, stage)) for shard in hooks.serving.values()))
