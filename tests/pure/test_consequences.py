"""The table of consequences: every reason has its row, and each row tells the business something."""

import pytest

from broker.consequences import CONSEQUENCES, consequence_of
from schemas.reasons import Reason


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.word)
def test_every_reason_has_its_row(reason: Reason) -> None:
    """What happened and what to do are whole sentences."""
    row = consequence_of(reason)
    assert row.sentence.endswith(".")
    assert row.next_step.endswith(".")


def test_no_row_is_left_of_a_reason_that_is_gone() -> None:
    """The table and the list are the same set."""
    assert set(CONSEQUENCES) == set(Reason)
