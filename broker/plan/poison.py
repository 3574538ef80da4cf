"""A record on which plan's own code raises: set aside, for it would end every owner of its partition in the same place.

A refusal is a value; an exception is a defect of ours that the record has brought out. Nobody can be told about it, because
nothing is known of what the record says.
"""

from broker.plan.answer import dead_letter
from broker.plan.inputs import PlanInput
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import PlanStep
from schemas.reasons import Reason
from schemas.refusal import Refusal


def may_be_set_aside(state: PlanState, given: PlanInput) -> bool:
    """Whether nothing was decided from this input: what was accepted is never dropped."""
    return state.decided_from(given.origin.offset) is None


def set_aside(given: PlanInput, error: str, *, state: PlanState, policy: PlanPolicy, now_ms: int) -> PlanStep:
    """The step that takes one input and makes a dead letter of it; ``error`` is the exception's class and nothing else."""
    refusal = Refusal(
        Reason.POISON,
        f"Judging it raised {error} twice, the second time alone: a defect of Fanfare. Report it; publish the event again when "
        "that is mended.",
    )
    at_ms = max(now_ms, state.last_ms)
    letter = dead_letter(given, refusal, policy=policy, now_ms=at_ms)
    return PlanStep(1, at_ms, (), (), (letter,))
