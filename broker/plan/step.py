"""Plan's step function: records of ``requests.<lane>`` in, verdicts to append and outputs that need none out.

The shell does, for one partition, one step at a time:

1. ``step = decide(state, inputs, …)``; ``step.consumed`` of the inputs were taken.
2. If ``step.journal``: append it as one ``PLANNED`` record with ``at_ms = step.at_ms``, check adjacency, apply it to the
   state inside the acknowledgement. *Only then* may the next step be decided: a step does not see what is not applied.
3. Write :func:`outputs` of every entry of ``step.journal`` and of ``step.again``, and ``step.direct``.
4. When all of that is acknowledged, the consumed inputs are done.

Nothing here changes the state; time is an argument.
"""

from collections.abc import Sequence

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.plan.decode import PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import Answer, PlanOutputs, dead_letter, outputs, pack_work
from broker.plan.policy import PlanPolicy
from broker.plan.sitting import Direct, Rerouted, Sitting
from broker.plan.state import PlanState, restatement
from broker.registry.fold import Registry
from schemas.plan_journal import Planned
from schemas.reasons import Reason, Refusal

__all__ = [
    "Answer",
    "AudienceRecord",
    "Direct",
    "PlanInput",
    "PlanOutputs",
    "PlanPolicy",
    "PlanState",
    "PlanStep",
    "Rerouted",
    "decide",
    "outputs",
    "pack_work",
    "restatement",
]


class PlanStep(msgspec.Struct, frozen=True):
    """Holds the result of one step: journal entries to append, records to route again, and answers that need no journal."""

    consumed: int
    at_ms: int
    journal: tuple[Planned, ...]
    """New verdicts: one ``PLANNED`` record, below the record limit; empty if there is none."""
    again: tuple[Planned, ...]
    """Verdicts of redelivered inputs: their outputs go out again, nothing is appended."""
    direct: tuple[Direct, ...]
    """Outputs that are joins, or pure functions of the input's bytes: repeated without harm."""


def decide(
    state: PlanState,
    inputs: Sequence[PlanInput],
    *,
    registry: Registry,
    policy: PlanPolicy,
    now_ms: int,
    sizes: ListSizes = NO_SIZES,
) -> PlanStep:
    """Decide as many of ``inputs`` as one record holds, in order; at least the first. ``sizes``: how large lists are."""
    sitting = Sitting(state, registry, policy, max(now_ms, state.last_ms), sizes)
    consumed = 0
    for given in inputs:
        if not sitting.take(given):
            break
        consumed += 1
    return PlanStep(consumed, sitting.now_ms, tuple(sitting.journal), tuple(sitting.again), tuple(sitting.direct))


# A record on which plan's own code raises: set aside, for it would end every owner of its partition in the same place.
#
# A refusal is a value; an exception is a defect of ours that the record has brought out. Nobody can be told about it, because
# nothing is known of what the record says.


def may_be_set_aside(state: PlanState, given: PlanInput) -> bool:
    """Returns whether nothing was decided from this input: what was accepted is never dropped."""
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
