"""Models a frame as a value, and derives it from readings. Pure; drawn in ``streams/operate/top/layout.py``."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from schemas.gateway_api import Code
from schemas.lanes import Lane
from streams.operate.top.readings import HEALTHY, Growth, Reading, verdict

STAGES: Final = ("plan", "deliver", "settle", "ledger")
WITHOUT_HEARTBEATS: Final[Mapping[str, str]] = {"heartbeat": "no"}
_CODES: Final = {str(code.value): code.name.lower() for code in Code}
_STEPS: Final = frozenset({"pending", "sending", "waiting", "accepted"})
"""States of a message that are no end of it."""


class Health(msgspec.Struct, frozen=True):
    """Holds the state of a process: ``ready`` is ``ok``, the verdict of its ``/readyz``, or ``away``."""

    name: str
    port: int
    ready: str


class LaneRow(msgspec.Struct, frozen=True):
    """Holds the row of a lane: requests and messages since its processes began, and the ages at hand-off."""

    lane: str
    requests: int
    """Accepted by plan, heartbeats left out unless they are asked for."""
    messages: int
    """Accepted by the gateway; of heartbeats as of requests."""
    rate: float
    p50_s: float | None
    """Median age at hand-off, seconds; None: nothing was handed off."""
    p99_s: float | None
    """Age that 99 of 100 messages stay below, seconds; None: nothing was handed off."""
    heartbeat_s: float | None
    """Seconds since a heartbeat crossed the slowest shard; None: none has yet."""
    lag: int
    """Records of input that are not read yet."""
    charged: int
    history: tuple[float, ...] = ()
    """Messages a second between readings, the newest last."""


class StageRow(msgspec.Struct, frozen=True):
    """Holds the row of a stage in a lane, in records; ``waiting`` is ``None`` where a stage has nothing that waits."""

    stage: str
    lane: str
    taken: int
    taken_rate: float
    waiting: int | None
    finished: int
    finished_rate: float
    oldest_s: float | None
    """Age of the oldest unfinished item that is due, seconds; None where nothing waits in a stage."""


class Count(msgspec.Struct, frozen=True):
    """Counts something by its word, in all and a second."""

    word: str
    count: int
    rate: float


class Phone(msgspec.Struct, frozen=True):
    """Holds a message as a phone shows it; the names are those of the phones' page."""

    at_ms: int
    """When the gateway accepted it, milliseconds since the epoch."""
    phone: str
    name: str
    verified: bool
    language: str
    text: str
    business: str
    dropped: bool = False
    test: bool = False


class Word(msgspec.Struct, frozen=True):
    """The newest that a business was told."""

    at_ms: int
    """When the status was made, milliseconds since the epoch."""
    business: str
    request: str
    state: str
    said: str


class Aside(msgspec.Struct, frozen=True):
    """Holds what is shown beside metrics: phones and statuses, or a note that says why they are missing."""

    phones: tuple[tuple[Phone, ...], ...] = ()
    """By lane."""
    phones_note: str = ""
    words: tuple[Word, ...] = ()
    words_note: str = ""


class Picture(msgspec.Struct, frozen=True):
    """Everything that one frame shows."""

    at_ms: int
    """When it was looked, milliseconds since the epoch."""
    span_s: float
    """Rates are over so long."""
    recent: bool
    """True if ages are over that span, too; else since the processes began."""
    verdict: str
    """``healthy``, or the first thing that is not."""
    health: tuple[Health, ...]
    lanes: tuple[LaneRow, ...]
    stages: tuple[StageRow, ...]
    refused: tuple[Count, ...]
    """Requests and records that were not accepted, by reason."""
    ended: tuple[Count, ...]
    """Messages that ended without being handed off, by reason."""
    gateway: tuple[Count, ...]
    """Frames by how the call ended, then messages that were not taken by the name of the gateway's code."""
    receipts: tuple[Count, ...]
    charges: tuple[Count, ...]
    """Micro-units by currency."""
    posted: tuple[Count, ...]
    """Messages in the ledger by category."""
    secrets: tuple[str, ...]
    """Secrets that have their development value."""
    aside: Aside = Aside()

    @property
    def good(self) -> bool:
        """Returns whether nothing is wrong."""
        return self.verdict == HEALTHY

    @property
    def rate(self) -> float:
        """Messages a second, over all lanes."""
        return sum(lane.rate for lane in self.lanes)


def picture(
    now: Reading,
    recent: Growth,
    ages: Growth,
    history: Mapping[str, Sequence[float]],
    aside: Aside,
    *,
    heartbeats: bool = False,
) -> Picture:
    """The picture of ``now``: rates from ``recent``, ages at hand-off from ``ages``, which may be the same.

    With ``heartbeats`` they are counted among requests and messages.
    """
    counted = {} if heartbeats else WITHOUT_HEARTBEATS
    return Picture(
        at_ms=now.at_ms,
        span_s=recent.span_ms / 1_000,
        recent=ages.span_ms > 0,
        verdict=verdict(now.scrapes),
        health=tuple(
            Health(one.process.name, one.process.port, one.ready)
            for one in now.scrapes
            if _missed(now, one.process.name)
        ),
        lanes=tuple(_lane(now, recent, ages, lane.word, history.get(lane.word, ()), counted=counted) for lane in Lane),
        stages=tuple(_stage(now, recent, stage, lane.word) for stage in STAGES for lane in Lane),
        refused=_both(
            _counts(now, recent, "fanfare_requests_refused_total", "reason"),
            _counts(now, recent, "fanfare_dead_letters_total", "reason"),
        ),
        ended=tuple(one for one in _counts(now, recent, "fanfare_messages_total", "state") if one.word not in _STEPS),
        gateway=_counts(now, recent, "fanfare_gateway_answers_total", "answer")
        + tuple(
            msgspec.structs.replace(one, word=_CODES.get(one.word, one.word))
            for one in _counts(now, recent, "fanfare_gateway_codes_total", "code")
            if one.word != str(Code.ACCEPTED.value)
        ),
        receipts=_counts(now, recent, "fanfare_receipts_total", "status"),
        charges=_counts(now, recent, "fanfare_ledger_posted_micro_total", "currency"),
        posted=_counts(now, recent, "fanfare_ledger_posted_total", "category"),
        secrets=tuple(sorted(now.by("fanfare_dev_secret", "secret"))),
        aside=aside,
    )


def _missed(now: Reading, name: str) -> bool:
    """Returns whether a process belongs into the picture: further slots do when they are there."""
    return any(one.process.name == name and (one.ready != "away" or not one.process.optional) for one in now.scrapes)


def _lane(
    now: Reading, recent: Growth, ages: Growth, lane: str, history: Sequence[float], *, counted: Mapping[str, str]
) -> LaneRow:
    return LaneRow(
        lane=lane,
        requests=int(now.total("fanfare_requests_accepted_total", lane=lane, **counted)),
        messages=int(now.total("fanfare_messages_total", lane=lane, state="accepted", **counted)),
        rate=handed_off_rate(recent, lane, counted),
        p50_s=ages.quantile("fanfare_handoff_age_seconds", 0.5, lane=lane),
        p99_s=ages.quantile("fanfare_handoff_age_seconds", 0.99, lane=lane),
        heartbeat_s=now.highest("fanfare_heartbeat_age_seconds", lane=lane),
        lag=int(now.total("fanfare_lag_records", lane=lane)),
        charged=int(now.total("fanfare_charged_messages_total", lane=lane)),
        history=tuple(history),
    )


def handed_off_rate(grown: Growth, lane: str, counted: Mapping[str, str] = WITHOUT_HEARTBEATS) -> float:
    """Messages a second that the gateway accepted; ``counted`` says which labels they have."""
    return grown.rate("fanfare_messages_total", lane=lane, state="accepted", **counted)


def _stage(now: Reading, recent: Growth, stage: str, lane: str) -> StageRow:
    place = {"stage": stage, "lane": lane}
    waiting = now.highest("fanfare_stage_waiting", **place)
    return StageRow(
        **place,
        taken=int(now.total("fanfare_stage_in_total", **place)),
        taken_rate=recent.rate("fanfare_stage_in_total", **place),
        waiting=None if waiting is None else int(now.total("fanfare_stage_waiting", **place)),
        finished=int(now.total("fanfare_stage_out_total", **place)),
        finished_rate=recent.rate("fanfare_stage_out_total", **place),
        oldest_s=now.highest("fanfare_stage_oldest_seconds", **place),
    )


def _counts(now: Reading, recent: Growth, name: str, label: str) -> tuple[Count, ...]:
    rates = recent.rates(name, label)
    found = [Count(word, int(count), rates.get(word, 0.0)) for word, count in now.by(name, label).items() if count]
    return tuple(sorted(found, key=lambda one: (-one.count, one.word)))


def _both(first: Sequence[Count], second: Sequence[Count]) -> tuple[Count, ...]:
    added: dict[str, Count] = {}
    for one in (*first, *second):
        held = added.get(one.word, Count(one.word, 0, 0.0))
        added[one.word] = Count(one.word, held.count + one.count, held.rate + one.rate)
    return tuple(sorted(added.values(), key=lambda one: (-one.count, one.word)))
