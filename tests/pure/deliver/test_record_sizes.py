"""No record of deliver or settle is larger than it may be, however large an item is; and cut ones say the same as whole ones."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from pyroaring import BitMap

from broker.audience.members import Audience, MemberColumns
from broker.claims import Claims
from broker.deliver.item import Item
from broker.deliver.restating import Restating
from broker.deliver.state import Append, ShardState, body_of_outcome
from broker.settle.message_state import pieces, roaring
from schemas.delivery_journal import Answered, Members, Opened, Outcome
from schemas.ids import NAME_BYTES
from schemas.lanes import Lane
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH, Claim, Origin
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import i64s, u32s
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.header import Header, Kind, head_of, pack
from schemas.wire.item_parts import Parts, parts_of
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, explicit, listed, name

MILLION = 1_000_000
REQUEST = listed(1, "L", expires_ms=NOW_MS + 40 * HOUR_MS, keep_ms=NOW_MS + 48 * HOUR_MS)
DRAW = np.random.default_rng(7)


class Shape(NamedTuple):
    """A list item as it may stand."""

    people: npt.NDArray[np.uint32]
    """Its members' ordinals."""
    statuses: bytes
    """Repeated over its ranks."""
    attempts: bytes = b"\1"
    markets: tuple[int, ...] = (49,)


def everybody(count: int) -> npt.NDArray[np.uint32]:
    """The first people of a shard."""
    return np.arange(count, dtype=np.uint32)


def some(count: int, of: int) -> npt.NDArray[np.uint32]:
    """So many people of a shard, at random."""
    return np.flatnonzero(DRAW.random(of) < count / of).astype(np.uint32)


SENT, DUE, NEW = bytes((State.ACCEPTED,)), bytes((State.WAITING,)), bytes((State.PENDING,))
ENDED = bytes((Reason.STOPPED,))
SHAPES = {
    "10 M, all sent": Shape(everybody(10 * MILLION), SENT),
    "10 M, nothing decided": Shape(everybody(10 * MILLION), NEW, b"\0", (0,)),
    "half of 10 M at random, all sent": Shape(some(5 * MILLION, 10 * MILLION), SENT, b"\1", (49, 1, 380)),
    "a tenth of 20 M, stopped here and there": Shape(some(2 * MILLION, 20 * MILLION), SENT * 50 + ENDED),
    "600,000, each other than the one before": Shape(everybody(600_000), SENT + ENDED, b"\1\2", (1, 49)),
    "400,000, all waiting": Shape(everybody(400_000), DUE),
    "one in a thousand of 60 M": Shape(some(60_000, 60 * MILLION), SENT + DUE),
    "525,001, which was too many": Shape(everybody(525_001), SENT),
    "one": Shape(everybody(1), DUE),
}
EVERY = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def item_of(shape: Shape) -> Item:
    """The item, in the memory of its owner."""
    count = len(shape.people)
    item = Item(Opened(REQUEST, Origin(0, 0), NOW_MS), NOW_MS)
    item.freeze(Members(REQUEST.request, count, BitMap(shape.people).serialize(), 3, 4))
    item.statuses = bytearray((shape.statuses * (count // len(shape.statuses) + 1))[:count])
    item.attempts = bytearray((shape.attempts * (count // len(shape.attempts) + 1))[:count])
    item.markets[:] = item.markets.__class__("H", (shape.markets * (count // len(shape.markets) + 1))[:count])
    item.dues = {rank: NOW_MS + rank for rank in item.with_status(State.WAITING)}
    item.pending, item.left = item.statuses.count(State.PENDING), count
    return item


def same(one: Item, other: Item) -> bool:
    """Whether two items stand alike."""
    assert one.ordinals is not None
    assert other.ordinals is not None
    columns = (one.statuses == other.statuses, one.attempts == other.attempts, one.markets == other.markets)
    return all(columns) and one.dues == other.dues and np.array_equal(one.ordinals, other.ordinals)


def record_of(append: Append) -> bytes:
    """An append as it stands in the journal."""
    record = pack(Header(append.kind, Lane.UPDATE, 0, 1, append.at_ms), append.body)
    assert len(record) <= RECORD_LIMIT_BYTES
    return record


def fold(state: ShardState, record: bytes) -> None:
    """Fold one record."""
    header = head_of(record)
    body = body_of_outcome(header, record)
    assert body is not None
    state.apply(header, body)


def round_of(state: ShardState, bench: Bench) -> Iterator[bytes]:
    """The records of one round of restating, folded by their owner as they come."""
    claims, claimed = Claims(), Header(Kind.CLAIM, Lane.UPDATE, 0, 1, NOW_MS)
    for offset in range(2):
        claims.fold(claimed, pack(claimed, Claim("", 0, 0)), offset)
    restating = Restating(bench.policy, state, claims)
    now = NOW_MS + bench.policy.windows.fold_ms
    while restating.claim_due is None:
        append = restating.next(now, None)
        if append is not None:
            record = record_of(append)
            fold(state, record)
            yield record


def test_nothing_is_said_between_the_parts_of_an_item() -> None:
    """It is nobody else's turn before the last one: what was decided between would stand in some parts and not in others."""
    bench = Bench(Lane.UPDATE)
    owner = ShardState(bench.policy, Audience())
    owner.items[REQUEST.request] = item_of(SHAPES["525,001, which was too many"])
    claims, claimed = Claims(), Header(Kind.CLAIM, Lane.UPDATE, 0, 1, NOW_MS)
    for offset in range(2):
        claims.fold(claimed, pack(claimed, Claim("", 0, 0)), offset)
    restating, kinds = Restating(bench.policy, owner, claims), list[Kind | None]()
    while restating.claim_due is None:
        append = restating.next(NOW_MS + bench.policy.windows.fold_ms, None)
        kinds.append(None if append is None else append.kind)
    parts = [at for at, kind in enumerate(kinds) if kind is Kind.ITEM_PART]
    assert len(parts) > 2
    assert parts == list(range(parts[0], parts[-1] + 1))


@EVERY
def test_a_restated_item_fits_whatever_it_is(shape: Shape) -> None:
    """Each record is small enough, and a fold of them knows what the owner knew."""
    bench = Bench(Lane.UPDATE)
    owner, reader = (ShardState(bench.policy, Audience()) for _ in range(2))
    owner.items[REQUEST.request] = item_of(shape)
    records = list(round_of(owner, bench))
    for record in records:
        fold(reader, record)
    assert same(owner.items[REQUEST.request], reader.items[REQUEST.request])
    small = len(shape.people) < 100_000
    assert {head_of(record).kind for record in records} & {Kind.ITEM_PART, Kind.OUTCOME_RESTATED} == (
        {Kind.OUTCOME_RESTATED} if small or len(records) == 1 else {Kind.ITEM_PART}
    )


def test_an_owner_that_dies_between_parts_leaves_nothing_that_counts() -> None:
    """The item is not known by them, and the next owner says it from the first one."""
    bench, shape = Bench(Lane.UPDATE), SHAPES["600,000, each other than the one before"]
    owner, reader = (ShardState(bench.policy, Audience()) for _ in range(2))
    owner.items[REQUEST.request] = item_of(shape)
    parts = list(parts_of(item_of(shape).stated(), 200_000))
    assert len(parts) > 3
    for part in (*parts[:2], parts[0], *parts[2:]):
        reader.apply(Header(Kind.ITEM_PART, Lane.UPDATE, 0, 1, NOW_MS), part)
    assert not reader.items
    for part in (*parts[:2], *parts):
        assert not reader.items
        reader.apply(Header(Kind.ITEM_PART, Lane.UPDATE, 0, 2, NOW_MS), part)
    assert same(owner.items[REQUEST.request], reader.items[REQUEST.request])


def test_parts_of_two_items_may_stand_among_one_another() -> None:
    """As those of two owners may."""
    entry = item_of(SHAPES["400,000, all waiting"]).stated()
    other = msgspec.structs.replace(entry, opened=msgspec.structs.replace(entry.opened, item=listed(2, "L")))
    parts, found = Parts(), []
    for one, two in zip(parts_of(entry, 300_000), parts_of(other, 300_000), strict=True):
        found += [parts.add(one), parts.add(two)]
    assert [whole.opened.item.request for whole in found if whole is not None] == [name(1), name(2)]


class Crowd(Audience):
    """A shard whose list has members by ordinal alone."""

    def __init__(self, people: npt.NDArray[np.uint32]) -> None:
        super().__init__()
        self._crowd = BitMap(people)

    def freeze(self, business: str, list_id: str) -> BitMap:  # noqa: ARG002 - whichever list it is
        """All of them."""
        return self._crowd

    def rows(self, ordinals: Sequence[int] | npt.NDArray[np.uint32]) -> MemberColumns:
        """Whoever it is."""
        profiles = np.zeros((len(ordinals), ADDRESS_WIDTH + LOCALE_WIDTH + 2), dtype=np.uint8)
        return MemberColumns(bytes(NAME_BYTES * len(ordinals)), profiles)


@pytest.mark.parametrize("died", [None, 0, 2])
@pytest.mark.parametrize("shape", ["10 M, all sent", "half of 10 M at random, all sent", "one in a thousand of 60 M"])
def test_a_list_is_frozen_whatever_its_size(shape: str, died: int | None) -> None:
    """By parts if its members do not fit, anew if the owner dies between them; then it is decided about."""
    people = SHAPES[shape].people
    bench = Bench(Lane.UPDATE)
    bench.audience = Crowd(people)
    bench.restart()
    bench.take(listed(1, "L"))
    before = len(bench.log)
    while not (frozen := bench.state.items.get(name(1))) or not frozen.frozen:
        assert bench.append()
        parts = [record for record in bench.log[before:] if head_of(record).kind is Kind.ITEM_PART]
        if died is not None and len(parts) > died:
            bench.restart()
            died = None
    assert max(map(len, bench.log)) <= RECORD_LIMIT_BYTES
    assert frozen.ordinals is not None
    assert np.array_equal(frozen.ordinals, people)
    assert frozen.pending == len(people)
    bench.restart()
    folded = bench.state.items[name(1)].ordinals
    assert folded is not None
    assert np.array_equal(folded, people)
    append = bench.engine.step(bench.now, bench.facts())
    while append is not None and not (isinstance(append.body, Outcome) and append.body.decided):
        bench.fold(append)
        append = bench.engine.step(bench.now, bench.facts())
    assert append is not None


def test_answers_wait_for_the_next_record_if_there_is_no_room() -> None:
    """In their order, and none is lost: what a new owner leaves in doubt may be more than a record holds."""
    bench = Bench(Lane.UPDATE)
    bench.take(explicit(2, [1]))
    ranks = range(0, 8_192, 2)
    doubt = bytes((State.IN_DOUBT,)) * len(ranks)
    answers = [
        Answered(
            name(9),
            intervals_of([rank + number for rank in ranks]),
            number,
            u32s(ranks),
            doubt,
            u32s([0] * len(ranks)),
            i64s([0] * len(ranks)),
        )
        for number in range(20)
    ]
    bench.engine._answers = list(answers)
    said: list[Answered] = []
    while (append := bench.engine.step(bench.now, bench.facts())) is not None:
        record_of(append)
        assert isinstance(append.body, Outcome)
        said += append.body.answered
        bench.fold(append)
    assert said == answers


def test_charges_fit_whatever_was_delivered() -> None:
    """After an outage all of a list may be charged at once: its ranks are cut, and none is charged twice."""
    delivered = some(5 * MILLION, 10 * MILLION)
    cut = list(pieces(delivered))
    assert max(len(roaring(piece)) for piece in cut) < RECORD_LIMIT_BYTES // 2
    assert np.array_equal(np.concatenate(cut), delivered)
    assert [list(piece) for piece in pieces([3, 5])] == [[3, 5]]
