"""Settle: outcomes and receipts in any order and number lead to the same charges, statuses and final words."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from broker.charging import UnpricedError
from broker.settle.deadlines import Ends, fold_from
from broker.settle.engine import Settle
from broker.settle.policy import SettleEffects, SettlePolicy
from broker.settle.unmatched import Quarantine
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem, Outcome, Restated
from schemas.facts import Charge, ReceiptRun, Receipts, ReceiptStatus
from schemas.ids import text_of
from schemas.lanes import Category, Lane
from schemas.plan_journal import Origin, Rows, Terms, WorkItem
from schemas.reasons import Reason, State
from schemas.registry import PriceCard
from schemas.status import Status
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, of_u32s, ranks_of, u16s, u32s, values_of
from schemas.wire.header import Header, Kind

T0 = 1_700_000_000_000
EXPIRES_MS = T0 + 600_000
SETTLE_MS = 3_600_000
DEADLINE_MS = EXPIRES_MS + SETTLE_MS
LONG_AFTER_MS = DEADLINE_MS + SETTLE_MS
CARDS = {
    7: PriceCard(7, "USD", {"utility": {"1": 10, "49": 30, "*": 20}, "marketing": {"*": 90}}),
}
REQUEST = b"request-00000001"


def settle_of(shard: int = 3, *, calm_ms: int = 60_000) -> Settle:
    """A fresh join."""
    return Settle(SettlePolicy(shard, SETTLE_MS, calm_ms=calm_ms), CARDS)


def terms(*, business: str = "shop", test: bool = False, category: int = Category.UTILITY, card: int = 7) -> Terms:
    """Terms of a request."""
    return Terms(
        business,
        f"{business}/main",
        "t",
        1,
        category,
        card,
        {},
        T0,
        EXPIRES_MS,
        EXPIRES_MS,
        "//shop/web",
        "n1",
        labels={"depot": "newark"},
        test=test,
    )


def people(count: int) -> Rows:
    """Explicit recipients."""
    ids = b"".join(n.to_bytes(16) for n in range(count))
    return Rows(ids, bytes(33 * count), b"en" * count, u16s([49] * count))


def opened(rows: Rows | None, request: bytes = REQUEST, of: Terms | None = None) -> Opened:
    """A work item taken over."""
    return Opened(WorkItem(request, of or terms(), rows, "" if rows else "news"), Origin(0, 0), T0)


def members(count: int, request: bytes = REQUEST) -> Members:
    """The frozen members of a list."""
    return Members(request, count, BitMap(range(count)).serialize(), 0, 0)


def sent(ranks: Sequence[int], *, request: bytes = REQUEST, market: int = 49) -> Decided:
    """Ranks decided to be sent."""
    runs = runs_of(bytes([State.SENDING]) * len(ranks)), runs_of(b"\1" * len(ranks))
    return Decided(request, intervals_of(ranks), *runs, b"", market)


def refused(ranks: Sequence[int], reason: int, *, request: bytes = REQUEST) -> Decided:
    """Ranks decided not to be sent."""
    return Decided(
        request, intervals_of(ranks), runs_of(bytes([reason]) * len(ranks)), runs_of(bytes(len(ranks))), b"", 0
    )


def accepted(ranks: Sequence[int], excepted: dict[int, int] | None = None, code: int = 0) -> Answered:
    """Ranks that the gateway took, but for exceptions with their status."""
    odd = sorted((excepted or {}).items())
    return Answered(
        REQUEST,
        intervals_of(ranks),
        T0 + 50,
        u32s(rank for rank, _ in odd),
        bytes(status for _, status in odd),
        u32s(code for _ in odd),
        i64s(0 for _ in odd),
    )


def receipt(
    status: ReceiptStatus,
    ranks: Sequence[int],
    *,
    at_ms: int = T0 + 100,
    received_ms: int = T0 + 120,
    request: bytes = REQUEST,
    code: int = 0,
) -> ReceiptRun:
    """A receipt about some ranks."""
    return ReceiptRun(request, intervals_of(ranks), status, at_ms, received_ms, code)


SENT, DELIVERED, READ, FAILED = ReceiptStatus


def feed(settle: Settle, *sections: object, at_ms: int = T0) -> None:
    """Join sections and receipts, a record each."""
    journal = Header(Kind.OUTCOME, Lane.UPDATE, 3, 1, at_ms)
    for section in sections:
        match section:
            case ReceiptRun():
                settle.receipts(Header(Kind.RECEIPT, Lane.UPDATE, 3, 0, at_ms), Receipts((section,)))
            case Restated():
                settle.outcome(journal, section)
            case Opened():
                settle.outcome(journal, Outcome(opened=(section,)))
            case Members():
                settle.outcome(journal, Outcome(members=(section,)))
            case Decided():
                settle.outcome(journal, Outcome(decided=(section,)))
            case Answered():
                settle.outcome(journal, Outcome(answered=(section,)))
            case Held():
                settle.outcome(journal, Outcome(held=(section,)))
            case _:
                raise AssertionError(section)


def after_all(settle: Settle) -> SettleEffects:
    """The effects of time alone: the logs stay silent until the window is over."""
    both = settle.due(LONG_AFTER_MS), settle.due(LONG_AFTER_MS + SETTLE_MS)
    return SettleEffects([c for each in both for c in each.charges], [s for each in both for s in each.statuses])


def ranks_in(charges: Iterable[Charge]) -> set[int]:
    """All charged ranks."""
    return {rank for charge in charges for rank in BitMap.deserialize(charge.ranks)}


def words(status: Status) -> list[tuple[str, str]]:
    """State and reason of each recipient."""
    return [(one.state, one.reason) for one in status.recipients]


def only(effects: SettleEffects) -> Status:
    """The one status among the effects."""
    ((_, status),) = effects.statuses
    return status


# -- one message


def test_a_code_is_told_step_by_step_and_charged_once() -> None:
    """Each step of a small request is told at once with a higher number; delivery charges, reading does not again."""
    settle = settle_of()
    steps: tuple[tuple[tuple[object, ...], tuple[str, str] | None, set[int]], ...] = (
        ((opened(people(1)), sent([0])), None, set()),
        ((accepted([0]),), ("running", "accepted"), set()),
        ((receipt(SENT, [0]),), ("running", "sent"), set()),
        ((receipt(DELIVERED, [0]),), ("closed", "delivered"), {0}),
        ((receipt(DELIVERED, [0]),), None, set()),
        ((receipt(READ, [0], at_ms=T0 + 900),), ("closed", "read"), set()),
    )
    seqs = [0]
    for sections, told, charged in steps:
        feed(settle, *sections)
        effects = settle.due(T0 + 200)
        assert ranks_in(effects.charges) == charged
        statuses = [status for _, status in effects.statuses]
        assert [(status.state, status.recipients[0].state) for status in statuses] == ([told] if told else [])
        seqs += [status.seq for status in statuses]
    assert seqs == sorted(set(seqs))


def test_a_status_names_the_request_as_the_business_does() -> None:
    """Business, source, id, recipient, shard, time and counts stand in the status."""
    settle = settle_of(shard=5)
    feed(settle, opened(people(2)), sent([0, 1]), accepted([0, 1]), receipt(READ, [1], at_ms=T0 + 700))
    feed(settle, receipt(SENT, [1], at_ms=T0 + 60))
    ((business, status),) = settle.due(T0 + 999).statuses
    assert business == "shop"
    assert (status.source, status.id, status.request) == ("//shop/web", "n1", text_of(REQUEST))
    assert (status.shard, status.at_ms) == (5, T0 + 999)
    assert status.counts == {"accepted": 1, "read": 1}
    assert [one.recipient for one in status.recipients] == [text_of(n.to_bytes(16)) for n in range(2)]
    assert [one.at_ms for one in status.recipients] == [T0 + 50, T0 + 700]


READINGS: tuple[tuple[str, list[object], tuple[str, str], bool], ...] = (
    ("never decided", [], ("pending", ""), False),
    ("stopped", [refused([0], Reason.STOPPED)], ("refused", "stopped"), True),
    ("waiting", [refused([0], State.WAITING)], ("waiting", ""), False),
    ("taken", [sent([0]), accepted([0])], ("accepted", ""), False),
    ("perhaps sent", [sent([0]), accepted([0], {0: State.IN_DOUBT})], ("in_doubt", ""), False),
    ("refused by the gateway", [sent([0]), accepted([0], {0: Reason.UNREACHABLE})], ("refused", "unreachable"), True),
    ("failed later", [sent([0]), accepted([0]), receipt(FAILED, [0])], ("failed", ""), True),
    ("delivered", [sent([0]), accepted([0]), receipt(DELIVERED, [0])], ("delivered", ""), True),
    ("read says delivered", [sent([0]), accepted([0]), receipt(READ, [0])], ("read", ""), True),
    ("a receipt before the answer", [sent([0]), receipt(DELIVERED, [0])], ("delivered", ""), True),
    ("a receipt ends doubt", [sent([0]), accepted([0], {0: State.IN_DOUBT}), receipt(READ, [0])], ("read", ""), True),
    ("an older receipt later", [sent([0]), receipt(READ, [0]), receipt(SENT, [0])], ("read", ""), True),
    ("delivered beats failed", [sent([0]), receipt(FAILED, [0]), receipt(DELIVERED, [0])], ("delivered", ""), True),
    ("evidence about one never sent", [refused([0], Reason.STOPPED), receipt(READ, [0])], ("refused", "stopped"), True),
)


@pytest.mark.parametrize(("row", "sections", "told", "closed"), READINGS, ids=[row[0] for row in READINGS])
def test_what_is_known_of_a_message_has_one_word(
    *, row: str, sections: list[object], told: tuple[str, str], closed: bool
) -> None:
    """Journal and receipts read as one state; a request is closed when every rank has a final one."""
    settle = settle_of()
    feed(settle, opened(people(1)), *sections)
    one = settle.terminal_of(REQUEST, 0)
    assert one is not None
    assert (one.state, one.reason) == told
    statuses = settle.due(T0).statuses
    assert [status.state for _, status in statuses] in ([], ["closed" if closed else "running"])
    assert not closed or statuses


def test_a_failure_keeps_the_gateways_code() -> None:
    """The code of a failed or refused message stands in its status."""
    settle = settle_of()
    feed(settle, opened(people(3)), sent([0, 1, 2]), accepted([0, 1, 2], {1: Reason.UNREACHABLE}, code=131026))
    feed(settle, receipt(FAILED, [0], code=131000))
    assert [one.code for one in only(settle.due(T0)).recipients] == [131000, 131026, 0]


def test_a_message_that_is_there_has_no_code_any_more() -> None:
    """What the gateway said on the way (131016, come again) is history once it is delivered; it is told until then."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), accepted([0], {0: State.WAITING}, code=131016))
    assert [one.code for one in only(settle.due(T0)).recipients] == [131016]
    feed(settle, sent([0]), accepted([0]), receipt(DELIVERED, [0]))
    assert [(one.state, one.code) for one in only(settle.due(T0 + 1_000)).recipients] == [("delivered", 0)]


def test_a_contradiction_is_counted_once() -> None:
    """Failed and delivered: billed as delivered, and counted."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), receipt(FAILED, [0]))
    assert settle.due(T0).charges == []
    for _ in range(2):
        feed(settle, receipt(DELIVERED, [0]), receipt(FAILED, [0]))
        settle.due(T0)
    assert (settle.counts.contradictions, settle.counts.charged) == (1, 1)


def test_an_unknown_message_is_not_found() -> None:
    """Nothing is said about requests and ranks that are not here."""
    settle = settle_of()
    feed(settle, opened(people(1)))
    assert settle.terminal_of(REQUEST, 1) is None
    assert settle.terminal_of(b"another-request!", 0) is None


# -- charges


def test_prices_go_by_card_category_and_market() -> None:
    """A market of the card has its price, every other the star's; one charge for each market."""
    settle = settle_of()
    feed(settle, opened(people(4)), sent([0, 1], market=1), sent([2]), sent([3], market=33))
    feed(settle, receipt(DELIVERED, [0, 1], at_ms=T0 + 10), receipt(READ, [2, 3], at_ms=T0 + 20))
    charges = settle.due(T0).charges
    assert {(c.market, c.unit_micro, tuple(BitMap.deserialize(c.ranks))) for c in charges} == {
        (1, 10, (0, 1)),
        (49, 30, (2,)),
        (33, 20, (3,)),
    }
    for charge in charges:
        assert (charge.business, charge.sender, charge.request) == ("shop", "shop/main", REQUEST)
        assert (charge.source, charge.id, charge.labels) == ("//shop/web", "n1", {"depot": "newark"})
        assert (charge.card, charge.category, charge.currency) == (7, Category.UTILITY, "USD")
        assert (charge.first_ms, charge.last_ms) == (T0 + 10, T0 + 20)


def test_mixed_markets_of_one_decision_are_kept_apart() -> None:
    """Packed markets belong to the ranks that are sent, in their order."""
    settle = settle_of()
    statuses = bytes([State.SENDING, Reason.STOPPED, State.SENDING])
    mixed = Decided(REQUEST, intervals_of([0, 1, 2]), runs_of(statuses), runs_of(b"\1\0\1"), u16s([1, 49]), 0)
    feed(settle, opened(people(3)), mixed, receipt(DELIVERED, [0, 1, 2]))
    assert {(c.market, *BitMap.deserialize(c.ranks)) for c in settle.due(T0).charges} == {(1, 0), (49, 2)}


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (terms(card=8), "card 8 is not registered"),
        (terms(category=Category.AUTHENTICATION), "no price for authentication"),
    ],
)
def test_a_message_without_a_price_stops_settling(of: Terms, says: str) -> None:
    """A price is never guessed."""
    settle = settle_of()
    feed(settle, opened(people(1), of=of), sent([0]), receipt(DELIVERED, [0]))
    with pytest.raises(UnpricedError, match=says):
        settle.due(T0)


def test_a_test_is_told_and_never_charged() -> None:
    """Tests have statuses and no bill."""
    settle = settle_of()
    feed(settle, opened(people(1), of=terms(test=True)), sent([0]), receipt(DELIVERED, [0]))
    effects = settle.due(T0)
    assert effects.charges == []
    assert words(only(effects)) == [("delivered", "")]


def test_a_heartbeat_is_counted_apart() -> None:
    """Fanfare's own messages leave neither charge nor status, but the time of the newest that came through."""
    settle = settle_of()
    feed(settle, opened(people(1), of=terms(business="fanfare-0", test=True)), sent([0]), accepted([0]))
    settle.due(T0)
    assert settle.counts.heartbeat_ms == 0
    feed(settle, receipt(DELIVERED, [0]))
    assert settle.due(T0) == ([], [])
    assert (settle.counts.heartbeat_ms, settle.counts.charged) == (T0, 0)
    assert after_all(settle) == ([], [])
    assert settle.open_count == 0


# -- lists


def test_a_list_is_told_in_counts_at_most_once_a_second_and_at_once_when_closed() -> None:
    """Running counts are rationed; the closing one is not."""
    settle = settle_of()
    feed(settle, opened(None), members(100))
    assert only(settle.due(T0)).counts == {"pending": 100}
    told = []
    for step in range(10):
        ranks = range(10 * step, 10 * step + 10)
        feed(settle, sent(ranks), accepted(ranks), receipt(DELIVERED, ranks))
        told += [status for _, status in settle.due(T0 + 300 * (step + 1)).statuses]
    assert [(status.state, status.counts) for status in told] == [
        ("running", {"delivered": 40, "pending": 60}),
        ("running", {"delivered": 80, "pending": 20}),
        ("closed", {"delivered": 100}),
    ]
    assert all(not status.recipients for status in told)


def test_what_was_held_back_is_told_when_its_time_has_come() -> None:
    """The last change of a burst is told although nothing follows it."""
    settle = settle_of()
    feed(settle, opened(None), members(100), sent(range(50)))
    settle.due(T0)
    feed(settle, accepted(range(50)))
    assert settle.due(T0 + 10).statuses == []
    assert only(settle.due(T0 + 1_000)).counts == {"accepted": 50, "pending": 50}
    assert settle.due(T0 + 9_000).statuses == []


def test_a_pause_shows_what_waits_and_a_resume_that_it_goes_on() -> None:
    """Handed off, held and ended add up to the members; each word has a higher number, and a late one changes nothing."""
    settle = settle_of()
    feed(settle, opened(None), Held(REQUEST, held=True, upto=3), members(10))
    told = [only(settle.due(T0 + 1_000))]
    feed(settle, sent([0, 1, 2, 3]), accepted([0, 1], {1: State.WAITING}))
    told += [only(settle.due(T0 + 2_000))]
    feed(settle, Held(REQUEST, held=False, upto=5), Held(REQUEST, held=True, upto=4))
    told += [only(settle.due(T0 + 3_000))]
    feed(settle, Held(REQUEST, held=False, upto=6), refused(range(4, 10), Reason.CANCELLED))
    told += [only(settle.due(T0 + 4_000))]
    assert [status.counts for status in told] == [
        {"held": 10},
        {"accepted": 1, "sending": 2, "held": 7},
        {"accepted": 1, "sending": 2, "waiting": 1, "pending": 6},
        {"accepted": 1, "sending": 2, "waiting": 1, "cancelled": 6},
    ]
    seqs = [status.seq for status in told]
    assert seqs == sorted(set(seqs))


def test_a_pause_has_no_end_that_could_be_told_and_is_no_slowness() -> None:
    """While it is held no end is told; afterwards it goes at the pace that it had, however long the pause was."""
    settle = settle_of()
    work = opened(None)
    paced = msgspec.structs.replace(work, item=msgspec.structs.replace(work.item, per_s=80))
    feed(settle, paced, members(1_000))
    feed(settle, sent(range(100)), accepted(range(100)), at_ms=T0 + 10_000)
    before = only(settle.due(T0 + 10_000))
    feed(settle, Held(REQUEST, held=True, upto=1), at_ms=T0 + 10_000)
    held = only(settle.due(T0 + 20_000))
    feed(settle, Held(REQUEST, held=False, upto=2), at_ms=T0 + 400_000)
    after = only(settle.due(T0 + 400_000))
    assert (held.eta_ms, held.unreached) == (0, 0)
    assert after.eta_ms - (T0 + 400_000) == before.eta_ms - (T0 + 10_000) > 0


def test_a_pause_of_few_is_told_at_once_and_by_person() -> None:
    """Also of a request of which nothing was decided yet."""
    settle = settle_of()
    feed(settle, opened(people(2)), Held(REQUEST, held=True, upto=0))
    status = only(settle.due(T0 + 1))
    assert (status.counts, words(status)) == ({"held": 2}, [("held", ""), ("held", "")])


def test_an_empty_part_of_a_list_is_closed_at_once() -> None:
    """A shard without members says so, that totals can be summed."""
    settle = settle_of()
    feed(settle, opened(None), members(0))
    status = only(settle.due(T0))
    assert (status.state, status.counts) == ("closed", {})


def test_a_list_is_charged_in_runs() -> None:
    """Each round of receipts is one charge, whatever its number of people; fragments included."""
    settle = settle_of()
    feed(settle, opened(None), members(1_000), sent(range(1_000)))
    feed(settle, receipt(DELIVERED, range(0, 1_000, 2)), receipt(READ, range(0, 1_000, 4)))
    (even,) = settle.due(T0).charges
    feed(settle, receipt(READ, range(1_000), at_ms=T0 + 500))
    (odd,) = settle.due(T0).charges
    assert (even.last_ms, odd.first_ms) == (T0 + 100, T0 + 500)
    assert ranks_in([even]) == set(range(0, 1_000, 2))
    assert ranks_in([odd]) == set(range(1, 1_000, 2))


# -- quarantine


def test_a_receipt_may_come_before_the_decision() -> None:
    """It waits, and charges when the decision is known; not before."""
    settle = settle_of()
    feed(settle, receipt(DELIVERED, [0]))
    assert settle.due(T0) == ([], [])
    feed(settle, opened(people(1)))
    assert settle.due(T0).charges == []
    feed(settle, sent([0]))
    assert ranks_in(settle.due(T0).charges) == {0}


def test_a_receipt_for_what_was_never_decided_never_charges() -> None:
    """It expires once the journal has been read beyond it, and is counted."""
    settle = settle_of()
    feed(settle, receipt(DELIVERED, [0]))
    assert settle.quarantine.held == 1
    assert after_all(settle) == ([], [])
    assert (settle.quarantine.held, settle.quarantine.dropped, settle.counts.charged) == (0, 1, 0)


def test_the_quarantine_is_bounded() -> None:
    """The oldest must make room; the newest stay."""
    settle = Settle(SettlePolicy(3, SETTLE_MS, quarantine_limit=10), CARDS)
    names = [n.to_bytes(16) for n in range(25)]
    feed(settle, *(receipt(DELIVERED, [0], request=name) for name in names))
    assert (settle.quarantine.held, settle.quarantine.dropped) == (10, 15)
    for name in names:
        feed(settle, opened(people(1), name), sent([0], request=name))
    assert {charge.request for charge in settle.due(T0).charges} == set(names[-10:])


def test_evidence_about_ranks_that_do_not_exist_is_set_aside() -> None:
    """Ranks beyond the members are counted as stray; the others of the same receipt count."""
    settle = settle_of()
    feed(settle, opened(people(2)), sent([0, 1]), receipt(DELIVERED, [1, 2, 3]), receipt(DELIVERED, [9]))
    assert ranks_in(settle.due(T0).charges) == {1}
    assert settle.counts.stray == 3


def test_a_journal_that_names_ranks_that_do_not_exist_is_a_fault() -> None:
    """Our own journal must fit together."""
    settle = settle_of()
    with pytest.raises(ValueError, match="rank 2 of a request that has 2 here"):
        feed(settle, opened(people(2)), sent([1, 2]))


# -- time


@pytest.mark.parametrize(("late_ms", "state", "charged"), [(0, "delivered", {0}), (1, "unknown", set())])
def test_evidence_counts_until_the_window_ends(late_ms: int, state: str, charged: set[int]) -> None:
    """What the webhook received in time counts, a millisecond later it does not: the record says so, no clock."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), accepted([0]))
    settle.due(T0)
    feed(settle, receipt(DELIVERED, [0], received_ms=DEADLINE_MS + late_ms))
    first, last = settle.due(T0), after_all(settle)
    assert ranks_in(first.charges + last.charges) == charged
    told = [status for _, status in first.statuses + last.statuses]
    assert words(told[-1]) == [(state, "")]
    assert told[-1].state == "closed"
    assert settle.counts.late == late_ms


def test_what_has_no_evidence_when_the_window_ends_is_unknown() -> None:
    """Doubt ends as unknown, once, with a higher number; then the request leaves memory."""
    settle = settle_of()
    feed(settle, opened(None), members(50), sent(range(50)), accepted(range(50), {7: State.IN_DOUBT}))
    feed(settle, receipt(DELIVERED, range(30)))
    before = only(settle.due(T0))
    final = only(after_all(settle))
    assert final.counts == {"delivered": 30, "unknown": 20}
    assert (final.state, settle.counts.unknown, settle.counts.known, settle.open_count) == ("closed", 20, 30, 0)
    assert final.seq > before.seq


@pytest.mark.parametrize(("business", "known"), [("shop", 2), ("fanfare-1", 0)], ids=["a business", "heartbeats"])
def test_messages_that_end_with_a_final_word_are_counted_on_the_shelf_too(business: str, known: int) -> None:
    """What is kept as bytes ends without being taken out; heartbeats would thin out what operators look at."""
    settle = settle_of(calm_ms=1)
    feed(settle, opened(people(2), of=terms(business=business)), sent([0, 1]), accepted([0, 1]))
    feed(settle, receipt(DELIVERED, [0, 1]))
    settle.due(T0)
    settle.due(T0 + 1_000)
    assert settle.shelved == 1
    after_all(settle)
    assert (settle.counts.known, settle.counts.unknown, settle.open_count) == (known, 0, 0)


def test_a_request_stays_while_deliver_owes_it_a_word() -> None:
    """Deliver was down over the window: its late word is told all the same."""
    settle = settle_of()
    feed(settle, opened(people(1)))
    assert after_all(settle) == ([], [])
    assert settle.open_count == 1
    feed(settle, refused([0], Reason.EXPIRED))
    assert words(only(settle.due(LONG_AFTER_MS))) == [("refused", "expired")]
    later = LONG_AFTER_MS + 10 * SETTLE_MS
    assert settle.due(later).statuses == settle.due(later + SETTLE_MS).statuses == []
    assert settle.open_count == 0


def test_a_backlog_is_read_before_a_request_is_given_up() -> None:
    """The clock has passed the window, the receipts have not been read that far: nothing is unknown yet."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), accepted([0]))
    now = LONG_AFTER_MS
    for step in range(20):
        feed(settle, receipt(SENT, [0]), at_ms=T0 + step)
        settle.due(now + 20_000 * step)
    feed(settle, receipt(DELIVERED, [0]), at_ms=T0 + 30)
    assert ranks_in(settle.due(now + 400_000).charges) == {0}
    assert settle.counts.unknown == 0


@pytest.mark.parametrize("log", ["outcomes", "receipts"])
def test_silence_ends_nothing_while_records_lie_unread(log: str) -> None:
    """A backlog that does not come, for its broker is away: what the other log said waits, however long."""
    settle = settle_of()
    if log == "outcomes":
        feed(settle, receipt(DELIVERED, [0]))
    else:
        feed(settle, opened(people(1)), sent([0]), accepted([0]))
    for now_ms in range(T0, LONG_AFTER_MS, 60_000):
        settle.behind(log)
        settle.due(now_ms)
    if log == "outcomes":
        feed(settle, opened(people(1)), sent([0]), accepted([0]))
    else:
        feed(settle, receipt(DELIVERED, [0]))
    assert ranks_in(settle.due(LONG_AFTER_MS).charges) == {0}
    assert (settle.counts.unknown, settle.quarantine.dropped) == (0, 0)


@pytest.mark.parametrize(
    ("unfinished_ms", "begins_ms"),
    [
        pytest.param([], 900, id="all is finished: a life and its window before now"),
        pytest.param([700, 400], 300, id="before the oldest record that is not"),
        pytest.param([1_050], 900, id="a broker's clock ahead of ours gains nothing"),
    ],
)
def test_a_fold_begins_a_life_before_what_is_not_finished(unfinished_ms: list[int], begins_ms: int) -> None:
    """Receipts that lay unread over a long outage are about messages older still, which must be known again."""
    assert fold_from(1_000, unfinished_ms, 100) == begins_ms


def test_a_claim_shows_how_far_the_journal_was_read() -> None:
    """What ended before a record was read is said before that record is finished; so a claim counts like any other."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), accepted([0]))
    settle.due(T0)
    late_ms = EXPIRES_MS + 2 * SETTLE_MS
    settle.receipts(Header(Kind.RECEIPT, Lane.UPDATE, 0, 0, late_ms), Receipts(()))
    settle.behind("outcomes")
    assert settle.due(late_ms).statuses == []
    settle.passed(Header(Kind.CLAIM, Lane.UPDATE, 0, 2, late_ms))
    ((_, status),) = settle.due(late_ms).statuses
    assert status.counts == {"unknown": 1}


def test_a_word_held_back_is_said_before_the_request_is_given_up() -> None:
    """After an outage the logs are read in less time than lies between two words about a list."""
    settle = settle_of()
    feed(settle, opened(None), members(1), sent([0]), accepted([0]))
    assert only(settle.due(LONG_AFTER_MS)).counts == {"accepted": 1}
    feed(settle, receipt(DELIVERED, [0]), receipt(READ, [0]))
    settle.due(LONG_AFTER_MS + 1)
    feed(settle, receipt(FAILED, [0]))
    settle.passed(Header(Kind.CLAIM, Lane.UPDATE, 3, 2, LONG_AFTER_MS))
    settle.receipts(Header(Kind.RECEIPT, Lane.UPDATE, 3, 0, LONG_AFTER_MS), Receipts(()))
    assert only(settle.due(LONG_AFTER_MS + 2)).counts == {"read": 1}
    assert settle.open_count == 0


# -- the shelf


def test_a_closed_code_takes_little_room_and_is_found_again() -> None:
    """Put away after a calm minute, it still says what became of it, hears a late receipt, and is not charged again."""
    settle = settle_of()
    feed(settle, opened(people(3)), sent([0, 1], market=1), sent([2]), receipt(DELIVERED, range(3)))
    settle.due(T0)
    assert settle.shelved == 0
    before = only(settle_again(settle, T0 + 59_000))
    settle.due(T0 + 61_000)
    assert settle.shelved == 0
    settle.due(T0 + 200_000)
    assert (settle.shelved, settle.open_count) == (1, 1)
    one = settle.terminal_of(REQUEST, 2)
    assert one is not None
    assert (one.state, settle.shelved) == ("read", 1)
    feed(settle, receipt(READ, [0], at_ms=T0 + 200_001))
    after = settle.due(T0 + 200_002)
    assert (after.charges, settle.shelved) == ([], 0)
    assert [one.state for one in only(after).recipients] == ["read", "delivered", "read"]
    assert only(after).seq > before.seq
    settle.due(T0 + 400_000)
    assert settle.shelved == 1
    assert after_all(settle) == ([], [])
    assert (settle.shelved, settle.open_count) == (0, 0)


def settle_again(settle: Settle, now_ms: int) -> SettleEffects:
    """Something happens to rank 2."""
    feed(settle, receipt(READ, [2], at_ms=now_ms))
    return settle.due(now_ms)


def test_one_that_will_not_be_calm_keeps_no_other_from_the_shelf() -> None:
    """Receipts repeated for one request for ever: the others are put away all the same."""
    settle = settle_of()
    names = [n.to_bytes(16) for n in range(4)]
    for name in names:
        feed(settle, opened(people(1), name), sent([0], request=name), receipt(READ, [0], request=name))
    for second in range(0, 200, 20):
        feed(settle, receipt(READ, [0], request=names[0]))
        settle.due(T0 + 1_000 * second)
    assert (settle.shelved, settle.open_count) == (3, 4)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.binary(min_size=16, max_size=16))), st.sets(st.integers(0, 7_000)))
def test_names_come_due_after_their_deadline_and_soon(added: list[tuple[int, bytes]], asked: set[int]) -> None:
    """Never before it, at most a bucket's width after it, each as often as it was added."""
    ends, open_ = Ends(width_ms=100), Counter(added)
    for deadline_ms, name in added:
        ends.add(deadline_ms, name)
    for before_ms in sorted(asked):
        taken = Counter(ends.take(before_ms))
        must = Counter(name for deadline_ms, name in open_.elements() if deadline_ms <= before_ms - 100)
        may = Counter(name for deadline_ms, name in open_.elements() if deadline_ms < before_ms)
        assert must <= taken <= may
        for key in [key for key in sorted(open_) if key[1] in taken and key[0] < before_ms]:
            gone = min(open_[key], taken[key[1]])
            open_[key] -= gone
            taken[key[1]] -= gone
        open_ = +open_


# -- rebuilding


def test_a_rebuild_repeats_no_charge_and_goes_on_where_it_was() -> None:
    """What was acted on before is marked, not repeated; new evidence leads to new effects only."""
    told = (opened(people(9)), sent(range(9)), accepted(range(9)), receipt(DELIVERED, range(4)))
    first, again = settle_of(), settle_of()
    for settle in (first, again):
        feed(settle, *told)
    before = first.due(T0)
    assert ranks_in(before.charges) == set(range(4))
    assert again.due(T0, effects=False) == ([], [])
    feed(again, receipt(READ, range(2, 6)))
    assert ranks_in(again.due(T0 + 10).charges) == {4, 5}


@pytest.mark.parametrize("delivered", [0, 39, 40])
def test_a_restart_never_lowers_the_number_of_a_status(delivered: int) -> None:
    """A status that may have been held back is told again after a restart, under the same number."""
    told = (opened(None), members(40), sent(range(40)), accepted(range(40)), receipt(DELIVERED, range(delivered)))
    first, again = settle_of(), settle_of()
    for settle in (first, again):
        feed(settle, *told)
    before = only(first.due(T0))
    again.due(T0, effects=False)
    repeated = only(again.due(T0 + 5_000))
    assert (repeated.seq, repeated.counts) == (before.seq, before.counts)


def test_a_small_request_is_not_told_again_after_a_restart() -> None:
    """Its words went out before its inputs were finished."""
    settle = settle_of()
    feed(settle, opened(people(1)), sent([0]), accepted([0]))
    settle.due(T0, effects=False)
    assert settle.due(T0 + 5_000) == ([], [])


def test_an_ending_that_fell_into_an_outage_is_told_after_it() -> None:
    """A rebuild drops what ended with a final word, and leaves the unknown to be told."""
    settle = settle_of()
    done, open_ = b"finished-request", b"undecided-reques"
    for name in (done, open_):
        feed(settle, opened(people(1), name), sent([0], request=name))
    feed(settle, receipt(READ, [0], request=done))
    feed(settle, msgspec.structs.replace(accepted([0]), request=open_))
    feed(settle, opened(people(1)), refused([0], Reason.STOPPED), receipt(SENT, [0]), at_ms=LONG_AFTER_MS)
    settle.due(LONG_AFTER_MS, effects=False)
    assert settle.open_count == 1
    final = after_all(settle)
    assert [status.request for _, status in final.statuses] == [text_of(open_)]


def test_a_rebuild_puts_away_what_was_closed_as_time_went() -> None:
    """So a window of messages is never held as objects; what comes about one of them later is joined to it all the same."""
    settle, names = settle_of(), [f"request-{number:08}".encode() for number in range(20)]
    for number, request in enumerate(names):
        now_ms = T0 + 10_000 * number
        feed(settle, opened(people(1), request), sent([0], request=request), at_ms=now_ms)
        feed(settle, receipt(DELIVERED, [0], request=request), at_ms=now_ms)
        settle.due(now_ms, effects=False)
        assert settle.open_count - settle.shelved <= 7
    feed(settle, receipt(READ, [0], request=names[0]))
    status = settle.terminal_of(names[0], 0)
    assert status is not None
    assert (settle.open_count, status.state) == (20, "read")


def test_a_rebuild_that_asks_often_tells_an_ending_once() -> None:
    """Whoever had no final word when the window ended has one by the end of the fold, or is told after it."""
    settle, late, lost = settle_of(), b"delivered-by-now", b"never-delivered1"
    for name in (late, lost):
        feed(settle, opened(people(1), name), sent([0], request=name))
        feed(settle, msgspec.structs.replace(accepted([0]), request=name))
    for at_ms in range(LONG_AFTER_MS, LONG_AFTER_MS + 5_000, 1_000):
        feed(settle, opened(people(1)), refused([0], Reason.STOPPED), receipt(SENT, [0]), at_ms=at_ms)
        settle.due(at_ms, effects=False)
    feed(settle, receipt(DELIVERED, [0], request=late), at_ms=LONG_AFTER_MS + 5_000)
    for at_ms in (LONG_AFTER_MS + 5_000, LONG_AFTER_MS + 100_000):
        settle.due(at_ms, effects=False)
    assert settle.shelved == 1
    final = after_all(settle)
    assert [(status.request, words(status)) for _, status in final.statuses] == [(text_of(lost), [("unknown", "")])]
    assert settle.open_count == 0


def test_a_restatement_stands_for_all_that_was_said() -> None:
    """A reader that begins after it knows who was handed off, in which state, to which market."""
    statuses = bytes([State.ACCEPTED, State.WAITING, Reason.STOPPED, State.SENDING])
    entry = OpenItem(opened(people(4)), None, runs_of(statuses), runs_of(b"\1\1\0\1"), i64s([T0]), u16s([1, 49, 0, 33]))
    settle = settle_of()
    feed(settle, Restated((entry,)), receipt(DELIVERED, range(4)))
    effects = settle.due(T0)
    assert {(c.market, *BitMap.deserialize(c.ranks)) for c in effects.charges} == {(1, 0), (49, 1), (33, 3)}
    assert words(only(effects)) == [("delivered", ""), ("delivered", ""), ("refused", "stopped"), ("delivered", "")]


def test_a_request_that_is_over_does_not_come_back_by_a_restatement() -> None:
    """It was opened before the fold begins, so receipts may be missing: what is known of it now is less than was said."""
    entry = OpenItem(opened(people(1)), None, runs_of(bytes([State.ACCEPTED])), runs_of(b"\1"), b"", u16s([1]))
    for since_ms, known in ((T0, 1), (T0 + 1, 0)):
        settle = Settle(SettlePolicy(3, SETTLE_MS), CARDS, since_ms)
        feed(settle, Restated((entry,)))
        assert settle.open_count == known


# -- any order, any number of times


COUNTS = (1, 3, 40, 90)
MARKETS = (1, 33, 49)
PRICE = {1: 10, 33: 20, 49: 30}
Record = Opened | Members | Decided | Answered | ReceiptRun


def market_of(rank: int) -> int:
    """A person's market never changes."""
    return MARKETS[rank % 3]


@st.composite
def ranks_below(draw: st.DrawFn, count: int) -> list[int]:
    """Some ranks: a run, or a handful, or many fragments."""
    first = draw(st.integers(0, count - 1))
    step = draw(st.sampled_from((1, 1, 2, 7)))
    return list(range(first, draw(st.integers(first + 1, count)), step))


@st.composite
def decisions(draw: st.DrawFn, request: bytes, count: int) -> Decided:
    """Any statuses for some ranks, each with the market of its person."""
    ranks = draw(ranks_below(count))
    menu = draw(st.sampled_from(((State.SENDING,), (State.WAITING, State.SENDING), (State.SENDING, Reason.STOPPED))))
    seed = draw(st.integers(0, 7))
    statuses = [menu[(rank * 5 + seed) % 3 % len(menu)] for rank in ranks]
    markets = [market_of(rank) for rank, status in zip(ranks, statuses, strict=True) if status == State.SENDING]
    alike = len(set(markets)) <= 1
    return Decided(
        request,
        intervals_of(ranks),
        runs_of(bytes(statuses)),
        runs_of(bytes(status == State.SENDING for status in statuses)),
        b"" if alike else u16s(markets),
        markets[0] if markets and alike else 0,
    )


@st.composite
def answers(draw: st.DrawFn, request: bytes, count: int) -> Answered:
    """All accepted but some."""
    ranks = draw(ranks_below(count))
    odd = draw(st.lists(st.sampled_from(ranks), unique=True, max_size=3))
    statuses = draw(st.lists(st.sampled_from((State.WAITING, State.IN_DOUBT, Reason.UNREACHABLE)), min_size=3))
    return Answered(
        request,
        intervals_of(ranks),
        T0,
        u32s(sorted(odd)),
        bytes(statuses[: len(odd)]),
        u32s(0 for _ in odd),
        i64s(0 for _ in odd),
    )


@st.composite
def receipts_about(draw: st.DrawFn, request: bytes, count: int) -> ReceiptRun:
    """Any status for some ranks, in time or too late, some beyond the members."""
    ranks = draw(ranks_below(count + 2))
    received_ms = draw(st.sampled_from((T0, DEADLINE_MS, DEADLINE_MS + 1)))
    return receipt(draw(st.sampled_from(ReceiptStatus)), ranks, received_ms=received_ms, request=request)


@st.composite
def stories(draw: st.DrawFn) -> list[Record]:
    """The records of a few requests, explicit and listed, and receipts of one that nobody decided."""
    records: list[Record] = []
    for number in range(draw(st.integers(1, 3))):
        request, count = number.to_bytes(16), draw(st.sampled_from(COUNTS))
        listed = draw(st.booleans())
        test = draw(st.sampled_from((False, False, True)))
        records.append(opened(None if listed else people(count), request, terms(test=test)))
        if listed:
            records.append(members(count, request))
        heard = receipts_about(request, count)
        about = (decisions(request, count), answers(request, count), heard, heard, heard)
        records += draw(st.lists(st.one_of(*about), max_size=8))
    records += draw(st.lists(receipts_about(b"never-decided-it", 5), max_size=2))
    return records


class Expected:
    """What one rank must come to, said by plain rules over everything that was said about it."""

    def __init__(self) -> None:
        self.statuses = [0]
        self.heard: set[ReceiptStatus] = set()

    @property
    def handed(self) -> bool:
        """Whether it was ever to be sent."""
        return State.SENDING in self.statuses

    @property
    def delivered(self) -> bool:
        """Whether it counts as delivered."""
        return self.handed and bool(self.heard & {DELIVERED, READ})

    def word(self) -> str | None:
        """The final word; None while deliver owes one."""
        last = max(self.statuses)
        if self.delivered:
            return "read" if READ in self.heard else "delivered"
        if self.handed and FAILED in self.heard:
            return "failed"
        if last > State.IN_DOUBT:
            return Reason(last).word
        return "unknown" if last in {State.ACCEPTED, State.IN_DOUBT} else None


def expectation(records: Sequence[Record]) -> dict[bytes, list[Expected]]:
    """Every rank of every opened request."""
    sizes = {one.item.request: len(one.item.rows) for one in records if isinstance(one, Opened) and one.item.rows}
    sizes |= {one.request: one.count for one in records if isinstance(one, Members)}
    all_of = {request: [Expected() for _ in range(count)] for request, count in sizes.items()}
    for one in records:
        match one:
            case Decided():
                for rank, status in zip(ranks_of(one.ranks), values_of(one.statuses), strict=True):
                    all_of[one.request][rank].statuses.append(status)
            case Answered():
                odd = dict(zip(of_u32s(one.except_ranks), one.except_statuses, strict=True))
                for rank in ranks_of(one.ranks):
                    all_of[one.request][rank].statuses.append(odd.get(rank, State.ACCEPTED))
            case ReceiptRun() if one.received_ms <= DEADLINE_MS:
                for rank in ranks_of(one.ranks):
                    if rank < sizes.get(one.request, 0):
                        all_of[one.request][rank].heard.add(ReceiptStatus(one.status))
            case _:
                pass
    return all_of


class Books:
    """What the world made of all effects: charged ranks, and the newest status of each request."""

    def __init__(self) -> None:
        self.prices: dict[tuple[bytes, int], set[int]] = defaultdict(set)
        self.newest: dict[str, Status] = {}

    def take(self, effects: SettleEffects) -> None:
        """Unite charges, keep higher numbers."""
        for charge in effects.charges:
            for rank in BitMap.deserialize(charge.ranks):
                self.prices[charge.request, rank].add(charge.unit_micro)
        for _, status in effects.statuses:
            held = self.newest.get(status.request)
            if held is None or status.seq > held.seq:
                self.newest[status.request] = status
            elif status.seq == held.seq:
                assert (status.counts, status.state) == (held.counts, held.state)


def run(records: Sequence[Record], pauses: Iterable[int], *, calm_ms: int = 60_000) -> tuple[Books, Settle]:
    """Feed all, asking for effects at some points, and let the windows end."""
    books, settle = Books(), settle_of(calm_ms=calm_ms)
    asked = set(pauses)
    for at, record in enumerate(records):
        feed(settle, record)
        if at in asked:
            books.take(settle.due(T0 + at))
    books.take(settle.due(T0 + 10_000))
    books.take(after_all(settle))
    return books, settle


@settings(max_examples=300, deadline=None)
@given(st.data(), stories())
def test_order_and_repetition_change_nothing(data: st.DataObject, records: list[Record]) -> None:
    """Any order of the records, any of them repeated, effects asked for at any points: the same bill and final words.

    The bill holds what was sent and delivered, once, at one price; the words are those of plain rules.
    """
    repeats = data.draw(st.lists(st.sampled_from(records), max_size=5))
    shuffled = data.draw(st.permutations(records + repeats))
    pauses = data.draw(st.sets(st.integers(0, len(shuffled))))
    books, settle = run(shuffled, pauses, calm_ms=data.draw(st.sampled_from((1, 60_000))))
    tests = {one.item.request for one in records if isinstance(one, Opened) and one.item.terms.test}
    for request, ranks in expectation(records).items():
        charged = {rank: prices for (name, rank), prices in books.prices.items() if name == request}
        wanted = {} if request in tests else {n: {PRICE[market_of(n)]} for n, one in enumerate(ranks) if one.delivered}
        assert charged == wanted
        final = [one.word() for one in ranks]
        if None not in final:
            assert books.newest[text_of(request)].counts == Counter(final)
            assert books.newest[text_of(request)].state == "closed"
    assert {request for request, _ in books.prices} <= set(expectation(records))
    owed = sum(any(one.word() is None for one in ranks) for ranks in expectation(records).values())
    assert settle.open_count == owed


@given(st.data(), stories())
def test_a_restart_at_any_point_loses_and_doubles_nothing(data: st.DataObject, records: list[Record]) -> None:
    """Rebuilt from any finished prefix and fed the rest, settle's effects unite with those before to the same books."""
    cut = data.draw(st.integers(0, len(records)))
    whole, _ = run(records, ())
    books, first, second = Books(), settle_of(), settle_of()
    feed(first, *records[:cut])
    books.take(first.due(T0))
    feed(second, *records[:cut])
    assert second.due(T0, effects=False) == ([], [])
    feed(second, *records[cut:])
    books.take(second.due(T0 + 10_000))
    books.take(after_all(second))
    assert books.prices == whole.prices
    assert {name: (one.seq, one.counts) for name, one in books.newest.items()} == {
        name: (one.seq, one.counts) for name, one in whole.newest.items()
    }


def test_what_expires_in_quarantine_takes_nothing_younger_with_it() -> None:
    """An old word about a request that is not known yet goes; a receipt that came since waits on."""
    quarantine: Quarantine[str] = Quarantine(10)
    quarantine.keep(b"r", 1_000, "old")
    quarantine.keep(b"r", 9_000, "young")
    quarantine.expire(5_000)
    assert (quarantine.held, quarantine.dropped) == (1, 1)
    assert quarantine.release(b"r") == [(9_000, "young")]
