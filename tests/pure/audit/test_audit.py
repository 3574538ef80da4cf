"""The auditor: nothing in a clean run, every planted violation by its name, and no rest when any one record is taken away."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit.auditor import audit
from broker.audit.invariants import Breach
from broker.audit.report import Audit
from broker.audit.sources import Ledger, Logged, Rules
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Receipts, ReceiptStatus, Scope
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import PlannedBatch, Work
from schemas.reasons import Reason, State
from schemas.registry import CONFIRMATIONS, Parameter, Template
from schemas.wire.header import Kind, head_of, pack
from tests.pure.audit.log import MINUTE_MS, PEPPER, SHARDS, people_in
from tests.pure.audit.plants import bills, control, effects, messages, optouts, pace, requests
from tests.pure.audit.plants.table import Plant, news
from tests.pure.audit.story import Story

_TABLES = (
    requests,
    messages,
    optouts,
    control,
    pace,
    effects,
    bills,
)
PLANTS = [row for table in _TABLES for row in table.PLANTS]
_WINDOWS = {lane: msgspec.structs.replace(lane.rules.windows, settle_ms=MINUTE_MS) for lane in Lane}
_JOINS = (topics.CHARGES, topics.DEAD_LETTERS, topics.SUPPRESSIONS, topics.AUDIENCE)
_EMPTY = {Kind.PLANNED: PlannedBatch(()), Kind.WORK: Work(()), Kind.OUTCOME: Outcome(), Kind.RECEIPT: Receipts(())}


def rules(story: Story, **fields: object) -> Rules:
    """Short windows; three minutes have passed since the last record."""
    base: dict[str, object] = {
        "now_ms": story.now + 3 * MINUTE_MS,
        "shards": SHARDS,
        "pepper": PEPPER,
        "windows": _WINDOWS,
    }
    return Rules(**(base | fields))  # type: ignore[arg-type]


def audited(story: Story, **fields: object) -> Audit:
    """The verdict about a run."""
    return audit(story.dump(), rules(story, **fields))


def test_pausing_resuming_and_cancelling_is_legal() -> None:
    """What waits is held and goes on; what is cancelled ends; a frame that was out within the bound is no violation."""
    story = Story()
    control.controlled(story)
    found = audited(story)
    assert found.violations == ()
    assert (found.counts["controls"], found.counts["commands"]) == (4, 3)
    assert found.states["campaign"]["cancelled"] > 0


@pytest.mark.parametrize("quiet", [False, True])
def test_a_clean_run_has_no_violation(*, quiet: bool) -> None:
    """Repeats, void records, refusals, take-overs and messages in doubt are all legal; every message is accounted for."""
    found = audited(Story(), quiet=quiet, canary="271828")
    assert found.violations == ()
    assert found.states == {
        "otp": {"read": 1, "unreachable": 1},
        "update": {"in_doubt": 1, "delivered": 53, "superseded": 24, "expired": 1},
        "campaign": {"read": 14, "not_opted_in": 1, "stopped": 1, "failed": 4, "unknown": 4},
    }
    assert (found.accepted, found.terminal, found.open, found.charged) == (105, 104, 1, 67)


@pytest.mark.parametrize("row", PLANTS, ids=lambda row: f"{row.breach.invariant:02}-{row.edit.__name__}")
def test_a_planted_violation_is_named(row: Plant) -> None:
    """One edit, one name; nothing else but what follows from it."""
    story = Story()
    row.edit(story)
    found = set(audited(story, **dict(row.rules)).found)
    assert row.breach.word in found
    assert found <= {row.breach.word, *(breach.word for breach in row.also)}


def test_every_invariant_is_planted_at_least_twice_and_every_breach_once() -> None:
    """A check that no plant ever tripped is a check that nobody has seen work."""
    planted = Counter(row.breach.invariant for row in PLANTS)
    assert {number: count for number in range(1, 21) if (count := planted[number]) < 2} == {}
    assert {row.breach for row in PLANTS} == set(Breach)


def test_what_is_open_within_its_window_is_legal_and_counted() -> None:
    """An input without a verdict, work not opened, ranks pending, sent, waiting and accepted: lag and open, no violation."""
    story = Story()
    before = audited(story)
    story.publish(Lane.UPDATE, "shop", "unjudged", {})
    story.ask(Lane.UPDATE, "unopened", people_in(1, 1, 500), business="shop")
    news(story, "pending")
    story.decide(news(story, "sent"), 1, {0: State.SENDING})
    story.decide(news(story, "waiting"), 1, {0: State.WAITING}, due_ms=story.now + 9 * MINUTE_MS)
    story.send(news(story, "accepted"), 1, [0])
    found = audited(story)
    assert found.violations == ()
    assert (found.counts["lag_plan"], found.counts["lag_deliver"]) == (1, 1)
    assert found.accepted - before.accepted == found.open - before.open == 5
    assert [found.in_state(state) for state in ("pending", "sending", "waiting", "accepted")] == [2, 1, 1, 1]


def test_a_posting_may_wait_for_its_event_as_long_as_a_stage_may_lag() -> None:
    """The topic is written behind the book: what is young is no violation, in the sum neither."""
    story = Story()
    bills.rebilled(story, *bills.every(story)[:-1])
    assert audited(story).violations == ()
    assert set(audited(story, lag_ms=MINUTE_MS).found) == {"unbilled", "bill_differs"}


def test_events_whose_charges_the_book_has_not_read_are_not_held_against_it() -> None:
    """A book that is built anew comes to them; doubles among them are found all the same."""
    story = Story()
    dump = msgspec.structs.replace(story.dump(), ledger=Ledger())
    assert audit(dump, rules(story)).violations == ()
    story.logs[topics.billing("shop")] *= 2
    doubled = msgspec.structs.replace(story.dump(), ledger=Ledger())
    assert "billed_twice" in audit(doubled, rules(story)).found


def test_an_opt_out_that_the_gateway_answers_is_legal_and_holds() -> None:
    """Refused there, suppressed here; the next offer is refused by the broker, and news to the same person are not."""
    story = Story()
    optouts.opted_out(story, optouts.offer(story, "first"))
    story.decide(optouts.offer(story, "second"), 1, {0: Reason.RECIPIENT_OPTED_OUT})
    flight = story.ask(Lane.UPDATE, "news", "offers", business="shop")
    for shard in range(SHARDS):
        story.open(flight, shard)
    story.send(flight, 1, [0])
    assert audited(story, lag_ms=MINUTE_MS).violations == ()


def test_whoever_came_back_by_an_act_is_told_and_whoever_left_meanwhile_is_withheld() -> None:
    """Both folds read both logs: a STOP is over after a later opt-in, and a leaving counts until the frame."""
    story = Story()
    for scope in (Scope.MARKETING, Scope.LIST):
        asked = optouts.stopped(story, scope)
        optouts.came_back(story, asked)
        story.send(asked, 1, [0])
    leaving = optouts.offer(story, "leaving")
    story.decide(leaving, 1, {0: State.SENDING})
    story.opt("shop", "offers", leaving.people[1][:1], join=False)
    story.answer(leaving, 1, [0], {0: Reason.NOT_OPTED_IN})
    assert audited(story, lag_ms=MINUTE_MS).violations == ()


def test_a_confirmation_may_go_to_whoever_stopped_everything_and_is_not_charged() -> None:
    """Only a block forbids it, and what is delivered of it is never owed."""
    story = Story()
    (who,) = people_in(1, 1, 600)
    for scope in (Scope.MARKETING, Scope.ALL):
        story.stop(who, "shop", scope)
    for template in CONFIRMATIONS:
        story.register(Template(template, "utility", (Parameter("business"),), {"en": "{business}"}))
        asked = story.ask(Lane.UPDATE, template, [who], business="shop", template=template)
        story.open(asked, 1)
        story.send(asked, 1, [0])
        story.receive(asked, 1, [0], ReceiptStatus.DELIVERED)
    assert audited(story).violations == ()
    story.stop(who, "shop", Scope.BLOCK)
    late = story.ask(Lane.UPDATE, "late", [who], business="shop", template=CONFIRMATIONS[0])
    story.open(late, 1)
    story.send(late, 1, [0])
    assert audited(story).found.keys() == {"sent_though_stopped"}


def test_a_violation_counts_the_messages_that_it_concerns() -> None:
    """The figures of the last line are messages, not findings."""
    story = Story()
    story.hand(story.cancelled, 0, range(len(story.cancelled.people[0])))
    found = audited(story)
    assert found.summary()["visible_twice"] == len(story.cancelled.people[0]) > 1
    assert found.summary()["violations"] == 1


def test_the_canary_is_found_in_the_payload_that_a_dead_letter_keeps() -> None:
    """Base64 hides nothing."""
    found = audited(Story(), canary="{not json")
    places = [violation.where for violation in found.violations]
    assert [place.partition("/")[0] for place in places] == [topics.DEAD_LETTERS] * 2 + [topics.requests(Lane.UPDATE)]


def test_joins_may_be_written_again() -> None:
    """Every receipt, charge, dead letter, suppression and audience change twice: the same counts, no violation."""
    story = Story()
    before = audited(story)
    for topic in (*_JOINS, *(topics.receipts(lane) for lane in Lane)):
        for record in tuple(story.logs[topic]):
            story.put(topic, record.partition, record.value or b"", record.key)
    story.post()
    after = audited(story, windows=_WINDOWS)
    assert after.violations == ()
    assert (after.states, after.charged_micro) == (before.states, before.charged_micro)


def _way() -> Iterator[tuple[str, int]]:
    """The place of every record of plan, work, deliver's journal and receipts in the clean run, claims excepted."""
    for topic, log in Story().logs.items():
        if topic.split(".")[0] in {"plans", "work", "outcomes", "receipts"}:
            kinds = (head_of(record.value or b"").kind for record in log)
            yield from ((topic, at) for at, kind in enumerate(kinds) if kind in _EMPTY)


def _emptied(record: Logged) -> Logged:
    header = head_of(record.value or b"")
    return msgspec.structs.replace(record, value=pack(header, _EMPTY[header.kind]))


def test_no_record_of_the_way_can_be_taken_away_unseen() -> None:
    """Each record of the clean run, emptied in turn, leaves a violation; or nothing is different without it."""
    clean = audited(Story())
    seen = 0
    for topic, at in _way():
        story = Story()
        story.logs[topic][at] = _emptied(story.logs[topic][at])
        found = audited(story, quiet=True)
        assert found.total or found.states == clean.states, (topic, at)
        seen += bool(found.total)
    assert seen > 100


def test_no_line_of_the_gateway_s_log_can_be_taken_away_unseen() -> None:
    """An acceptance that is not there contradicts the book, unless the book calls it in doubt."""
    lines = [(lane, at) for lane, log in Story().gateway.items() for at, e in enumerate(log) if e.event == "accepted"]
    for lane, at in lines:
        story = Story()
        doubtful = story.gateway[lane][at].request == text_of(story.doubtful.name)
        del story.gateway[lane][at]
        assert audited(story).total or doubtful, (lane, at)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_bytes_stop_the_auditor(data: st.DataObject) -> None:
    """Any record may be damaged in any way: the audit ends, and says at least as much as it must."""
    story = Story()
    topic = data.draw(st.sampled_from(sorted(story.logs)))
    at = data.draw(st.integers(0, len(story.logs[topic]) - 1))
    value = bytearray(story.logs[topic][at].value or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(value)))
    story.logs[topic][at] = msgspec.structs.replace(story.logs[topic][at], value=bytes(value[:cut] or value))
    found = audited(story)
    assert found.accepted == found.terminal + found.open
