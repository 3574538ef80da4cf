"""Planted bugs in front of a gateway that takes the same name as often as it comes (PROTOCOL.md rule 10)."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from broker.deliver.engine import Engine
from broker.deliver.frame import Batch, batches_again
from broker.deliver.handoffs import HandOffs
from broker.deliver.policy import CODES, Handling
from schemas.gateway_api import Code
from tests.pure.schedules.deliver.owner import Owner


class AsksAgain(Owner):
    """Rule 10: an offer that may have been handed off goes again."""

    def unanswered(self, engine: Engine, batch: Batch, *, maybe_sent: bool = True) -> None:
        engine.policy = replace(engine.policy, gateway_dedupes=True)
        super().unanswered(engine, batch, maybe_sent=maybe_sent)


class RecoversAll(Owner):
    """Rule 10: a new owner hands off again what the one before may have handed off."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._answers.clear()
        engine._handoffs = HandOffs(batches_again(self.state, engine.policy.chunk))
        return engine


class TakesSilenceForIllness(Owner):
    """Rule 10: an offer that was left without an answer is taken for one that was not shown."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine.policy = replace(engine.policy, codes={**CODES, Code.NO_ANSWER: Handling.ILL})
        return engine


class TakesSilenceForConsent(Owner):
    """Rule 10: an offer that was left without an answer is taken for one that was shown."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine.policy = replace(engine.policy, codes={**CODES, Code.NO_ANSWER: Handling.ACCEPTED})
        return engine


NAMELESS_MUTANTS: Final[Mapping[str, type[Owner]]] = {
    "rule 10: an offer without an answer goes again": AsksAgain,
    "rule 10: a new owner hands off offers again": RecoversAll,
    "rule 10: a message without an answer counts as not shown": TakesSilenceForIllness,
    "rule 10: a message without an answer counts as shown": TakesSilenceForConsent,
}
