"""Which fault comes next, and to whom: dealt by seed, so that each kind has its share in every run of some length."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.faults import brokers, disks, gateways, journals, kinds
from tests.faults.scene import Fault

FAULTS: Final[Mapping[str, Fault]] = {
    "kill": kinds.kill,
    "point": kinds.point,
    "sigterm": kinds.terminate,
    "sigstop": kinds.pause,
    "twin": kinds.twin,
    "guest": kinds.guest,
    "claim": journals.claim,
    "void": journals.void,
    "disk": disks.disk,
    "logdir": brokers.logdir,
    "stall": brokers.stall,
    "freeze": brokers.freeze,
    "broker": brokers.broker,
    "ill": gateways.ill,
    "throttle": gateways.throttling,
    "skew": gateways.skewed,
}

LONG: Final = frozenset({"sigstop", "logdir", "stall", "freeze", "broker", "ill", "throttle", "skew"})
"""Kinds that outlast the time between two faults: two of three are made alone, or none of them could be measured."""
DELICATE: Final = frozenset({"claim", "void", "disk"})
"""Kinds that look into Kafka themselves, or at how a process ends, and so are not mixed with faults of brokers."""


class Card(NamedTuple):
    """A kind of fault, and the kind of process that it hits."""

    kind: str
    target: str


BROKER: Final = "kafka"
"""The target of faults that hit no process of ours."""
_OTHERS: Final = ("gateway", "webhook", "ledger")
_OF_ANY: Final = (
    *[Card("kill", "worker")] * 4,
    *[Card("point", "worker")] * 6,
    *[Card("sigterm", "worker")] * 3,
    *[Card("sigstop", "worker")] * 2,
    *[Card("twin", "worker")] * 4,
    *[Card("claim", "worker")] * 4,
    *[Card("void", "worker")] * 2,
    Card("guest", "worker"),
    *[Card(kind, target) for kind in ("kill", "point") for target in _OTHERS],
    Card("point", "gateway"),
    *[Card("disk", target) for target in ("gateway", "ledger")],
    *[Card(kind, BROKER) for kind in ("stall", "freeze", "logdir")],
    *[Card(kind, "gateway") for kind in ("ill", "throttle", "skew")],
)


def cards(nodes: int) -> tuple[Card, ...]:
    """One pass of the deck; with three nodes every sixth fault is a broker's."""
    others = len(_OF_ANY) // 5 if nodes == 3 else 0
    return _OF_ANY + (Card("broker", BROKER),) * others
