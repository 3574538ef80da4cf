"""Planted bugs of limits on what a person gets: owners whose limit breaks a rule by which it survives crashes."""

from collections.abc import Iterator, Mapping
from typing import Final

from broker.deliver.engine import Engine
from broker.deliver.limits.limit import Unfolded
from tests.pure.schedules.deliver.offer_cap import OfferCap
from tests.pure.schedules.deliver.owner import Owner


class ForgetsLimits(Owner):
    """Row 8: limits live in memory alone, and a new owner begins with none spent."""

    def engaged(self) -> Engine:
        self.state.limits = self.world.limits(self.cap_type)
        return super().engaged()


class _RestatesNothing(OfferCap):
    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:  # noqa: ARG002 - whatever the time is
        return iter(())


class NeverRestatesALimit(Owner):
    """Row 8: a limit does not say again what still holds somebody back."""

    cap_type = _RestatesNothing


class _OverlooksUnfolded(OfferCap):
    def due_ms(self, group: str, people: bytes, now_ms: int, unfolded: Unfolded) -> Mapping[int, int]:  # noqa: ARG002
        return super().due_ms(group, people, now_ms, Unfolded())


class OverlooksTheSameAppend(Owner):
    """Row 8: what the same append sends to a person is not counted."""

    cap_type = _OverlooksUnfolded


LIMIT_MUTANTS: Final[Mapping[str, type[Owner]]] = {
    "row 8: a new owner knows of no limit spent": ForgetsLimits,
    "row 8: a limit is not restated": NeverRestatesALimit,
    "row 8: the same append is not counted": OverlooksTheSameAppend,
}
