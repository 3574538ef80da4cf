"""What an operator sees of hand-offs: how old they were, and what they had waited for."""

import msgspec
import pytest

from broker.deliver.frame import Batch, Part
from broker.deliver.item import Item
from schemas.delivery_journal import Opened
from schemas.facts import ControlAction
from schemas.gateway_api import Code, FrameAnswer, Refused
from schemas.lanes import Lane
from schemas.plan_journal import Origin, WorkItem
from streams.runtime import metrics
from streams.worker import record_metrics
from tests.support.shard_bench import NOW_MS, Bench, all_accepted, explicit, listed, name

MESSAGES = 3


def ages() -> dict[str, int]:
    """How many ages of updates were observed so far, by what the messages had waited for."""
    return {word: sum(metrics.HANDOFF_AGE.of("update", word).counts) for word in metrics.WAITED.values}


def handed_off(work: WorkItem, *, attempt: int = 1, refused: tuple[Refused, ...] = ()) -> dict[str, int]:
    """Hand off three messages of ``work``, which was taken at NOW_MS; the ages observed, by what was waited for."""
    state, before = Bench().state, ages()
    state.items[work.request] = Item(Opened(work, Origin(0, 0), NOW_MS), NOW_MS)
    batch = Batch([Part(work.request, list(range(MESSAGES)), attempt, -1)])
    record_metrics.handed_off(Lane.UPDATE, state, batch, FrameAnswer(NOW_MS, (refused,)), 0.01)
    return {word: count - before[word] for word, count in ages().items() if count != before[word]}


@pytest.mark.parametrize(
    ("why", "work", "attempt", "waited"),
    [
        ("it went out in its turn", explicit(1, [1, 2, 3]), 1, "nothing"),
        ("its list goes out at the sender's rate", msgspec.structs.replace(listed(1, "L"), per_s=5), 1, "pace"),
        ("its list goes out at once, for limits are off", listed(1, "L"), 1, "nothing"),
        (
            "it was to begin later than it was taken: the sender owed for others",
            msgspec.structs.replace(explicit(1, [1, 2, 3]), start_ms=NOW_MS + 1),
            1,
            "pace",
        ),
        ("it began when it was taken", msgspec.structs.replace(explicit(1, [1, 2, 3]), start_ms=NOW_MS), 1, "nothing"),
        ("the gateway had not taken it at first", explicit(1, [1, 2, 3]), 2, "retry"),
    ],
)
def test_an_age_says_what_the_message_waited_for(why: str, work: WorkItem, attempt: int, waited: str) -> None:
    """So that an alert on late messages is not one on a slow sender or a busy gateway."""
    assert handed_off(work, attempt=attempt) == {waited: MESSAGES}, why


def waited_for(bench: Bench, request: int) -> set[str]:
    """Let the bench run for a minute; what messages of ``request`` had waited for when they were handed off."""
    found: set[str] = set()
    for _ in range(600):
        while bench.append():
            pass
        while (batch := bench.send()) is not None:
            before = ages()
            answer = FrameAnswer(bench.now, tuple(() for _ in batch.parts))
            record_metrics.handed_off(Lane.UPDATE, bench.state, batch, answer, 0.01)
            if name(request) in {part.request for part in batch.parts}:
                found |= {word for word, count in ages().items() if count != before[word]}
            bench.engine.answered(batch, answer, bench.now)
        bench.now += 100
    return found


def test_who_waits_for_the_pair_limit_waited_for_the_sender() -> None:
    """The 26th message of one sender to one person waits ten seconds, and that raises no alert; the first 25 did not wait."""
    bench = Bench()
    bench.take(*(explicit(request, [9]) for request in range(1, 26)))
    assert waited_for(bench, 25) == {"nothing"}
    bench = Bench()
    bench.take(*(explicit(request, [9]) for request in range(1, 26)))
    bench.append()
    bench.take(explicit(26, [9]))
    assert waited_for(bench, 26) == {"pace"}


def test_a_small_message_beside_a_list_waited_for_the_sender() -> None:
    """It waits for slots of its number as long as the list is open; without the list it waits for nothing."""
    for listed_too, word in ((False, "nothing"), (True, "pace")):
        bench = Bench()
        if listed_too:
            people = explicit(1, range(100, 130))
            bench.take(msgspec.structs.replace(people, per_s=10))
            bench.append()
        bench.take(explicit(2, [9]))
        assert waited_for(bench, 2) == {word}


def test_a_new_owner_still_knows_who_waits_for_the_pair_limit() -> None:
    """From the journal; so a restart makes no late message of it."""
    bench = Bench()
    bench.take(*(explicit(request, [9]) for request in range(1, 27)))
    while bench.append():
        pass
    bench.restart()
    assert waited_for(bench, 26) == {"pace"}


def test_what_was_paused_waited_for_the_word() -> None:
    """A pause of an hour is no sign of a slow deployment, either."""
    bench = Bench()
    bench.say(ControlAction.PAUSE, 1)
    bench.take(explicit(1, [9]))
    while bench.append():
        pass
    bench.now += 60_000
    bench.say(ControlAction.RESUME, 1)
    assert waited_for(bench, 1) == {"pace"}


def test_what_the_gateway_refused_has_no_age() -> None:
    """Only what it took was handed off."""
    refused = (Refused(1, Code.SENDER_THROTTLED, 500),)
    assert handed_off(explicit(1, [1, 2, 3]), refused=refused) == {"nothing": MESSAGES - 1}


def test_heartbeats_are_counted_apart() -> None:
    """A heartbeat is opened, decided and answered under its own label, whether its request is known before or new."""
    bench, before = Bench(), messages()
    bench.take(explicit(1, [1]), explicit(2, [2], business="fanfare-0", test=True))
    for _ in range(2):
        append = bench.engine.step(bench.now, bench.facts())
        assert append is not None
        heartbeats = record_metrics.heartbeats_in(append, bench.state)
        assert heartbeats == {name(2)}
        bench.fold(append)
        record_metrics.appended(Lane.UPDATE, append, heartbeats)
        batch = bench.send()
        if batch is not None:
            bench.engine.answered(batch, all_accepted(batch), bench.now)
    assert {word: count - before[word] for word, count in messages().items()} == {"no": 1, "yes": 1}


def messages() -> dict[str, int]:
    """How many updates the gateway accepted so far, by whether they are heartbeats."""
    return {word: int(metrics.MESSAGES.of("update", "accepted", word).value) for word in metrics.HEARTBEAT.values}
