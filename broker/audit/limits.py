"""Recomputes, over the union of the gateway's logs, each limit on what one person gets; :data:`PERSON_LIMITS` has a row for each.

What each sender number may do is :mod:`broker.audit.rates`.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from broker.audit.invariants import Breach, Findings
from broker.audit.people import prefixes
from broker.audit.rates import Busiest, Rates, Versions
from broker.audit.sources import Limits
from schemas.gateway_api import GatewayEvent
from schemas.ids import NAME_BYTES


def _over_pair_limit(times_ms: Sequence[int], limits: Limits) -> list[int]:
    """GCRA: a message every so often, and a burst borrowed from the future."""
    slack_ms = limits.pair_every_ms * (limits.pair_burst - 1) + limits.jitter_ms
    over: list[int] = []
    paid_ms = 0
    for at_ms in times_ms:
        paid_ms = max(paid_ms, at_ms)
        if paid_ms - at_ms > slack_ms:
            over.append(at_ms)
        else:
            paid_ms += limits.pair_every_ms
    return over


class PersonLimit(NamedTuple):
    """Holds how one limit is checked."""

    word: str
    group: Callable[[GatewayEvent], str | None]
    """Returns in which group a hand-off counts, for each person by themselves; None: it does not count."""
    most: Callable[[Limits], int]
    """Returns how many messages to one person are legal whenever they came: nobody with fewer is looked at."""
    over: Callable[[Sequence[int], Limits], Sequence[int]]
    """Returns which of the times (ms, ascending) of one person's messages were too soon.

    They are the gateway's acceptances. A limit that counts at the first decision forgives what may lie between the two.
    """


PERSON_LIMITS: Final = (
    PersonLimit("pair limit", lambda event: event.sender, lambda limits: limits.pair_burst, _over_pair_limit),
)


class _Told:
    """When each person of each group was handed a message: 16 bytes a message."""

    __slots__ = ("_at_ms", "_pairs", "_seeds")

    def __init__(self) -> None:
        self._pairs = array("Q")
        """The first 8 bytes of the recipient, mixed with the group."""
        self._at_ms = array("q")
        self._seeds: dict[str, int] = {}

    def add(self, group: str, recipients: bytes, at_ms: int) -> None:
        """Takes an acceptance."""
        seed = self._seeds.get(group)
        if seed is None:
            seed = self._seeds[group] = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest())
        people = prefixes(recipients) ^ np.uint64(seed)
        self._pairs.frombytes(people.tobytes())
        self._at_ms.extend([at_ms] * len(people))

    def more_than(self, most: int) -> Iterator[list[int]]:
        """Yields the times of each person with more than ``most`` messages, ascending."""
        pairs = np.frombuffer(self._pairs, dtype=np.uint64)
        times = np.frombuffer(self._at_ms, dtype=np.int64)
        order = np.lexsort((times, pairs))
        times = times[order]
        _, firsts, counts = np.unique(pairs[order], return_index=True, return_counts=True)
        for at in (counts > most).nonzero()[0]:
            yield times[firsts[at] : firsts[at] + counts[at]].tolist()


class LimitsKept:
    """Takes every acceptance; :meth:`close` says which were too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._told = [(limit, _Told()) for limit in PERSON_LIMITS]
        self._rates = Rates(limits)

    def handed(self, event: GatewayEvent, recipients: bytes, at_ms: int, log: int) -> None:
        """Takes an acceptance by the listener that writes ``log``, at ``at_ms`` by Kafka's clock."""
        for limit, told in self._told:
            group = limit.group(event)
            if group is not None:
                told.add(group, recipients, at_ms)
        self._rates.add(event, len(recipients) // NAME_BYTES, at_ms, log)

    def close(self, findings: Findings, senders: Mapping[str, Versions]) -> tuple[Busiest, ...]:
        """Report what went too fast; the busiest windows of each sender's lanes."""
        for limit, told in self._told:
            for times_ms in told.more_than(limit.most(self._limits)):
                over = limit.over(times_ms, self._limits)
                if over:
                    detail = (
                        f"{limit.word}: {len(over)} of {len(times_ms)} messages to one person, the first at {over[0]}"
                    )
                    findings.report(Breach.PERSON_LIMIT, "gateway", detail, messages=len(over))
        return self._rates.close(findings, senders)
