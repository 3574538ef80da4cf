"""Floors rise by their own age: whoever serves for however short a time, folds stay bounded and nothing needed is trimmed."""

from collections.abc import Callable
from typing import Final, NamedTuple

import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.claims import Claims, Round
from broker.journal import Fold, TrimmedJournalError, fold_start, last_floor
from broker.plan.state import PlanState, restatement
from broker.plan.step import decide
from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Lane
from schemas.plan_journal import Claim, PlannedBatch
from schemas.topics import catalogue, plans
from schemas.wire.header import Header, Kind, body_of, pack
from schemas.wire.timestamps import text_of
from tests.pure.schedules.log import Log
from tests.support.plan_bench import NOW_MS, event, given, policy, registry

QUARTER_MS: Final = HOUR_MS
FOLD_MS: Final = 4 * QUARTER_MS
STEP_MS: Final = 10 * MINUTE_MS
MakeClaims = Callable[[int], Claims]


class ByOwnClaim(Claims):
    """A planted bug: a round is due by the age of the last claim, so by that of one's own, and by nothing else."""

    __slots__ = ()

    def due_ms(self, now_ms: int, quarter_ms: int) -> int:
        """A quarter after the last claim."""
        return (self._ms[-1] if self._ms else now_ms) + quarter_ms


class RisesTooFar(Claims):
    """A planted bug: the floor rises to the last claim, though only what was said before an older one is said again."""

    __slots__ = ()

    def due(self, now_ms: int, quarter_ms: int) -> Round | None:
        """With the wrong floor."""
        due = super().due(now_ms, quarter_ms)
        return None if due is None else due._replace(floor=self._offsets[-1])


def claim(at_ms: int, epoch: int = 1, floor: int = 0) -> tuple[Header, bytes]:
    """A claim, and its head."""
    header = Header(Kind.CLAIM, Lane.OTP, 0, epoch, at_ms)
    return header, pack(header, Claim(f"o{epoch}", 0, floor))


def claims_at(*times_ms: int) -> Claims:
    """Claims at offsets 0, 10, 20 and so on."""
    claims = Claims()
    for number, at_ms in enumerate(times_ms):
        claims.fold(*claim(at_ms, number + 1), number * 10)
    return claims


@pytest.mark.parametrize(
    ("times_ms", "due_ms", "floor"),
    [
        pytest.param((0,), 1, 0, id="one owner claims each quarter, so that there is something to rise to"),
        pytest.param((0, 1), 2, 10, id="and rises to its last claim"),
        pytest.param((0, 1.9), 2, 10, id="a new owner restates by the age of the floor"),
        pytest.param((0, 9), 9, 10, id="at once, if nobody served for long"),
        pytest.param((0, 0.5, 1.0, 1.5), 2, 20, id="of many claims it rises to the last that is a quarter old"),
        pytest.param((0, 0.1, 3), 3, 20, id="not to one as old as the floor is"),
    ],
)
def test_a_round_is_due_by_the_age_of_the_floor(times_ms: tuple[float, ...], due_ms: float, floor: int) -> None:
    """Times in quarters of F."""
    claims = claims_at(*(round(time * QUARTER_MS) for time in times_ms))
    at_ms = round(due_ms * QUARTER_MS)
    assert claims.due(at_ms - 1, QUARTER_MS) is None or times_ms[-1] == due_ms
    due = claims.due(at_ms, QUARTER_MS)
    assert due is not None
    assert due.floor == floor
    assert claims.due_ms(at_ms, QUARTER_MS) == min(at_ms, 2 * QUARTER_MS)


def test_a_clock_that_is_behind_the_journal_restates_once_and_not_for_ever() -> None:
    """A claim is as old as the latest record before it."""
    claims = claims_at(9 * QUARTER_MS)
    claims.fold(*claim(0, 2), 10)
    assert claims.due(0, QUARTER_MS) is None
    assert claims.due(10 * QUARTER_MS, QUARTER_MS) == Round(10, 9 * QUARTER_MS)


def test_a_trimmed_log_that_was_accepted_has_a_floor_of_the_age_of_its_first_record() -> None:
    """It begins with any record."""
    claims = Claims(500)
    header = Header(Kind.PLANNED, Lane.OTP, 0, 3, 7)
    claims.fold(header, pack(header, PlannedBatch(())), 500)
    assert (claims.floor, claims.floor_ms(99)) == (500, 7)


class _Told(NamedTuple):
    at_ms: int
    names: tuple[int, ...]


class Owners:
    """Owners of one journal, one after another, each of which has to know each name of the last ``FOLD_MS``.

    The log is trimmed at three folds, as ``schemas/topics.py`` demands at least.
    """

    def __init__(self, make: MakeClaims) -> None:
        self.make = make
        self.log = Log()
        self.now = NOW_MS
        self.epoch = 0
        self.said: dict[int, int] = {}
        """Name to when it was first said."""
        self.restated = 0

    def serve(self, life_ms: int) -> int:
        """One owner opens, serves and dies; returns how far back its fold reached, milliseconds."""
        log = self.log
        floor = last_floor(one.record for one in log.read(log.start, log.end))
        start = fold_start(floor, place=("plans", 0), log_start=log.start, log_end=log.end)
        fold, claims, known = Fold(), self.make(start), dict[int, int]()
        for offset, _, record in log.read(start, log.end):
            header = fold.admit(record)
            assert header is not None
            claims.fold(header, record, offset)
            self._learn(known, header, record)
        reached_ms = self.now - claims.floor_ms(self.now)
        missing = [name for name, first_ms in self.said.items() if self._needed(first_ms) and name not in known]
        assert not missing, f"{len(missing)} names are behind the floor"
        self.epoch += 1
        self._append(claims, known, Kind.CLAIM, Claim(f"o{self.epoch}", 0, claims.floor))
        ends_ms = self.now + life_ms
        while self.now < ends_ms:
            while (due := claims.due(self.now, QUARTER_MS)) is not None:
                self._restate(claims, known, due)
            name = len(self.said)
            self.said[name] = self.now
            self._append(claims, known, Kind.PLANNED, _Told(self.now, (name,)))
            self.now += STEP_MS
        self.rest(0)
        return reached_ms

    def rest(self, for_ms: int) -> None:
        """Time goes by, and Kafka trims."""
        self.now += for_ms
        keep = self.log.first_since(self.now - 3 * FOLD_MS)
        self.log.trim(self.log.end if keep is None else keep)

    def _restate(self, claims: Claims, known: dict[int, int], due: Round) -> None:
        at_ms = max(self.now, due.said_ms + 1)
        names = tuple(
            name for name, stated_ms in known.items() if stated_ms <= due.said_ms and self._needed(self.said[name])
        )
        self.restated += len(names)
        self._append(claims, known, Kind.PLAN_RESTATED, _Told(at_ms, names), at_ms)
        self._append(claims, known, Kind.CLAIM, Claim(f"o{self.epoch}", 0, due.floor))

    def _append(self, claims: Claims, known: dict[int, int], kind: Kind, body: object, at_ms: int = 0) -> None:
        header = Header(kind, Lane.OTP, 0, self.epoch, at_ms or self.now)
        record = pack(header, body)
        claims.fold(header, record, self.log.append(self.now, record))
        self._learn(known, header, record)

    def _needed(self, first_ms: int) -> bool:
        return first_ms > self.now - FOLD_MS

    @staticmethod
    def _learn(known: dict[int, int], header: Header, record: bytes) -> None:
        if header.kind is not Kind.CLAIM:
            known |= dict.fromkeys(body_of(record, _Told).names, header.at_ms)


LIVES: Final = st.lists(
    st.tuples(
        st.sampled_from((STEP_MS, STEP_MS, QUARTER_MS // 3, QUARTER_MS, FOLD_MS // 2, FOLD_MS)),
        st.sampled_from((0, 0, 0, STEP_MS, FOLD_MS // 2, FOLD_MS)),
        st.integers(1, 12),
    ),
    max_size=8,
)
"""How long owners serve, how long nobody does after each, and how many such owners follow one another."""


def served(make: MakeClaims, lives: list[tuple[int, int, int]]) -> Owners:
    """Owners of these lives: each fold reaches back F/2 and as long as nobody served at the most."""
    owners = Owners(make)
    rests = [(NOW_MS, 0)]
    for life_ms, rest_ms, often in lives:
        for _ in range(often):
            reached_ms = owners.serve(life_ms)
            since = owners.now - life_ms - reached_ms
            idle_ms = sum(ms for at_ms, ms in rests if at_ms + ms >= since)
            assert reached_ms <= FOLD_MS // 2 + idle_ms + 2 * STEP_MS
            rests.append((owners.now, rest_ms))
            owners.rest(rest_ms)
            if rest_ms >= FOLD_MS:
                break
    return owners


@settings(deadline=None, max_examples=60)
@check(LIVES)
def test_whoever_serves_for_however_short_a_time_the_floor_rises(lives: list[tuple[int, int, int]]) -> None:
    """No fold reaches back further than half a fold of serving time, each name is known, and each is said twice a fold."""
    owners = served(Claims, lives)
    # It is needed for one fold, and said again when it is a quarter to half of one old.
    assert owners.restated <= 4 * len(owners.said)


BUGS: Final = (
    pytest.param(ByOwnClaim, TrimmedJournalError, "begins at offset", id="by the age of one's own claim"),
    pytest.param(RisesTooFar, AssertionError, "behind the floor", id="to the last claim"),
)


@pytest.mark.parametrize(("bug", "error", "sentence"), BUGS)
def test_floors_that_rise_otherwise_are_found_out(bug: type[Claims], error: type[Exception], sentence: str) -> None:
    """Planted bugs, under owners that live for an eighth of a fold."""
    owners = Owners(bug)
    with pytest.raises(error, match=sentence):
        _live(owners, QUARTER_MS // 2, 100)


def _live(owners: Owners, life_ms: int, often: int) -> None:
    for _ in range(often):
        owners.serve(life_ms)


def planned(lane: Lane, life_ms: int, days: int, per_day: int) -> tuple[int, int]:
    """Plan's real verdicts in one partition of ``lane``, an owner each ``life_ms``.

    Returns the most records that an owner has folded, and the last floor.
    """
    retention_ms = next(topic.retention_ms for topic in catalogue() if topic.name == plans(lane))
    rules, known, log = policy(lane), registry(), Log()
    now = NOW_MS
    inputs = most = epoch = 0
    claims = Claims()

    def append(state: PlanState, kind: Kind, body: object, at_ms: int) -> None:
        header = Header(kind, lane, 0, epoch, at_ms)
        offset = log.append(now, pack(header, body))
        claims.fold(header, log.whole[-1].record, offset)
        if isinstance(body, PlannedBatch):
            state.apply(header, body, offset)

    while now < NOW_MS + days * DAY_MS:
        floor = last_floor(one.record for one in log.read(log.start, log.end))
        claims = Claims(start := fold_start(floor, place=("plans", 0), log_start=log.start, log_end=log.end))
        fold, state = Fold(), PlanState()
        folded = log.read(start, log.end)
        most = max(most, len(folded))
        for offset, _, record in folded:
            header = fold.admit(record)
            assert header is not None
            claims.fold(header, record, offset)
            if header.kind is not Kind.CLAIM:
                state.apply(header, body_of(record, PlannedBatch), offset)
        epoch += 1
        append(state, Kind.CLAIM, Claim(f"o{epoch}", 0, claims.floor), now)
        ends_ms = now + life_ms
        while now < ends_ms:
            now += DAY_MS // per_day
            state.committed(inputs)
            due = claims.due(max(now, state.last_ms), rules.windows.idempotency_ms // 4)
            if due is not None:
                at_ms = max(now, state.last_ms, due.said_ms + 1)
                body: PlannedBatch | None = PlannedBatch(())
                while body is not None:
                    append(state, Kind.PLAN_RESTATED, body, at_ms)
                    body = restatement(state, 0, now_ms=at_ms, before_ms=due.said_ms, most=rules.bite)
                state.forget()
                append(state, Kind.CLAIM, Claim(f"o{epoch}", 0, due.floor), now)
            whole = event(lane, id=str(inputs), time=text_of(now), expirytime=text_of(now + 10 * MINUTE_MS))
            step = decide([given(whole, inputs)], state, known, rules, now)
            inputs += 1
            append(state, Kind.PLANNED, PlannedBatch(step.journal), step.at_ms)
        keep = log.first_since(now - retention_ms)
        log.trim(log.end if keep is None else keep)
    return most, claims.floor


OFTEN: Final = (
    pytest.param(Lane.CAMPAIGN, 7 * DAY_MS, 120, 10, id="campaign: a release a week"),
    pytest.param(Lane.UPDATE, 11 * HOUR_MS, 30, 40, id="update: a rebalance every eleven hours"),
    pytest.param(Lane.OTP, 12 * MINUTE_MS, 4, 240, id="otp: a rebalance every twelve minutes"),
)


@pytest.mark.parametrize(("lane", "life_ms", "days", "per_day"), OFTEN)
def test_plan_outlives_what_its_retention_would_not(lane: Lane, life_ms: int, days: int, per_day: int) -> None:
    """Each of these refused its start as trimmed once, after 49, 14 and 3 days; folds hold what half a fold holds, twice said."""
    most, floor = planned(lane, life_ms, days, per_day)
    half = lane.rules.windows.idempotency_ms * per_day // DAY_MS // 2
    assert floor > 0
    assert most <= 3 * half + 2 * (lane.rules.windows.idempotency_ms // life_ms) + 10


def test_what_a_new_owner_would_fold_is_known() -> None:
    """The age, the records and the bytes from the floor on, whatever came before it."""
    claims = Claims()
    told = Header(Kind.PLANNED, Lane.OTP, 0, 1, 50), pack(Header(Kind.PLANNED, Lane.OTP, 0, 1, 50), PlannedBatch(()))
    first, second, third = claim(10), claim(60), claim(90, floor=2)
    for offset, (header, record) in enumerate((first, told, second, told, third)):
        claims.fold(header, record, offset)
    assert (claims.floor, claims.age_ms(100)) == (2, 40)
    assert claims.fold_records == 3
    assert claims.fold_bytes == sum(len(record) for _, record in (second, told, third))
