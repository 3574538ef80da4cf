"""Judges a record as plan would now: the same code, over an empty journal.

Form, parties, times and parameters are judged by the very code that judges them on the log. What only the journal knows is left
out: whether the name was accepted before (duplicate, conflict), and how much of the sender's throughput is used up.
"""

import msgspec

from broker.plan.outputs import Answer
from broker.plan.step import Direct, PlanInput, PlanPolicy, PlanState, decide
from broker.registry.fold import Registry
from schemas.reasons import Reason
from schemas.status import DeadLetter


class Forecast(msgspec.Struct, frozen=True):
    """``reason`` is empty where nothing would be refused."""

    reason: str = ""
    detail: str = ""


def forecast(given: PlanInput, *, registry: Registry, policy: PlanPolicy, now_ms: int) -> Forecast:
    """The refusal that ``given`` would get at ``now_ms``, if any."""
    try:
        step = decide([given], PlanState(), registry, policy, now_ms)
    except Exception as error:  # noqa: BLE001 - as on the log: whatever judging raises makes a record poison
        return Forecast(Reason.POISON.word, f"Judging it raises {type(error).__name__}.")
    for entry in step.journal:
        if entry.verdict:
            return Forecast(Reason(entry.verdict).word, entry.detail)
    return next((said for direct in step.direct if (said := _of(direct)).reason), Forecast())


def _of(direct: Direct) -> Forecast:
    match direct:
        case DeadLetter():
            return Forecast(direct.reason, direct.detail)
        case Answer(status=status) if status.state == "refused":
            return Forecast(status.reason, status.detail)
        case _:
            return Forecast()
