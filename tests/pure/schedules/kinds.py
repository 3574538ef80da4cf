"""The kinds of schedules: which one a seed runs, and which bugs are planted where."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from tests.pure.schedules.deliver.limit_mutants import LIMIT_MUTANTS
from tests.pure.schedules.deliver.mutants import MUTANTS as DELIVER_MUTANTS
from tests.pure.schedules.deliver.nameless_mutants import NAMELESS_MUTANTS
from tests.pure.schedules.deliver.pace_mutants import PACE_MUTANTS
from tests.pure.schedules.deliver.schedule import deliver
from tests.pure.schedules.plan.mutants import MUTANTS as PLAN_MUTANTS
from tests.pure.schedules.plan.schedule import plan
from tests.pure.schedules.settle.mutants import LEDGERS, OWNERS
from tests.pure.schedules.settle.schedule import settle
from tests.pure.schedules.shells.journal import journal
from tests.pure.schedules.shells.journal_mutants import JOURNAL_MUTANTS
from tests.pure.schedules.way import Way


class Run(Protocol):
    """One schedule, ready to run."""

    def run(self) -> list[str]:
        """Every broken promise, as a sentence."""


Kind = Callable[[int], Run]

NAMELESS: Final[Kind] = partial(deliver, dedupes=False)
"""Deliver in front of a gateway that takes the same name as often as it comes."""

KINDS: Final[Mapping[str, Kind]] = {
    "plan": plan,
    "deliver": deliver,
    "settle": settle,
    "way": Way,
    "nameless": NAMELESS,
    "journal": journal,
}
"""By name, in the order in which seeds take turns."""

MUTANTS: Final[Mapping[str, Kind]] = {
    **{f"journal: {name}": partial(journal, owner=owner) for name, owner in JOURNAL_MUTANTS.items()},
    **{f"plan: {name}": partial(plan, owner=owner) for name, owner in PLAN_MUTANTS.items()},
    **{f"deliver: {name}": partial(deliver, owner=owner) for name, owner in DELIVER_MUTANTS.items()},
    **{f"deliver: {name}": partial(deliver, owner=owner) for name, owner in LIMIT_MUTANTS.items()},
    **{f"deliver: {name}": partial(deliver, owner=owner) for name, owner in PACE_MUTANTS.items()},
    **{f"nameless: {name}": partial(deliver, owner=owner, dedupes=False) for name, owner in NAMELESS_MUTANTS.items()},
    **{f"settle: {name}": partial(settle, owner=owner) for name, owner in OWNERS.items()},
    **{f"ledger: {name}": partial(settle, ledger=ledger) for name, ledger in LEDGERS.items()},
}
"""Every planted bug, as the kind of schedule that has to catch it."""


def kind_of(seed: int) -> str:
    """The kind that ``seed`` runs; the same seed gives the same schedule."""
    return tuple(KINDS)[seed % len(KINDS)]


def broken_by(seed: int, kind: str | None = None) -> list[str]:
    """Every broken promise of the schedule of ``seed``, as a sentence; a fault of the code itself is one, too.

    ``kind`` runs that kind and no other.
    """
    kind = kind or kind_of(seed)
    try:
        found = KINDS[kind](seed).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed that shows it is what is wanted
        found = [f"{type(error).__name__}: {error}"]
    return [f"{kind}: {sentence}" for sentence in found]


def breaks_a_promise(mutant: Kind, seed: int) -> bool:
    """Whether a planted bug shows in what was promised. A crash of the planted code shows nothing."""
    try:
        return bool(mutant(seed).run())
    except (AssertionError, ArithmeticError, LookupError, ValueError):
        return False
