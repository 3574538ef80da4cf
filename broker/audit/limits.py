"""The pair limit and each sender's throughput, recomputed over the union of the gateway's logs.

Pair: GCRA, one message every 6 s with a burst of 45 borrowed from the future. Throughput: a bucket that holds one second of
the sender's rate, once a listener, because listeners count apart (PROTOCOL.md section 1.4). What each lane of a sender may do
is :mod:`broker.audit.rates`.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from broker.audit.invariants import Breach, Findings
from broker.audit.people import prefixes
from broker.audit.rates import Busiest, Handed, Rates, Versions
from broker.audit.sources import Limits
from schemas.gateway_api import GatewayEvent


class LimitsKept:
    """Every acceptance, as 16 bytes a message."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pairs = array("Q")
        """The first 8 bytes of the recipient, mixed with the sender."""
        self._pairs_ms = array("q")
        self._seed: dict[str, int] = {}
        self._listeners: dict[str, set[int]] = defaultdict(set)
        self._rates = Rates(limits)

    def handed(self, event: GatewayEvent, recipients: bytes, at_ms: int, log: int) -> None:
        """Takes an acceptance by the listener that writes ``log``, at ``at_ms`` by Kafka's clock."""
        sender = event.sender
        seed = self._seed.get(sender)
        if seed is None:
            seed = self._seed[sender] = int.from_bytes(hashlib.blake2b(sender.encode(), digest_size=8).digest())
        people = prefixes(recipients) ^ np.uint64(seed)
        self._pairs.frombytes(people.tobytes())
        self._pairs_ms.extend([at_ms] * len(people))
        self._rates.handed[sender, event.lane].add(at_ms, len(people))
        self._listeners[sender].add(log)

    def close(self, findings: Findings, senders: Mapping[str, Versions]) -> tuple[Busiest, ...]:
        """Report what went too fast; the busiest windows of each sender's lanes."""
        pairs = np.frombuffer(self._pairs, dtype=np.uint64)
        times = np.frombuffer(self._pairs_ms, dtype=np.int64)
        seen, counts = np.unique(pairs, return_counts=True)
        for pair in seen[counts > self._limits.pair_burst]:
            self._pair(findings, times[pairs == pair])
        of_sender: dict[str, list[Handed]] = defaultdict(list)
        for (sender, _), handed in self._rates.handed.items():
            of_sender[sender].append(handed)
        for sender, each in of_sender.items():
            rates = [entry.rate_per_s for _, entry in senders.get(sender, ())]
            if rates:
                bursts = sorted(burst for one in each for burst in one.bursts())
                self._sender(findings, sender, max(rates), bursts)
        return self._rates.close(findings, senders)

    def _pair(self, findings: Findings, times: npt.NDArray[np.int64]) -> None:
        every_ms = self._limits.pair_every_ms
        slack_ms = every_ms * (self._limits.pair_burst - 1) + self._limits.jitter_ms
        paid_ms = over = first_ms = 0
        for at_ms in np.sort(times).tolist():
            paid_ms = max(paid_ms, at_ms)
            if paid_ms - at_ms > slack_ms:
                over += 1
                first_ms = first_ms or at_ms
            else:
                paid_ms += every_ms
        if over:
            detail = f"{over} of {len(times)} messages to one person, the first at {first_ms}"
            findings.report(Breach.PAIR_LIMIT, "gateway", detail, messages=over)

    def _sender(self, findings: Findings, sender: str, rate_per_s: int, bursts: Iterable[tuple[int, int]]) -> None:
        saved_ms = self._limits.sender_burst_ms * len(self._listeners[sender]) + self._limits.jitter_ms
        room = deepest = rate_per_s * saved_ms / 1_000
        then_ms = over = 0
        for at_ms, count in bursts:
            room = min(deepest, room + (at_ms - then_ms) * rate_per_s / 1_000) - count
            then_ms = at_ms
            if room < 0:
                over += round(-room)
                room = 0.0
        if over:
            detail = f"{sender} at {rate_per_s}/s, {over} messages over"
            findings.report(Breach.SENDER_LIMIT, "gateway", detail, messages=over)
