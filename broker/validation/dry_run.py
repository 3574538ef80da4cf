"""Judges a record as plan would now: the same code, over an empty journal; and tells at what pace a sound event would go out.

Form, parties, times and parameters are judged by the very code that judges them on the log. What only the journal knows is left
out: whether the name was accepted before (duplicate, conflict), and how much of the sender's throughput is used up. Without the
sizes of lists it is not known either how many people are on one.
"""

from typing import Any

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.plan.authorize import Authority, read
from broker.plan.decode import PlanInput
from broker.plan.outputs import Answer, Direct, pace_sentence
from broker.plan.parties import Registered
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import decide
from broker.plan.validate import Request
from broker.plan.verdict import outlook
from broker.registry.fold import Registry
from broker.validation.all_errors import form_of_record, record_of
from schemas.lanes import Lane
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


def pace_of(lane: Lane, event: dict[str, Any], *, registry: Registry, now_ms: int, sizes: ListSizes = NO_SIZES) -> str:
    """Returns the sentence about an event in structured mode; empty if it goes out at once, or if plan would refuse it."""
    request = form_of_record(*record_of(lane, event))
    if not isinstance(request, Request):
        return ""
    granted = next(read(request, Registered(registry, lane).look_up(request), lane.rules.windows, now_ms))
    if not isinstance(granted, Authority):
        return ""
    return pace_sentence(outlook(granted, sizes, start_ms=now_ms, through_ms=0), granted.expires_ms, now_ms)
