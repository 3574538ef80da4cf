"""Pause, resume and cancel in one shard: what is held, what goes on, what ends, and what the journal says of it."""

import pytest

from broker.deliver.frame import Batch
from broker.deliver.state import Append
from schemas.delivery_journal import Outcome
from schemas.facts import ControlAction
from schemas.gateway_api import Code
from schemas.reasons import Reason, State
from schemas.wire.columns import of_u32s, ranks_of, values_of
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, change, explicit, listed, name, refusing

PAUSE, RESUME, CANCEL = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.CANCEL


def statuses(bench: Bench, request: int = 1) -> dict[int, int]:
    """The last status that the journal gives each rank of a request."""
    found: dict[int, int] = {}
    for body in outcomes(bench):
        for decided in body.decided:
            if decided.request == name(request):
                found |= dict(zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True))
        for answered in body.answered:
            if answered.request == name(request):
                found |= dict.fromkeys(ranks_of(answered.ranks), int(State.ACCEPTED))
                found |= dict(zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True))
    return found


def outcomes(bench: Bench) -> list[Outcome]:
    """The records of the journal that decide or answer."""
    return [body_of(record, Outcome) for record in bench.log if head_of(record).kind is Kind.OUTCOME]


def held(bench: Bench) -> list[bool]:
    """What the journal said of pauses, in order."""
    return [section.held for body in outcomes(bench) for section in body.held]


def campaign(people: int = 6, chunk: int = 4_096) -> Bench:
    """A shard in whose list there are so many people."""
    bench = Bench(chunk=chunk)
    bench.audience.apply(change("news", range(100, 100 + people)), 0)
    return bench


def test_a_pause_that_is_older_than_the_request_holds_it_from_the_start() -> None:
    """Nothing is decided; the journal says held once; a resume lets it go."""
    bench = Bench()
    bench.say(PAUSE, 1)
    bench.take(explicit(1, [1, 2]))
    bench.run()
    assert (bench.sent, statuses(bench), held(bench)) == ([], {}, [True])
    bench.say(RESUME, 1, NOW_MS + 1)
    bench.run()
    assert bench.sent == [(1, 0), (1, 1)]
    assert held(bench) == [True, False]


def test_a_paused_list_is_frozen_and_waits() -> None:
    """So that it is known how many are held."""
    bench = campaign()
    bench.say(PAUSE, 1)
    bench.take(listed(1, "news"))
    bench.run()
    assert bench.sent == []
    assert [one.count for body in outcomes(bench) for one in body.members] == [6]


def test_what_was_decided_and_surely_not_sent_waits_again() -> None:
    """The pause comes between the decision and the frame: the rows are withheld, and go under another attempt."""
    bench = Bench()
    bench.take(explicit(1, [1, 2]))
    assert bench.append()
    bench.say(PAUSE, 1)
    bench.run()
    assert (bench.sent, statuses(bench)) == ([], {0: State.WAITING, 1: State.WAITING})
    bench.now += 60_000
    bench.run()
    assert bench.sent == []
    bench.say(RESUME, 1)
    bench.run()
    assert statuses(bench) == {0: State.ACCEPTED, 1: State.ACCEPTED}


def lost(bench: Bench) -> Batch:
    """A frame leaves and no answer comes."""
    batch = bench.send()
    assert batch is not None
    bench.engine.unknown(batch, bench.now)
    return batch


def test_what_may_be_out_is_not_asked_about_while_it_is_held() -> None:
    """The gateway might take it for the first time. After the resume the same names go again; others are not held up."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    assert bench.append()
    lost(bench)
    bench.say(PAUSE, 1)
    bench.take(explicit(2, [2]))
    bench.now += 60_000
    bench.run()
    assert bench.sent == [(1, 0), (2, 0)]
    bench.say(RESUME, 1)
    bench.run()
    assert bench.sent == [(1, 0), (2, 0), (1, 0)]
    assert statuses(bench) == {0: State.ACCEPTED}


@pytest.mark.parametrize("ends", ["cancelled", "expired"])
def test_what_may_be_out_ends_in_doubt(ends: str) -> None:
    """By a cancel, or by its expiry while it is held."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    assert bench.append()
    lost(bench)
    bench.say(PAUSE, 1)
    bench.run()
    if ends == "cancelled":
        bench.now += 60_000
        bench.say(CANCEL, 1)
    else:
        bench.now += HOUR_MS
    bench.run()
    assert statuses(bench) == {0: State.IN_DOUBT}
    assert not bench.state.items


def test_a_cancel_ends_what_was_not_handed_off() -> None:
    """What was accepted stays so; what waits for its retry, and what was never decided, is cancelled at once."""
    bench = campaign(chunk=2)
    bench.answering = refusing((1, Code.PAIR_THROTTLED, 60_000))
    bench.take(listed(1, "news"))
    for _ in range(8):
        bench.append()
        if statuses(bench) and (batch := bench.send()) is not None:
            bench.engine.answered(batch, bench.answering(batch), bench.now)
            bench.append()
            break
    before = statuses(bench)
    assert State.ACCEPTED in before.values()
    assert State.WAITING in before.values()
    bench.say(CANCEL, 1)
    bench.run()
    accepted = {rank for rank, status in before.items() if status == State.ACCEPTED}
    assert statuses(bench) == {rank: State.ACCEPTED if rank in accepted else Reason.CANCELLED for rank in range(6)}
    assert not bench.state.items


def test_a_cancel_reaches_what_has_not_begun() -> None:
    """A start that plan has set for later, and a list whose members are not known."""
    bench = campaign()
    late = explicit(1, [1])
    bench.take(type(late)(late.request, late.terms, late.rows, "", NOW_MS + HOUR_MS // 2), listed(2, "news"))
    bench.say(CANCEL, 1)
    bench.say(CANCEL, 2)
    bench.run()
    assert statuses(bench, 1) == {0: Reason.CANCELLED}
    assert set(statuses(bench, 2).values()) == {Reason.CANCELLED}
    assert bench.sent == []


def test_held_items_expire() -> None:
    """A pause does not lengthen a life."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    bench.say(PAUSE, 1)
    bench.run()
    bench.now += HOUR_MS
    bench.run()
    assert statuses(bench) == {0: Reason.EXPIRED}


def test_a_pause_survives_the_owner() -> None:
    """The words are the truth: a new owner holds the same, and says nothing twice; a resume meanwhile is said."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    bench.say(PAUSE, 1)
    bench.run()
    bench.restart()
    bench.run()
    assert (bench.sent, held(bench)) == ([], [True])
    bench.say(RESUME, 1, NOW_MS + 1)
    bench.restart()
    bench.run()
    assert (bench.sent, held(bench)) == ([(1, 0)], [True, False])


def test_a_pause_survives_the_fold_round() -> None:
    """Restated, the item still says that it is held, so that the resume is said to settle."""
    bench = Bench()
    bench.take(explicit(1, [1], expires_ms=NOW_MS + 90 * HOUR_MS))
    bench.say(PAUSE, 1)
    bench.run()
    bench.now += bench.policy.windows.fold_ms // 4
    restated = bench.engine.step(bench.now, bench.facts())
    assert isinstance(restated, Append)
    assert restated.kind is Kind.OUTCOME_RESTATED
    bench.log.clear()
    bench.fold(restated)
    bench.restart()
    bench.say(RESUME, 1, bench.now + 1)
    bench.run()
    assert (bench.sent, held(bench)) == ([(1, 0)], [False])


def test_a_pause_that_is_lifted_before_anybody_has_said_it_leaves_nothing_behind() -> None:
    """The frame has set apart what may be out, and the word is taken back before the next append."""
    bench = Bench()
    bench.take(explicit(1, [1]))
    assert bench.append()
    lost(bench)
    bench.now += 60_000
    bench.say(PAUSE, 1)
    assert bench.send() is None
    bench.say(RESUME, 1, bench.now + 1)
    bench.run()
    assert (bench.sent, held(bench)) == ([(1, 0), (1, 0)], [])
    assert statuses(bench) == {0: State.ACCEPTED}


def test_what_is_paused_takes_no_room_from_others() -> None:
    """A shard that is full of held items takes more, up to a limit."""
    bench = Bench(max_open=2)
    for number in (1, 2, 3, 4):
        bench.say(PAUSE, number)
    for number in (1, 2):
        bench.take(explicit(number, [number]))
    taken = bench.engine.full
    bench.run()
    assert (taken, bench.engine.full) == (True, False)
    bench.take(explicit(5, [5]))
    bench.run()
    assert bench.sent == [(5, 0)]


def test_nothing_is_decided_before_the_journal_says_that_it_goes_on() -> None:
    """Between held and resumed nothing of the request is to be sent, in the order of the journal."""
    bench = Bench()
    bench.say(PAUSE, 1)
    bench.take(explicit(1, [1]))
    bench.run()
    bench.say(RESUME, 1, NOW_MS + 1)
    bench.run()
    said = [(bool(body.held), bool(body.decided)) for body in outcomes(bench)]
    assert said[-3:] == [(True, False), (False, True), (False, False)]


def test_a_word_that_stops_something_is_told_once_and_when_nothing_is_in_the_air() -> None:
    """By its offset, once for each request; words that were there before this owner are no news."""
    bench = Bench()
    bench.take(explicit(1, [1, 2]))
    assert bench.append()
    batch = bench.send()
    assert batch is not None
    bench.say(PAUSE, 1)
    bench.append()
    assert bench.engine.bound() == []
    bench.engine.throttled(batch, 1_000, bench.now)
    bench.append()
    assert (bench.engine.bound(), bench.engine.bound()) == ([0], [])
    bench.restart()
    bench.append()
    assert bench.engine.bound() == []


def test_without_a_word_nothing_is_asked_of_the_journal() -> None:
    """Nothing is said of requests that nobody ever paused."""
    bench = Bench()
    bench.say(PAUSE, 9)
    bench.take(explicit(1, [1]))
    bench.run()
    assert (bench.sent, held(bench)) == ([(1, 0)], [])
