"""From a verdict to work: every recipient in exactly one shard, in order, below the record limit."""

import msgspec
import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.plan.outputs import outputs, pack_work
from broker.plan.policy import BODY_LIMIT_BYTES
from broker.plan.step import MAX_PEOPLE
from schemas.ids import shard_of
from schemas.lanes import Lane
from schemas.plan_journal import Planned, PlannedBatch, Work
from schemas.reasons import Reason
from schemas.request import MAX_REQUEST_BYTES
from schemas.wire.columns import cells
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.header import Header, Kind, pack
from tests.support.plan_bench import NOW_MS, SHARDS, Bench, address, event, given


def entry_of(**fields: object) -> Planned:
    """An accepted entry."""
    (entry,) = Bench().decide(given(event(**fields))).journal  # type: ignore[arg-type]
    assert entry.verdict == 0, entry.detail
    return entry


@settings(deadline=None, max_examples=25)
@check(st.lists(st.integers(0, 999), min_size=1, max_size=60, unique=True), st.integers(1, 16))
def test_every_recipient_stands_in_its_own_shard_once(people: list[int], shards: int) -> None:
    """Columns stay aligned, ranks follow the order of the request, nobody is lost or doubled."""
    to = {"recipients": [{"address": address(n), "params": {"flight": str(n)} if n % 2 else {}} for n in people]}
    entry = entry_of(data={"to": to})
    assert entry.rows is not None
    cut = (entry.rows.recipients, 16), (entry.rows.addresses, 33), (entry.rows.locales, 2), (entry.rows.markets, 2)
    whole = list(
        zip(*(cells(column, width) for column, width in cut), entry.rows.params or [{}] * len(people), strict=True)
    )
    found = []
    for shard, item in outputs(entry, shards).work.items():
        rows = item.rows
        assert rows is not None
        assert item.terms == entry.terms
        cut = (rows.recipients, 16), (rows.addresses, 33), (rows.locales, 2), (rows.markets, 2)
        here = list(zip(*(cells(column, width) for column, width in cut), rows.params or [{}] * len(rows), strict=True))
        assert {shard_of(row[0], shards) for row in here} == {shard}
        assert here == [row for row in whole if row in here]
        found += here
    assert sorted(found, key=whole.index) == whole


def test_a_list_asks_every_shard() -> None:
    """One item each, without rows: who is in it is for the shard to say."""
    entry = entry_of(data={"to": {"list": "flight-UA1"}})
    work = outputs(entry, SHARDS).work
    assert sorted(work) == list(range(SHARDS))
    assert {(item.list, item.rows) for item in work.values()} == {("flight-UA1", None)}


def test_work_is_a_function_of_the_entry() -> None:
    """After a round trip through the log the bytes are the same."""
    entry = entry_of(people=range(50))
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Planned)
    assert [msgspec.msgpack.encode(outputs(each, SHARDS).work) for each in (entry, read)] == [
        msgspec.msgpack.encode(outputs(entry, SHARDS).work)
    ] * 2


def test_refusals_and_restated_names_ask_for_nothing() -> None:
    """Only an accepted entry as it was appended has work."""
    (refused,) = Bench().decide(given(event(data={"template": "old"}))).journal
    assert not outputs(refused, SHARDS).work
    restated = msgspec.structs.replace(entry_of(), terms=None, rows=None)
    assert outputs(restated, SHARDS).work == {}
    assert outputs(restated, SHARDS).answer is None


@pytest.mark.parametrize("limit", [200, 1_000, 100_000])
def test_work_records_stay_below_the_limit(limit: int) -> None:
    """As few as hold the items, in order; an item is never cut."""
    items = [outputs(entry_of(id=str(n), people=(n,)), 1).work[0] for n in range(20)]
    packs = pack_work(items, limit)
    assert [item for each in packs for item in each] == items
    for each in packs:
        assert len(each) == 1 or len(msgspec.msgpack.encode(Work(each))) <= limit + 10
    assert pack_work([]) == []


def heavy(number: int, text: str = "x") -> bytes:
    """A request close to the largest that is taken."""
    room = MAX_REQUEST_BYTES // (1_024 * len(text.encode()) + 80)
    to = {"recipients": [{"address": address(n), "params": {"flight": text * 1_024}} for n in range(room)]}
    return msgspec.json.encode(event(data={"to": to, "sender": "main"}, id=str(number)))


def test_a_step_takes_as_many_inputs_as_one_record_holds() -> None:
    """The record stays below Kafka's limit; the rest is for the next step."""
    bench = Bench()
    inputs = [given(heavy(n), n, key=None) for n in range(5)]
    taken = 0
    while taken < len(inputs):
        step = bench.run(*inputs[taken:])
        assert step.consumed >= 1
        taken += step.consumed
        header = Header(Kind.PLANNED, Lane.UPDATE, 0, 1, step.at_ms)
        assert len(pack(header, PlannedBatch(step.journal))) < RECORD_LIMIT_BYTES
    assert len(bench.log) == 5
    assert taken == 5


def test_a_request_that_grows_beyond_a_record_is_refused() -> None:
    """Normal form can triple a text; what then fits no record is too large, and said so."""
    bench = Bench()
    (entry,) = bench.run(given(heavy(1, "\U0001d160"), key=None)).journal
    assert Reason(entry.verdict) is Reason.TOO_LARGE
    assert entry.rows is None
    assert not bench.work


def test_a_step_ends_after_so_many_people() -> None:
    """A flood of large requests leaves the loop time for others."""
    bench = Bench()
    inputs = [given(event(id=str(n), people=range(1_000)), n) for n in range(8)]
    step = bench.decide(*inputs)
    assert step.consumed == -(-MAX_PEOPLE // 1_000)
    assert step.at_ms == NOW_MS
    assert sum(len(entry.rows or b"") for entry in step.journal) >= MAX_PEOPLE
    assert len(msgspec.msgpack.encode(PlannedBatch(step.journal))) < BODY_LIMIT_BYTES
