"""Tests of a business reach the numbers that are registered for them, and nobody else."""

from typing import Any

import pytest

from schemas.lanes import Lane
from schemas.reasons import Reason
from tests.support.plan_bench import Bench, address, event, given


def people_at(*people: int) -> list[dict[str, Any]]:
    """Returns some recipients; 1 and 2 are test numbers of the bench's business."""
    return [{"address": address(person)} for person in people]


REHEARSALS: dict[str, tuple[Lane, dict[str, Any], int, str]] = {
    "an update to test numbers": (Lane.UPDATE, {"to": {"recipients": people_at(1, 2)}}, 0, ""),
    "an offer to a test number, for which nobody need have opted in": (
        Lane.CAMPAIGN,
        {"to": {"recipients": people_at(1)}},
        0,
        "",
    ),
    "somebody else among them": (
        Lane.UPDATE,
        {"to": {"recipients": people_at(1, 3)}},
        Reason.INVALID_RECIPIENT,
        "data.to.recipients[1] is no test number",
    ),
    "a list": (Lane.UPDATE, {"to": {"list": "l"}}, Reason.INVALID_RECIPIENT, "data.to.list: a test reaches"),
    "a code to somebody": (
        Lane.OTP,
        {"to": {"recipients": people_at(3)}},
        Reason.INVALID_RECIPIENT,
        "data.to.recipients[0] is no test number",
    ),
}


@pytest.mark.parametrize("row", REHEARSALS.values(), ids=REHEARSALS.keys())
def test_a_test_reaches_registered_test_numbers_and_nobody_else(row: tuple[Lane, dict[str, Any], int, str]) -> None:
    """What is never billed goes to nobody whom the operator has not registered for it."""
    lane, body, verdict, detail = row
    (entry,) = Bench(lane).decide(given(event(lane, data=body | {"test": True}))).journal
    assert (entry.verdict, entry.detail.startswith(detail)) == (verdict, True)
