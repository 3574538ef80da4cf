"""Log lines about single requests: for those that their producer traces, and about refusals at most one a second.

A request is traced if its ``traceparent`` has the flag *sampled* (W3C Trace Context, section 3.2.2.5.1): plan says that it was
accepted or refused, deliver each hand-off, settle that it is closed. Whoever publishes decides what is traced, so a process
writes at most :data:`MOST_A_SECOND`; the next line says how many were left out.
"""

from collections.abc import Iterable
from typing import Final

from broker.deliver.frame import Batch
from broker.deliver.state import ShardState
from broker.plan.outputs import Answer, Rerouted
from broker.plan.step import PlanStep
from schemas.gateway_api import FrameAnswer
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import Planned
from schemas.reasons import Reason
from schemas.status import DeadLetter, Status
from streams.runtime import clock
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.runtime.rate_limited_log import RateLimitedLine

MOST_A_SECOND: Final = 50
_SECOND_MS: Final = 1_000
_SAMPLED: Final = 0x01


def is_traced(traceparent: str) -> bool:
    """Returns True for a ``traceparent`` whose flags say *sampled*."""
    return bool(traceparent) and bool(int(traceparent[-2:], 16) & _SAMPLED)


class RequestLog:
    """The lines about requests of one process and lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._refused = RateLimitedLine(Event.RECORD_REFUSED, component="plan")
        self._rerouted = RateLimitedLine(Event.REROUTED, component="plan")
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def planned(self, shard: int, step: PlanStep) -> None:
        """Logs what plan decided in one step."""
        for entry in step.journal:
            self._verdict(shard, entry)
        for one in step.direct:
            match one:
                case Answer(status=status) if status.state == "refused":
                    self._refusal(shard, status.seq, status.reason, status.traceparent, status.request)
                case DeadLetter():
                    self._refusal(shard, one.offset, one.reason)
                case Rerouted():
                    self._rerouted.say(partition=shard, to=one.partition)
                case _:
                    pass

    def handed_off(self, state: ShardState, shard: int, batch: Batch, answer: FrameAnswer) -> None:
        """Logs what the gateway answered to the traced requests of a frame. Ask before the answer is folded."""
        for part, refused in zip(batch.parts, answer.sections, strict=True):
            item = state.items.get(part.request)
            if item is not None and is_traced(item.terms.trace):
                counts = {"accepted": len(part.ranks) - len(refused), "refused": len(refused)}
                self._trace(Event.HANDED_OFF, "deliver", item.terms.trace, text_of(part.request), shard=shard, **counts)

    def settled(self, statuses: Iterable[tuple[str, Status]]) -> None:
        """Logs the traced requests that are closed in a shard; again if a receipt has changed something since."""
        for _, status in statuses:
            if status.state == "closed" and is_traced(status.traceparent):
                about = {"shard": status.shard, "counts": status.counts}
                self._trace(Event.CLOSED, "settle", status.traceparent, status.request, **about)

    def _verdict(self, shard: int, entry: Planned) -> None:
        trace = "" if entry.terms is None else entry.terms.trace
        if entry.verdict:
            self._refusal(shard, entry.origin.offset, Reason(entry.verdict).word, trace, text_of(entry.name))
        elif is_traced(trace):
            self._trace(Event.REQUEST_ACCEPTED, "plan", trace, text_of(entry.name), shard=shard)

    def _refusal(self, shard: int, offset: int, reason: str, traceparent: str = "", request: str = "") -> None:
        place: dict[str, str | int] = {"partition": shard, "offset": offset, "reason": reason}
        if is_traced(traceparent):
            self._trace(Event.RECORD_REFUSED, "plan", traceparent, request, **place)
        else:
            self._refused.say(request=request, traceparent=traceparent, **place)

    def _trace(self, event: Event, component: str, traceparent: str, request: str, **fields: object) -> None:
        second = clock.monotonic_ms() // _SECOND_MS
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > MOST_A_SECOND:
            self._left_out += 1
            return
        if self._left_out:
            fields["left_out"] = self._left_out
        self._left_out = 0
        log(event, component=component, request=request, traceparent=traceparent, **fields)
