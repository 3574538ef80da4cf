"""An owner whose floor is older than half of the retention says so, in time for somebody to mend it."""

import pytest

from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.topics import plans
from schemas.wire.header import Header, Kind, pack
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.kafka_time import KafkaTime
from streams.runtime import clock, metrics
from streams.worker import record_metrics
from tests.support.memory_kafka import MemoryLogs, MemoryProducer, MemoryReader

HALF_MS = Lane.OTP.rules.retention.plans_ms // 2


@pytest.mark.parametrize(("age_ms", "alerts"), [(HALF_MS - 60_000, 0), (HALF_MS + 60_000, 1)])
def test_an_old_floor_calls_an_operator(age_ms: int, alerts: int) -> None:
    """By the metric that the alert looks at; half of the retention is left then."""
    logs = MemoryLogs()
    place = JournalPlace(plans(Lane.OTP), Lane.OTP, 0)
    journal = Journal(
        place, lambda *_: None, reader=MemoryReader(logs), producer=MemoryProducer(logs), time=KafkaTime("worker")
    )
    header = Header(Kind.CLAIM, Lane.OTP, 0, 1, clock.now_ms() - age_ms)
    journal.claims.fold(header, pack(header, Claim("somebody")), 0)
    before = metrics.ALERTS.of(metrics.FLOOR_OLD).value
    record_metrics.floor_seen("plan", 0, journal, Lane.OTP.rules.retention)
    assert metrics.ALERTS.of(metrics.FLOOR_OLD).value == before + alerts
