"""From a reported batch to records: the right place for each, nothing invented, everything within Kafka's bounds."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.webhook.keywords import Vocabulary
from broker.webhook.sort import Record, sort
from schemas.facts import Inbound, Receipts, ReceiptStatus, Scope, Suppressions
from schemas.gateway_api import Reply, ReportRun, Reports, ref_of
from schemas.ids import shard_of, text_of
from schemas.lanes import Lane
from schemas.wire.columns import ranks_of
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.header import Kind, unpack
from tests.support.simulated import NOW_MS, REF_SECRET, name, person

SHARDS = 8


def run(lane: Lane = Lane.UPDATE, shard: int = 3, *, request: bytes = name("r"), **fields: object) -> ReportRun:
    """A report of three deliveries."""
    plain = ReportRun(ref_of(REF_SECRET, lane, shard, request), "delivered", ((0, 2), (7, 1)), NOW_MS - 5)
    return replace(plain, **fields)


def reply(number: int, body: str = "STOP", **fields: object) -> Reply:
    """A person answers."""
    ref = ref_of(REF_SECRET, Lane.CAMPAIGN, 3, name("r"))
    plain = Reply(f"in-{number}", "acme", "acme/main", text_of(person(number)), "text", body, NOW_MS - 50, ref, 4)
    return replace(plain, **fields)


def of(records: tuple[Record, ...], topic: str) -> list[Record]:
    """The records of one topic."""
    return [record for record in records if record.topic == topic]


def done(*runs: ReportRun, replies: tuple[Reply, ...] = ()) -> tuple[Record, ...]:
    """The records of a batch."""
    return sort(
        Reports("b", runs, replies), received_ms=NOW_MS, ref_secret=REF_SECRET, shards=SHARDS, vocabulary=Vocabulary()
    ).records


def test_receipts_go_where_their_reference_says() -> None:
    """Runs are grouped by lane and shard, one record each, with our own time beside the gateway's."""
    runs = (run(), run(shard=5), run(lane=Lane.OTP), run(status="failed", code=131026), run(status="read"))
    records = done(*runs)
    places = {(record.topic, record.partition): record for record in records}
    assert places.keys() == {("receipts.update", 3), ("receipts.update", 5), ("receipts.otp", 3)}
    header, body = unpack(places["receipts.update", 3].value, Receipts)
    assert (header.kind, header.lane, header.shard, header.epoch) == (Kind.RECEIPT, Lane.UPDATE, 3, 0)
    assert [(each.status, each.code) for each in body.runs] == [
        (ReceiptStatus.DELIVERED, 0),
        (ReceiptStatus.FAILED, 131026),
        (ReceiptStatus.READ, 0),
    ]
    assert {(each.at_ms, each.received_ms, each.request) for each in body.runs} == {(NOW_MS - 5, NOW_MS, name("r"))}
    assert ranks_of(body.runs[0].ranks) == [0, 1, 7]


@pytest.mark.parametrize(
    ("why", "bad"),
    [
        ("a reference under another secret", {"ref": ref_of(b"x" * 32, Lane.UPDATE, 3, name("r"))}),
        ("no reference", {"ref": ""}),
        ("not base64", {"ref": "\u00fc%"}),
        ("an unknown status", {"status": "teleported"}),
        ("no ranks", {"ranks": ()}),
        ("a negative rank", {"ranks": ((-1, 2),)}),
        ("an empty interval", {"ranks": ((1, 0),)}),
        ("a rank beyond 32 bits", {"ranks": ((2**32 - 1, 2),)}),
        ("a negative code", {"code": -1}),
    ],
)
def test_foreign_reports_are_set_aside(why: str, bad: dict[str, Any]) -> None:
    """A report that is not ours, or that no reader could use, is counted; its neighbours are taken."""
    reports = Reports("b", (run(**bad), run()))
    sorted_ = sort(reports, received_ms=NOW_MS, ref_secret=REF_SECRET, shards=SHARDS, vocabulary=Vocabulary())
    assert sorted_.foreign == 1, why
    assert sorted_.receipts == {(Lane.UPDATE, ReceiptStatus.DELIVERED): 3}
    assert len(sorted_.records) == 1


def test_a_stop_becomes_a_suppression() -> None:
    """A STOP goes to the person's shard, first of all, with its evidence; and to inbound with its context."""
    records = done(run(), replies=(reply(1), reply(2, "hello")))
    assert records[0].topic == "suppressions"
    assert records[0].partition == shard_of(person(1), SHARDS)
    header, body = unpack(records[0].value, Suppressions)
    assert header.kind == Kind.SUPPRESSION
    [entry] = body.entries  # of marketing alone: the request was addressed to no list
    assert (entry.recipient, entry.business, entry.revoke) == (person(1), "acme", True)
    assert (entry.evidence_ms, entry.received_ms, entry.evidence) == (NOW_MS - 50, NOW_MS, "in-1")
    assert entry.request == name("r")
    inbound = [unpack(record.value, Inbound)[1] for record in of(records, "inbound")]
    assert [(each.id, each.body, each.request, each.rank) for each in inbound] == [
        ("in-1", "STOP", name("r"), 4),
        ("in-2", "hello", name("r"), 4),
    ]
    assert [record.partition for record in of(records, "inbound")] == [shard_of(person(n), SHARDS) for n in (1, 2)]


LISTED = (
    # words, what becomes of the list that is answered
    ("STOP", [(Scope.MARKETING, True, ""), (Scope.LIST, True, "flight/1")]),
    ("Stop all", [(Scope.ALL, True, "")]),
    ("START", [(scope, False, "") for scope in (Scope.MARKETING, Scope.ALL, Scope.OFFERS, Scope.LIST)]),
)


@pytest.mark.parametrize(("body", "said"), LISTED, ids=[row[0] for row in LISTED])
def test_a_stop_names_the_list_that_it_answers(body: str, said: list[tuple[Scope, bool, str]]) -> None:
    """The list travels in the signed reference, so that it is known before the webhook answers; START is about all lists."""
    ref = ref_of(REF_SECRET, Lane.UPDATE, 3, name("r"), "flight/1")
    record, *_ = done(replies=(reply(1, body, ref=ref),))
    entries = unpack(record.value, Suppressions)[1].entries
    assert [(entry.scope, entry.revoke, entry.list) for entry in entries] == said


def test_a_reference_with_another_list_is_foreign() -> None:
    """The gateway cannot take people off lists that it makes up."""
    ref = ref_of(REF_SECRET, Lane.UPDATE, 3, name("r"), "flight/1")
    raw = base64.urlsafe_b64decode(ref + "=" * (-len(ref) % 4))
    forged = base64.urlsafe_b64encode(raw.replace(b"flight/1", b"flight/2")).decode().rstrip("=")
    record, *_ = done(replies=(reply(1, ref=forged),))
    assert [entry.scope for entry in unpack(record.value, Suppressions)[1].entries] == [Scope.MARKETING]


def test_evidence_from_the_future_is_capped() -> None:
    """A reply that claims a later time than ours counts from ours."""
    [record, _] = done(replies=(reply(1, at_ms=NOW_MS + 1_000_000),))
    assert unpack(record.value, Suppressions)[1].entries[0].evidence_ms == NOW_MS


def test_a_stop_without_a_reference_is_a_stop() -> None:
    """A foreign reference costs the context alone; a reply from nobody is set aside."""
    sorted_ = sort(
        Reports("b", (), (reply(1, ref="forged"), reply(2, ref="", rank=-1), reply(3, recipient="nobody"))),
        received_ms=NOW_MS,
        ref_secret=REF_SECRET,
        shards=SHARDS,
        vocabulary=Vocabulary(),
    )
    entries = [e for r in of(sorted_.records, "suppressions") for e in unpack(r.value, Suppressions)[1].entries]
    assert {entry.recipient for entry in entries} == {person(1), person(2)}
    assert {entry.request for entry in entries} == {b""}
    assert {unpack(r.value, Inbound)[1].rank for r in of(sorted_.records, "inbound")} == {-1}
    assert sorted_.foreign == 1


@pytest.mark.parametrize(("lane", "stops"), [(Lane.CAMPAIGN, True), (Lane.UPDATE, False), (Lane.OTP, False)])
def test_cancel_stops_in_answer_to_an_offer_only(*, lane: Lane, stops: bool) -> None:
    """Under a flight update or a code, or under nothing, "cancel" may be about an order."""
    ref = ref_of(REF_SECRET, lane, 3, name("r"))
    assert bool(of(done(replies=(reply(1, "Cancel!", ref=ref),)), "suppressions")) == stops
    assert not of(done(replies=(reply(1, "Cancel!", ref=""), reply(2, "Cancel!", ref="forged"))), "suppressions")


@given(
    st.lists(st.tuples(st.sampled_from(list(Lane)), st.integers(0, 7), st.integers(1, 30_000)), max_size=12),
    st.integers(0, 900),
    st.integers(0, 20_000),
)
@settings(max_examples=25, deadline=None)
def test_bounds(shapes: list[tuple[Lane, int, int]], replies: int, length: int) -> None:
    """Whatever the batch's size, each record fits Kafka and no rank or reply is lost."""
    runs = tuple(
        run(lane, shard, ranks=tuple((2 * place, 1) for place in range(intervals))) for lane, shard, intervals in shapes
    )
    answers = tuple(reply(number, "STOP" + " " * length) for number in range(replies))
    records = done(*runs, replies=answers)
    assert all(len(record.value) < RECORD_LIMIT_BYTES for record in records)
    received = [
        each
        for record in records
        if record.topic.startswith("receipts")
        for each in unpack(record.value, Receipts)[1].runs
    ]
    assert sum(len(each.ranks) // 8 for each in received) == sum(intervals for _, _, intervals in shapes)
    assert len(of(records, "inbound")) == replies
    stopped = [e for r in of(records, "suppressions") for e in unpack(r.value, Suppressions)[1].entries]
    assert len(stopped) == replies


def test_endless_replies_are_cut() -> None:
    """A reply of two megabytes is one that fits, and a STOP with a book behind it is none."""
    [record] = done(replies=(reply(1, "STOP " + "x" * 2_000_000),))
    assert record.topic == "inbound"
    assert len(record.value) < 10_000


def test_thousands_of_small_runs_fit() -> None:
    """A batch of very many single receipts for one shard is cut into records that fit."""
    records = done(*(run(ranks=((place, 1),)) for place in range(40_000)))
    assert all(len(record.value) < RECORD_LIMIT_BYTES for record in records)
    runs = [each for record in records for each in unpack(record.value, Receipts)[1].runs]
    assert [ranks_of(each.ranks) for each in runs] == [[place] for place in range(40_000)]
