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
from broker.plan.answer import Answer
from broker.plan.inputs import PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import PlanOutputs, outputs, pack_work
from broker.plan.policy import PlanPolicy
from broker.plan.restate import restatement
from broker.plan.sitting import Direct, Rerouted, Sitting
from broker.plan.state import PlanState
from broker.registry.fold import Registry
from schemas.plan_journal import Planned

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
    """What one step decided."""

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
