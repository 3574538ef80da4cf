"""What every gateway must do, over each that there is: the port's promises to deliver and to the webhook."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.deliver.policy import CODES, Handling
from schemas.gateway_api import Code, Frame, FrameAnswer, Refused
from schemas.lanes import Lane
from schemas.reasons import MESSAGE_REASONS, Reason
from streams.gateway import kinds
from streams.gateway.port import Throttled, UnbelievedError, Unknown, UnreadableError
from streams.runtime import clock
from streams.runtime.settings import SettingsError, load
from tests.support.gateways import TRIALS, Trial
from tests.support.simulated import frame, fresh
from tests.support.simulated import living as section

TIMEOUT_MS = 5_000
SHARD = 3


async def send(trial: Trial, sent: Frame) -> FrameAnswer:
    """Hand a frame over."""
    return await trial.gateway.send(sent, timeout_ms=TIMEOUT_MS)


async def handling_of(trial: Trial, sent: Frame) -> Handling | Reason:
    """Hand a frame over that ends alike for all its messages; returns how."""
    try:
        answer = await send(trial, sent)
    except Throttled:
        return Handling.PACED
    except Unknown as unknown:
        return Handling.ILL if unknown.surely_not_taken else Handling.UNANSWERED
    [handling] = {trial.gateway.codes[one.code] for refusals in answer.sections for one in refusals}
    assert [len(refusals) for refusals in answer.sections] == [len(each.recipients) // 16 for each in sent.sections]
    return handling


@pytest.fixture(params=TRIALS)
async def trial(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Trial]:
    """Each gateway in turn."""
    async with TRIALS[request.param](tmp_path) as gateway:
        yield gateway


async def test_a_frame_is_taken_whole_and_answered_section_by_section(trial: Trial) -> None:
    """Nothing is an exception; the time of the answer is near ours."""
    answer = await send(trial, fresh(section(range(3)), section(range(5, 9), "q")))
    assert answer.sections == ((), ())
    assert abs(answer.at_ms - clock.now_ms()) < TIMEOUT_MS
    assert sorted(trial.shown().values()) == [1] * 7


async def test_a_repeat_is_shown_again_unless_the_gateway_says_that_it_dedupes(trial: Trial) -> None:
    """The same names under another attempt and other ranks: ``dedupes`` is what the engine goes by."""
    first = section(range(20))
    await send(trial, fresh(first))
    again = section(range(20), ranks=range(100, 120), attempt=2)
    assert (await send(trial, fresh(again))).sections == ((),)
    assert set(trial.shown().values()) == {1 if trial.gateway.dedupes else 2}


async def test_a_refusal_stands_at_its_place(trial: Trial) -> None:
    """Who was refused has seen nothing, and may be sent the same again."""
    await trial.refuse(trial.no_such_number, 2)
    sent = fresh(section(range(3)), section(range(3), "q"))
    answer = await send(trial, sent)
    assert answer.sections == ((Refused(0, trial.no_such_number), Refused(1, trial.no_such_number)), ())
    assert len(trial.shown()) == 4
    assert (await send(trial, sent)).sections == ((), ())
    assert len(trial.shown()) == 6


async def test_its_codes_say_what_becomes_of_a_message(trial: Trial) -> None:
    """Its own, and those that any client may answer with; each is a handling or a reason that may end a message."""
    codes = trial.gateway.codes
    assert (codes[trial.no_such_number], codes[trial.busy]) == (Reason.UNREACHABLE, Handling.PACED)
    own = {Code.ACCEPTED: Handling.ACCEPTED, Code.STALE_FRAME: Handling.STALE, Code.NO_ANSWER: Handling.UNANSWERED}
    assert own.items() <= codes.items()
    assert {end for end in codes.values() if not isinstance(end, Handling)} <= set(MESSAGE_REASONS)


async def test_a_single_message_may_be_left_without_an_answer(trial: Trial) -> None:
    """The others of its frame have theirs."""
    await trial.refuse(Code.NO_ANSWER, 1)
    answer = await send(trial, fresh(section(range(4))))
    assert answer.sections == ((Refused(0, Code.NO_ANSWER),),)


async def test_no_answer_is_an_unknown_outcome(trial: Trial) -> None:
    """It was taken, and nobody may believe that it surely was not: neither of the frame nor of a message of it."""
    await trial.be_silent()
    sent = fresh(section(range(3)))
    assert await handling_of(trial, sent) is Handling.UNANSWERED
    assert len(trial.shown()) == 3
    assert (await send(trial, sent)).sections == ((),)
    assert set(trial.shown().values()) == {1 if trial.gateway.dedupes else 2}


async def test_where_nobody_listens_nothing_was_taken(trial: Trial) -> None:
    """And the outcome says that it is sure."""
    await trial.leave()
    with pytest.raises(Unknown) as unknown:
        await send(trial, fresh(section(range(3))))
    assert unknown.value.surely_not_taken
    assert not trial.shown()


async def test_what_is_throttled_is_not_taken(trial: Trial) -> None:
    """As a frame, or message by message; then it may come again."""
    await trial.throttle(2_500)
    sent = fresh(section(range(3)))
    assert await handling_of(trial, sent) is Handling.PACED
    assert not trial.shown()
    assert (await send(trial, sent)).sections == ((),)


async def test_what_comes_past_its_end_is_not_taken(trial: Trial) -> None:
    """A STOP may have been read since: the rows are asked about again."""
    late = frame(section(range(2)), not_after_ms=clock.now_ms() - 1_000)
    assert (await send(trial, late)).sections == ((Refused(0, Code.STALE_FRAME), Refused(1, Code.STALE_FRAME)),)
    assert not trial.shown()


async def test_an_owner_that_has_said_hello_may_send_and_go(trial: Trial) -> None:
    """A dropped shard is served again when it comes back."""
    for epoch in (1, 2):
        await trial.gateway.hello(Lane.CAMPAIGN, SHARD, epoch, timeout_ms=TIMEOUT_MS)
        assert (await send(trial, fresh(section(range(2), str(epoch)), epoch=epoch))).sections == ((),)
        await trial.gateway.drop(SHARD)
    await trial.gateway.close()


async def test_what_it_posts_is_mapped_to_reports(trial: Trial) -> None:
    """Each message is reported under the reference and rank that it was sent with; a post that comes again says the same."""
    sent = fresh(section(range(3)), section(range(2), "q"))
    await send(trial, sent)
    told: Counter[tuple[str, int]] = Counter()
    for headers, body in await trial.posts("delivered", 5):
        assert trial.mapping.check_of(headers, clock.now_ms())(body)
        assert trial.mapping.reports(body) == trial.mapping.reports(body)
        for run in trial.mapping.reports(body).runs:
            assert abs(run.at_ms - clock.now_ms()) < TIMEOUT_MS
            if run.status == "delivered":
                told.update((run.ref, rank) for first, count in run.ranks for rank in range(first, first + count))
    first, second = sent.sections
    assert told == Counter([(first.ref, 0), (first.ref, 1), (first.ref, 2), (second.ref, 0), (second.ref, 1)])


async def test_a_post_of_a_stranger_is_not_believed(trial: Trial) -> None:
    """A body that was not signed, a head without a signature; and what is no report is told apart from both."""
    await send(trial, fresh(section(range(1))))
    [(headers, body), *_] = await trial.posts("delivered", 1)
    now_ms = clock.now_ms()
    assert not trial.mapping.check_of(headers, now_ms)(body + b" ")
    with pytest.raises(UnbelievedError):
        trial.mapping.check_of({}, now_ms)
    for other in (b"", b"[]", b"\xff", b'{"id":7}'):
        with pytest.raises(UnreadableError):
            trial.mapping.reports(other)
    assert trial.mapping.path.startswith("/")
    assert trial.mapping.signing.endswith(".")


@pytest.mark.parametrize("lane", Lane)
def test_an_address_that_no_gateway_has_is_refused_by_its_setting(lane: Lane) -> None:
    """The sentence says which ones there are."""
    settings = load(**{f"gateway_{lane.word}": "smpp://127.0.0.1:2775"})
    for make in (lambda: kinds.gateway_of(settings, lane), lambda: kinds.mappings_of(settings)):
        with pytest.raises(SettingsError, match=f"FANFARE_GATEWAY_{lane.name}: no gateway is reached by smpp://"):
            make()
    assert len(kinds.mappings_of(load())) == 1


def test_the_contracts_table_knows_each_of_its_codes() -> None:
    """A code without a row would end the message as an unknown one does."""
    assert set(CODES) == set(Code)
