"""What is asked of which number by :mod:`tests.load.pacing`, and what goes wrong meanwhile."""

from dataclasses import dataclass
from typing import Final

from schemas.lanes import Lane
from schemas.registry import Sender
from tests.load.senders import sender

BUSINESS: Final = "shop-parcelo"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a scenario: to so many people of a list of its own."""

    lane: Lane
    people: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A number, and what is asked of it at once."""

    name: str
    sender: Sender
    asks: tuple[Ask, ...]

    @property
    def people(self) -> int:
        """How many are to be told."""
        return sum(ask.people for ask in self.asks)

    @property
    def lanes(self) -> list[Lane]:
        """The lanes that have to do with it."""
        return sorted({ask.lane for ask in self.asks})

    @property
    def ideal_s(self) -> float:
        """How long it takes if every lane uses its share without a break."""
        shares = {lane: self.sender.shares[lane.word] * self.sender.rate_per_s / 100 for lane in self.lanes}
        return max(sum(ask.people for ask in self.asks if ask.lane is lane) / shares[lane] for lane in self.lanes)


def _list_of(name: str, people: int, rate_per_s: int) -> Scenario:
    number = sender(BUSINESS, rate_per_s, name, campaign=100)
    return Scenario(name, number, (Ask(Lane.CAMPAIGN, people),))


SCENARIOS: Final = (
    _list_of("list_20k", 20_000, 1_000),
    _list_of("list_2k", 2_000, 80),
    Scenario(
        "shared",
        sender(BUSINESS, 1_000, "shared", otp=20, update=30, campaign=50),
        (Ask(Lane.CAMPAIGN, 10_000), Ask(Lane.CAMPAIGN, 10_000), *[Ask(Lane.UPDATE, 1_500)] * 8),
    ),
    _list_of("list_100k", 100_000, 1_000),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong meanwhile; nought: nothing of the kind. Seconds."""

    kill_every: float = 0.0
    ill: float = 0.0
    ahead: float = 0.0
