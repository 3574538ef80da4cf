"""The table of consequences: every reason has its row, and each row tells the business something."""

import pytest

from broker.consequences import CONSEQUENCES, consequence_of
from broker.deliver.policy import CODES
from broker.deliver.state import Append
from broker.plan.outputs import Answer
from broker.plan.step import PlanStep
from schemas.delivery_journal import Decided, Outcome
from schemas.lanes import Lane
from schemas.reasons import MESSAGE_REASONS, Reason
from schemas.status import DeadLetter, Status
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.header import Kind
from streams.runtime import metrics
from streams.worker import record_metrics


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.word)
def test_every_reason_has_its_row(reason: Reason) -> None:
    """What happened and what to do are whole sentences."""
    row = consequence_of(reason)
    assert row.sentence.endswith(".")
    assert row.next_step.endswith(".")


def test_no_row_is_left_of_a_reason_that_is_gone() -> None:
    """The table and the list are the same set."""
    assert set(CONSEQUENCES) == set(Reason)


def test_whom_a_reason_suppresses_the_gateway_has_answered_so() -> None:
    """Only an answer of the gateway can tell of a person's wish; what deliver decides follows from one that is known."""
    answered = set(CODES.values())
    assert {reason for reason, row in CONSEQUENCES.items() if row.suppress is not None} <= answered


@pytest.mark.parametrize("reason", [reason for reason in Reason if consequence_of(reason).alert], ids=lambda r: r.word)
def test_what_an_operator_should_know_is_counted_for_them(reason: Reason) -> None:
    """Decided, answered, refused or dead-lettered: one metric moves for each of these reasons, and for no other."""
    before = metrics.ALERTS.of(reason.word).value
    if reason in MESSAGE_REASONS:
        runs = runs_of(bytes((reason, reason, Reason.STOPPED)))
        decided = Decided(bytes(16), intervals_of([0, 1, 2]), runs, runs, b"", 0)
        record_metrics.appended(Lane.UPDATE, Append(Kind.OUTCOME, 0, Outcome(decided=(decided,))))
        assert metrics.ALERTS.of(reason.word).value == before + 2
        return
    told = Answer("shop", Status("r", "//shop/x", "1", "refused", 0, 0, reason=reason.word))
    letter = DeadLetter("requests.update", 0, 0, reason.word, "", "plan", 0, "")
    harmless = Answer("shop", Status("r", "//shop/x", "1", "refused", 0, 0, reason=Reason.STALE.word))
    record_metrics.planned(Lane.UPDATE, PlanStep(3, 0, (), (), (told, letter, harmless)))
    assert metrics.ALERTS.of(reason.word).value == before + 2
