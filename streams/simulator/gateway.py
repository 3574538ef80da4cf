"""The gateway itself, without a network: frames in, answers out, everything in its log first.

Single-threaded and without ``await``: between the epoch check and the log line nothing else happens, so a frame of an owner
that has been replaced is refused however late it is judged. Order: epoch, dedupe, rules, names, log, phones, answer.
Memory is rebuilt from the log alone. One gateway serves one deployment: its data folder is the deployment's.
"""

import base64
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec.structs import replace

from schemas.gateway_api import Code, Epoch, Frame, FrameAnswer, GatewayEvent, Hello, Refused
from schemas.ids import name_of
from schemas.lanes import Lane
from schemas.registry import CONFIRMATIONS
from streams.runtime.crash_points import point
from streams.runtime.metrics import PHONES_MESSAGES
from streams.simulator.accepted import Names
from streams.simulator.behaviour import Due, life, stopping
from streams.simulator.event_log import EventLog
from streams.simulator.faults import Faults
from streams.simulator.frame_rows import FormError, Rows, is_heartbeat
from streams.simulator.outbox import Outbox
from streams.simulator.phone_users import Crowd
from streams.simulator.phones import Phones
from streams.simulator.rules import Asked, Rules

_SWEEP_EVERY_MS: Final = 60_000
_CODES: Final = frozenset(Code)


class Exchange:
    """Takes frames. ``outbox`` is told what is to be reported of each frame's accepted messages."""

    def __init__(
        self,
        *,
        log: EventLog,
        rules: Rules,
        crowd: Crowd,
        phones: Phones,
        faults: Faults,
        outbox: Outbox,
    ) -> None:
        self._log = log
        self._rules = rules
        self._crowd = crowd
        self._phones = phones
        self._faults = faults
        self._outbox = outbox
        self._names = {lane.word: Names(rules.names_ms(lane)) for lane in Lane}
        self._epochs: dict[tuple[str, int], int] = {}
        self._swept_ms = 0
        self.counts: Counter[str] = Counter()
        """Messages by what became of them: ``accepted``, ``repeated``, ``refused.pair_throttled`` ..., ``fenced``."""

    def hello(self, hello: Hello, now_ms: int) -> tuple[bool, Epoch]:
        """Raise the shard's epoch; False with the highest one if it is higher already. Raises :class:`FormError`."""
        self._demand_lane(hello.lane)
        highest = self._epochs.get((hello.lane, hello.shard), 0)
        granted = hello.epoch >= highest
        self._log.append([_fence_event("hello" if granted else "fenced", hello, now_ms)])
        if granted:
            self._epochs[hello.lane, hello.shard] = hello.epoch
        return granted, Epoch(max(hello.epoch, highest))

    def frame(self, frame: Frame, now_ms: int) -> FrameAnswer | Epoch:
        """Judge and take ``frame``; the epoch that fences it if one does. Raises :class:`FormError`, having taken nothing."""
        self._demand_lane(frame.lane)
        all_rows = [Rows(section) for section in frame.sections]
        highest = self._epochs.get((frame.lane, frame.shard), 0)
        if frame.epoch < highest:
            self._log.append([_fence_event("fenced", frame, now_ms)])
            self._count(frame.lane, "fenced", 0, sum(rows.count for rows in all_rows))
            return Epoch(highest)
        self._epochs[frame.lane, frame.shard] = frame.epoch
        events: list[GatewayEvent] = []
        taken = [self._take(frame, rows, now_ms, events) for rows in all_rows]
        self._store(events)
        for asked in taken:
            self._phones.show(frame, asked.rows, asked.open, asked.clear, now_ms)
        for event in events:
            self._outbox.latest.note(event)
        self._outbox.owe([due for event in events for due in self.owed(event)])
        self._sweep(now_ms)
        return FrameAnswer(now_ms, tuple(asked.refusals() for asked in taken))

    def _store(self, events: list[GatewayEvent]) -> None:
        """Into the log; the process may die on purpose between what stands there and the answer."""
        self._log.append(events)
        if any(event.event == "accepted" for event in events):
            point("gateway.stored")

    def recall(self, event: GatewayEvent) -> None:
        """Take one line of the log back into memory, at start."""
        if event.event not in {"hello", "accepted"}:
            return
        place = (event.lane, event.shard)
        self._epochs[place] = max(event.epoch, self._epochs.get(place, 0))
        if event.event == "accepted":
            column = base64.b64decode(event.recipients)
            self._names[event.lane].claim(name_of(event.request), column, event.at_ms)
            self._outbox.latest.note(event)

    def owed(self, event: GatewayEvent) -> Iterator[Due]:
        """Yields the reports that follow from a line of the log; nothing unless it says ``accepted``."""
        if event.event != "accepted":
            return iter(())
        return life(self._crowd, event, alive=is_heartbeat(event.business))

    def _demand_lane(self, lane: str) -> None:
        if lane not in self._names:
            raise FormError("there is no such lane")

    def _take(self, frame: Frame, rows: Rows, now_ms: int, events: list[GatewayEvent]) -> Asked:
        """Decide about one section and write down what became of it in ``events``."""
        names = self._names[frame.lane]
        repeated = list(names.known(rows.request, rows.recipients))
        asked = Asked(frame, rows, _less(list(range(rows.count)), set(repeated)), now_ms)
        if asked.open:
            self._rules.judge(asked)
            struck = self._faults.of_messages(frame.lane, frame.shard, asked.open)
            asked.refused.update({at: Refused(at, code) for at, code in struck.items()})
            asked.open = _less(asked.open, struck.keys())
        if asked.open:
            twice = {asked.open[at] for at in names.claim(rows.request, rows.part(asked.open)[1], now_ms)}
            repeated += sorted(twice)
            asked.open = _less(asked.open, twice)
        by_code: dict[int, list[int]] = {}
        for at in sorted(asked.refused):
            by_code.setdefault(asked.refused[at].code, []).append(at)
        for event, code, positions in (
            ("accepted", 0, asked.open),
            ("repeated", 0, repeated),
            *(("refused", code, positions) for code, positions in by_code.items()),
        ):
            if positions:
                line = _section_event(event, code, asked, positions)
                events.append(self._with_contacts(line, asked, positions) if event == "accepted" else line)
                self._count(frame.lane, event, code, len(positions))
        return asked

    def _with_contacts(self, line: GatewayEvent, asked: Asked, positions: list[int]) -> GatewayEvent:
        """Add to an ``accepted`` line where its people will have written from when they stop."""
        rows = asked.rows
        if rows.section.template in CONFIRMATIONS:
            return replace(line, confirms=True)
        if self._crowd.plain or is_heartbeat(line.business):
            return line
        answering = (positions[at] for at in stopping(self._crowd, rows.part(positions)[1], rows.request))
        contacts = ((rows.ranks[at], base64.b64encode(rows.address(at)).decode(), rows.locale(at)) for at in answering)
        return replace(line, contacts=tuple(contacts))

    def _count(self, lane: str, event: str, code: int, messages: int) -> None:
        self.counts[f"{event}.{_word(code)}" if code else event] += messages
        PHONES_MESSAGES.of(lane, "stale" if code == Code.STALE_FRAME else event).inc(messages)

    def _sweep(self, now_ms: int) -> None:
        if now_ms - self._swept_ms < _SWEEP_EVERY_MS:
            return
        self._swept_ms = now_ms
        for names in self._names.values():
            names.expire(now_ms)


def _less(positions: list[int], left_out: AbstractSet[int]) -> list[int]:
    return [position for position in positions if position not in left_out] if left_out else positions


def _word(code: int) -> str:
    return Code(code).name.lower() if code in _CODES else "other"


def _fence_event(event: str, asked: Hello | Frame, now_ms: int) -> GatewayEvent:
    return GatewayEvent(event, now_ms, lane=asked.lane, shard=asked.shard, epoch=asked.epoch)


def _section_event(event: str, code: int, asked: Asked, positions: list[int]) -> GatewayEvent:
    frame, rows = asked.frame, asked.rows
    section = rows.section
    ranks, column = rows.part(positions)
    return GatewayEvent(
        event,
        asked.now_ms,
        lane=frame.lane,
        shard=frame.shard,
        epoch=frame.epoch,
        request=section.request,
        business=section.business,
        sender=section.sender,
        category=section.category,
        ranks=ranks,
        recipients=base64.b64encode(column).decode(),
        attempt=section.attempt,
        code=code,
        collapse=section.collapse,
        version=section.version,
        not_after_ms=frame.not_after_ms,
        expires_ms=section.expires_ms,
        test=section.test,
        ref=section.ref,
        traceparent=section.traceparent,
    )
