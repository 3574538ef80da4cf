"""Deliver's step function: what is appended, what is handed off, and that a fold knows all that the owner knew."""

import msgspec
import pytest

from broker.deliver.engine import MAX_BATCHES
from schemas.delivery_journal import Outcome
from schemas.facts import Scope, Suppression
from schemas.gateway_api import Code
from schemas.lanes import Lane, PairLimit
from schemas.reasons import Reason, State
from schemas.wire.columns import of_u32s, values_of
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import (
    HOUR_MS,
    NOW_MS,
    Bench,
    all_accepted,
    change,
    explicit,
    listed,
    name,
    refusing,
)


def decided(bench: Bench, request: int) -> list[int]:
    """Every status that the journal decided or answered for the first rank of a request, in order."""
    statuses: list[int] = []
    for record in bench.log:
        if head_of(record).kind is not Kind.OUTCOME:
            continue
        body = body_of(record, Outcome)
        statuses += [values_of(one.statuses)[0] for one in body.decided if one.request == name(request)]
        for answer in body.answered:
            if answer.request == name(request):
                statuses.append(answer.except_statuses[0] if answer.except_statuses else State.ACCEPTED)
    return statuses


def stop(bench: Bench, person: int, scope: Scope = Scope.LIST, at_ms: int = NOW_MS) -> None:
    """A STOP is acknowledged and tailed; one of a list is about L."""
    bench.suppressed_upto += 1
    list_id = "L" if scope is Scope.LIST else ""
    said = Suppression(name(person), "airline", scope, revoke=True, evidence_ms=at_ms, received_ms=at_ms, list=list_id)
    bench.consent.apply(said)


def test_a_small_request_is_opened_and_decided_in_one_append() -> None:
    """One append before the frame, one for the answer."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    bench.run()
    assert [len(body_of(record, Outcome).opened) for record in bench.log] == [1, 0]
    assert bench.sent == [(1, 0)]
    assert decided(bench, 1) == [State.SENDING, State.ACCEPTED]
    assert not bench.state.items
    assert name(1) in bench.state.closed


def test_nothing_is_handed_off_before_its_decision_is_acknowledged() -> None:
    """Decide, append, then act."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    assert bench.send() is None
    append = bench.engine.step(bench.now, bench.facts())
    assert append is not None
    assert bench.send() is None


def test_the_first_opened_of_a_name_wins() -> None:
    """Repeated work finishes its input and sends nothing, before and after the request has ended."""
    bench = Bench()
    bench.take(explicit(1, [1]), explicit(1, [1, 2]))
    bench.run()
    bench.take(explicit(1, [3]))
    bench.run()
    assert bench.sent == [(1, 0)]
    assert len(bench.finished) == 3


def test_a_list_is_frozen_once_and_only_when_the_audience_is_fresh() -> None:
    """Members are the people on the list after the work was taken; who joins later is not addressed."""
    bench = Bench()
    bench.audience.apply(change("L", [1, 2, 3]), 0)
    bench.fresh = False
    bench.take(listed(1, "L"))
    bench.append()
    assert not bench.append()
    bench.fresh = True
    bench.run()
    bench.audience.apply(change("L", [4]), 1)
    bench.run()
    assert bench.sent == [(1, 0), (1, 1), (1, 2)]


def test_a_list_larger_than_a_chunk_goes_in_chunks_of_at_most_two_waiting() -> None:
    """The window bounds what is decided ahead of the gateway."""
    bench = Bench(chunk=4, limits=False)
    bench.audience.apply(change("L", range(20)), 0)
    bench.take(listed(1, "L"))
    for _ in range(20):
        bench.append()
    ahead = [body for body in (body_of(record, Outcome) for record in bench.log) if body.decided]
    assert len(ahead) == MAX_BATCHES
    bench.run()
    assert sorted(bench.sent) == [(1, rank) for rank in range(20)]


def test_businesses_take_turns() -> None:
    """A second business waits for one chunk of the first, not for all of them."""
    bench = Bench(chunk=4, limits=False)
    bench.audience.apply(change("L", range(40)), 0)
    bench.take(listed(1, "L"))
    bench.append()
    bench.append()
    bench.take(explicit(2, [7, 8], business="shop", sender="shop/main"))
    bench.run()
    assert bench.sent.index((2, 0)) < 20


@pytest.mark.parametrize(
    ("scope", "lane", "reason"),
    [
        pytest.param(Scope.LIST, Lane.UPDATE, Reason.STOPPED, id="STOP ends the list that it answers"),
        pytest.param(Scope.MARKETING, Lane.CAMPAIGN, Reason.STOPPED, id="STOP ends campaigns"),
        pytest.param(Scope.ALL, Lane.UPDATE, Reason.STOPPED_ALL, id="STOP ALL ends updates"),
        pytest.param(Scope.BLOCK, Lane.OTP, Reason.BLOCKED, id="a block ends everything"),
    ],
)
def test_who_forbade_it_is_not_sent_to(scope: Scope, lane: Lane, reason: Reason) -> None:
    """Consent is asked at the decision."""
    bench = Bench(lane)
    bench.audience.apply(change("L", [1]), 0)
    stop(bench, 1, scope)
    bench.take(explicit(1, [1], category=1) if lane is Lane.OTP else listed(1, "L"))
    bench.run()
    assert bench.sent == []
    assert decided(bench, 1) == [reason]


def test_a_stop_between_decision_and_frame_withholds_the_message() -> None:
    """Asked again at hand-off; it surely never left, so the reason is the answer."""
    bench = Bench()
    bench.audience.apply(change("L", [1]), 0)
    bench.take(listed(1, "L"))
    for _ in range(3):
        bench.append()
    stop(bench, 1)
    bench.run()
    assert bench.sent == []
    assert decided(bench, 1) == [State.SENDING, Reason.STOPPED]


LEAVING: tuple[tuple[str, bool, list[tuple[int, int]], list[int]], ...] = (
    ("they had surely not been sent it", False, [], [State.SENDING, Reason.NOT_OPTED_IN]),
    ("a frame without an answer may have reached them", True, [(1, 0)], [State.SENDING, State.IN_DOUBT]),
)


@pytest.mark.parametrize(("row", "sent", "reached", "says"), LEAVING, ids=[row[0] for row in LEAVING])
def test_who_leaves_between_decision_and_frame_is_withheld(
    *, row: str, sent: bool, reached: list[tuple[int, int]], says: list[int]
) -> None:
    """Leaving a list is asked again when the frame is built, as a STOP is; others of the frame go."""
    bench = Bench()
    bench.audience.apply(change("L", [1, 2]), 0)
    bench.take(listed(1, "L"))
    for _ in range(3):
        bench.append()
    if sent:
        batch = bench.send()
        assert batch is not None
        bench.engine.unknown(batch, bench.now)
    bench.audience.apply(change("L", [1], join=False), 1)
    bench.now += 10_000
    bench.run()
    assert [one for one in bench.sent if one[1] == 0] == reached
    assert bench.sent[-1] == (1, 1)
    assert decided(bench, 1)[:2] == says


def test_a_leaving_that_is_older_than_the_decision_is_not_asked_twice() -> None:
    """Whoever joined again before the decision stays in the frame, whatever else changes meanwhile."""
    bench = Bench()
    bench.audience.apply(change("L", [1]), 0)
    bench.audience.apply(change("L", [1], join=False, at_ms=NOW_MS + 1), 1)
    bench.audience.apply(change("L", [1], at_ms=NOW_MS + 2), 2)
    bench.take(listed(1, "L"))
    for _ in range(3):
        bench.append()
    bench.audience.apply(change("M", [1], join=False, at_ms=NOW_MS + 3), 3)
    bench.run()
    assert bench.sent == [(1, 0)]


def test_a_stop_after_an_unanswered_frame_leaves_it_in_doubt() -> None:
    """It may have been sent; it is not sent again, and nobody claims to know."""
    bench = Bench()
    bench.audience.apply(change("L", [1]), 0)
    bench.take(listed(1, "L"))
    for _ in range(3):
        bench.append()
    batch = bench.send()
    assert batch is not None
    bench.engine.unknown(batch, bench.now)
    stop(bench, 1)
    bench.now += 10_000
    bench.run()
    assert bench.sent == [(1, 0)]
    assert decided(bench, 1) == [State.SENDING, State.IN_DOUBT]
    (doubt,) = [
        one for record in bench.log if head_of(record).kind is Kind.OUTCOME for one in body_of(record, Outcome).answered
    ]
    assert of_u32s(doubt.except_codes) == (Reason.STOPPED,)


def test_no_decision_and_no_frame_without_fresh_suppressions() -> None:
    """The barrier of the STOP bound."""
    bench = Bench()
    bench.fresh = False
    bench.take(explicit(1, [1]))
    bench.append()
    assert body_of(bench.log[0], Outcome).opened
    assert not body_of(bench.log[0], Outcome).decided
    assert bench.send() is None


def test_the_frame_is_valid_until_the_last_stop_check_and_the_lanes_span() -> None:
    """not_after = fresh + 1 s for updates."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    bench.append()
    batch = bench.send()
    assert batch is not None
    assert batch.frame is not None
    assert batch.frame.not_after_ms == bench.now + Lane.UPDATE.rules.windows.frame_ms


def test_an_older_version_never_follows_a_newer_one() -> None:
    """v7 waits, v8 arrives: v7 is superseded, in whichever order they are taken."""
    fact = {"entity": "flight/1", "facet": "gate"}
    bench = Bench()
    bench.take(explicit(8, [1], version=8, **fact), explicit(7, [1], version=7, **fact))
    bench.run()
    assert bench.sent == [(8, 0)]
    assert decided(bench, 7) == [Reason.SUPERSEDED]


def test_a_cancellation_dominates_what_was_published_before_it() -> None:
    """Facet * ends every older fact of its entity, and none that is newer."""
    bench = Bench()
    bench.take(
        explicit(1, [1], version=1, entity="flight/1", facet="*", time_ms=NOW_MS + 5),
        explicit(2, [1], version=9, entity="flight/1", facet="gate", time_ms=NOW_MS + 4),
        explicit(3, [1], version=1, entity="flight/1", facet="belt", time_ms=NOW_MS + 6),
    )
    bench.run()
    assert bench.sent == [(1, 0), (3, 0)]
    assert decided(bench, 2) == [Reason.SUPERSEDED]


def test_nothing_is_sent_after_its_expiry() -> None:
    """Whatever the state says: not decided, decided, or unanswered."""
    bench = Bench()
    bench.take(explicit(1, [1], expires_ms=NOW_MS))
    bench.run()
    bench.take(explicit(2, [1]))
    bench.append()
    bench.now += HOUR_MS
    bench.run()
    assert bench.sent == []
    assert (decided(bench, 1), decided(bench, 2)) == ([Reason.EXPIRED], [State.SENDING, Reason.EXPIRED])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(Code.UNDELIVERABLE, Reason.UNREACHABLE, id="no such number"),
        pytest.param(Code.USER_STOPPED_MARKETING, Reason.RECIPIENT_OPTED_OUT, id="stopped at the gateway"),
        pytest.param(999_999, Reason.GATEWAY_REFUSED, id="a code nobody knows"),
    ],
)
def test_a_refusal_for_good_ends_the_message(code: int, reason: Reason) -> None:
    """Exceptions by position."""
    bench = Bench()
    bench.answering = refusing((1, code, 0))
    bench.take(explicit(1, [1, 2, 3]))
    bench.run()
    assert not bench.state.items
    answered = body_of(bench.log[-1], Outcome).answered[0]
    assert answered.except_statuses == bytes((reason,))


def test_a_throttled_message_waits_and_goes_again_under_the_next_attempt() -> None:
    """Retry-After is honoured; the name stays."""
    bench = Bench()
    bench.answering = refusing((0, Code.PAIR_THROTTLED, 6_000))
    bench.take(explicit(1, [1]))
    bench.run()
    assert len(bench.sent) == 1
    assert bench.engine.wake_ms() == NOW_MS + 6_000
    bench.now += 6_000
    flight_before = len(bench.sent)
    bench.run()
    assert len(bench.sent) == flight_before + 1
    assert bench.state.items[name(1)].attempts[0] == 2


def test_no_number_of_attempts_ends_a_message() -> None:
    """A gateway that never takes it is asked until the message expires; beyond the 255th the number stays."""
    bench = Bench(limits=False, retry_ceiling_ms=10)
    bench.answering = refusing((0, Code.TRANSIENT, 0))
    bench.take(explicit(1, [1]))
    for _ in range(300):
        bench.run()
        bench.now += 20
    assert len(bench.sent) == 300
    assert bench.state.items[name(1)].attempts[0] == 255
    bench.now = NOW_MS + HOUR_MS
    bench.run()
    assert decided(bench, 1)[-1] == Reason.EXPIRED


def test_the_pair_limit_makes_the_sixteenth_code_wait() -> None:
    """A burst of 15 in the otp lane, then one every 20 s; also within one append, and after a restart."""
    bench = Bench(Lane.OTP)
    bench.take(*(explicit(number, [1], category=1) for number in range(1, 18)))
    bench.run()
    assert len(bench.sent) == 15
    bench.restart()
    bench.run()
    assert len(bench.sent) == 15
    bench.now += 20_000
    bench.run()
    assert len(bench.sent) == 16


def test_throttling_a_frame_as_a_whole_sends_the_same_frame_later() -> None:
    """429: nothing was taken, nothing is journaled."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    bench.append()
    batch = bench.send()
    assert batch is not None
    bench.engine.throttled(batch, 2_000, bench.now)
    bench.run()
    assert len(bench.sent) == 1
    bench.now += 2_000
    bench.run()
    assert len(bench.sent) == 2
    assert decided(bench, 1) == [State.SENDING, State.ACCEPTED]


def test_a_new_owner_sends_again_what_was_decided_and_never_answered() -> None:
    """Under the same name and attempt; the gateway dedupes."""
    bench = Bench()
    bench.take(explicit(1, [1, 2]))
    bench.append()
    bench.send()
    bench.restart()
    bench.run()
    assert bench.sent == [(1, 0), (1, 1), (1, 0), (1, 1)]
    assert decided(bench, 1) == [State.SENDING, State.ACCEPTED]


def test_a_request_that_may_not_start_yet_waits_without_holding_its_input() -> None:
    """Plan's reservation: taken over now, decided at start_ms."""
    bench = Bench()
    bench.take(msgspec.structs.replace(explicit(1, [1]), start_ms=NOW_MS + 5_000))
    bench.run()
    assert (len(bench.finished), bench.sent) == (1, [])
    bench.now += 5_000
    bench.run()
    assert bench.sent == [(1, 0)]


def test_what_is_open_is_restated_and_a_fold_may_begin_there() -> None:
    """After F/4 everything still open is said again: members, statuses, dues, closed names, newest versions."""
    bench = Bench()
    bench.audience.apply(change("L", [1, 2, 3]), 0)
    bench.answering = refusing((1, Code.TRANSIENT, 40 * HOUR_MS))
    expires = NOW_MS + 47 * HOUR_MS
    bench.take(listed(1, "L", expires_ms=expires))
    bench.run()
    bench.answering = all_accepted
    bench.take(explicit(2, [5], version=3, entity="e", facet="f"))
    bench.run()
    bench.now += Lane.UPDATE.rules.windows.fold_ms // 4 + 1
    before = len(bench.log)
    bench.run()
    assert len(bench.log) > before
    bench.log = bench.log[before:]
    bench.restart()
    assert bench.state.items[name(1)].dues.keys() == {1}
    bench.take(explicit(2, [6]), explicit(3, [5], version=2, entity="e", facet="f", expires_ms=expires))
    bench.run()
    assert (2, 0) not in bench.sent[4:]
    assert decided(bench, 3) == [Reason.SUPERSEDED]


def test_a_pair_limit_outlives_a_fold_that_begins_behind_the_opening() -> None:
    """A decision does not say who it is about, so the limits in force are restated, and no new owner forgets a spent one."""
    bench, quarter_ms = Bench(pair_limit=PairLimit(per_minute=1, burst=1)), Lane.UPDATE.rules.windows.fold_ms // 4
    late = NOW_MS + 47 * HOUR_MS
    first = explicit(1, [5], expires_ms=late)
    bench.take(msgspec.structs.replace(first, start_ms=NOW_MS + quarter_ms - 1_000))
    bench.run()
    opened = len(bench.log)
    for wait_ms in (quarter_ms - 1_000, 1_001):
        bench.now += wait_ms
        bench.run()
    bench.log = bench.log[opened:]
    bench.restart()
    bench.take(explicit(2, [5], expires_ms=late))
    bench.run()
    assert bench.sent == [(1, 0)]


def test_poison_is_worked_on_alone_and_given_up_after_two_tries() -> None:
    """After three claims without a record each item is announced first; two announcements without a result end it."""
    bench = Bench()
    bench.audience.apply(change("L", [1]), 0)
    bench.take(listed(1, "L"))
    bench.engine._suspects.careful = True
    for _ in range(3):  # opened, announced, frozen
        bench.append()
    for _ in range(2):
        bench.restart()
        bench.engine._suspects.careful = True
        append = bench.engine.step(bench.now, bench.facts())
        assert append is not None
        assert append.kind is Kind.TRYING
        bench.append()
    bench.restart()
    bench.run()
    assert decided(bench, 1) == [Reason.CRASHED_WORKER]
    assert bench.sent == []


LANGUAGES = (
    ("what the template speaks stays", b"deen", "ende", b"deen"),
    ("what it does not speak, and no language, is the default", b"fr\0\0de", "ende", b"enende"),
    ("everybody alike is said once", b"frfr", "ende", b"en"),
    ("a release that fixed no languages is not corrected", b"frde", "", b"frde"),
)


@pytest.mark.parametrize(("row", "locales", "languages", "told"), LANGUAGES, ids=[row[0] for row in LANGUAGES])
def test_the_broker_chooses_the_language(row: str, locales: bytes, languages: str, told: bytes) -> None:
    """People of a list are told in a language that the template speaks, or in its default; the gateway has no say."""
    bench = Bench()
    people = list(range(1, len(locales) // 2 + 1))
    bench.audience.apply(msgspec.structs.replace(change("L", people), locales=locales), 0)
    bench.take(listed(1, "L", languages=languages))
    for _ in range(3):
        bench.append()
    batch = bench.send()
    assert batch is not None
    assert batch.frame is not None
    assert batch.frame.sections[0].locales == told
