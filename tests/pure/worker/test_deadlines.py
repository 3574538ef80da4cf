"""What a worker waits for, against what the group and its operators wait for."""

from streams.dev.kafka.cluster import BROKER_SESSION_MS
from streams.kafka.journal import GAP_DEADLINE_S, HELLO_DEADLINE_S, QUIESCE_DEADLINE_S
from streams.kafka.producer import APPEND_DEADLINE_MS, REPEATABLE_DEADLINE_MS
from streams.runtime.settings import Settings
from streams.worker.worker import STUCK_S

SESSION_MS: int = Settings.model_fields["session_timeout_ms"].default


def test_an_owner_that_hears_nothing_is_gone_before_its_shards_are_given_away() -> None:
    """A journal's deadlines end below the session time-out of the group."""
    deadlines_ms = [
        APPEND_DEADLINE_MS,
        *(int(s * 1000) for s in (GAP_DEADLINE_S, HELLO_DEADLINE_S, QUIESCE_DEADLINE_S)),
    ]
    assert max(deadlines_ms) < SESSION_MS


def test_what_may_be_written_again_outlasts_the_loss_of_a_broker() -> None:
    """Its session, and as long again as a quiet election may take; and it ends long before the process counts as stuck."""
    assert BROKER_SESSION_MS + APPEND_DEADLINE_MS <= REPEATABLE_DEADLINE_MS < STUCK_S * 1000 / 2
