"""Why was it late: what a message waited for, who owned its shard, and whether its producer or plan was slow."""

import pytest

from broker.audit.sources import Logged
from broker.deliver.decide import Facts
from broker.explain.timeline import Telling
from schemas.delivery_journal import Outcome
from schemas.facts import ControlAction
from schemas.gateway_api import FrameAnswer
from schemas.lanes import Lane
from schemas.plan_journal import Claim, Origin, Planned, PlannedBatch, WorkItem
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.support.shard_bench import NOW_MS, Bench, explicit

SMALL = explicit(2, [9], id="ready", source="//bakery/shop", expires_ms=NOW_MS + 1_800_000)


class Bakery(Bench):
    """A shard of four, whose number is registered with ten a second."""

    def __init__(self, shard: int = 0) -> None:
        super().__init__(shard=shard, shards=4)

    def facts(self) -> Facts:
        """As the tails have them, with the registered rate."""
        return super().facts()._replace(rate_of=lambda _sender, _fallback: 10)


def bread(**fields: object) -> WorkItem:
    """Thirty people at ten a second, of which one shard has all."""
    item = explicit(1, range(100, 130), id="bread", source="//bakery/crm", **fields)
    return WorkItem(item.request, item.terms, item.rows, per_s=10)


def planned(item: WorkItem) -> Logged:
    """Plan's verdict about an item."""
    entry = Planned(item.request, Origin(3, 2), b"12345678", 0, NOW_MS, NOW_MS, terms=item.terms, rows=item.rows)
    header = Header(Kind.PLANNED, Lane.UPDATE, 0, 1, NOW_MS)
    return Logged("plans.update", 0, 5, NOW_MS, None, pack(header, PlannedBatch((entry,))))


def telling_of(item: WorkItem, bench: Bench) -> Telling:
    """The story of an item whose shard has the journal of ``bench``."""
    telling = Telling(Lane.UPDATE, item.request, item.terms.business)
    telling.plan(planned(item))
    for offset, record in enumerate(bench.log):
        telling.outcome(Logged("outcomes.update", 0, offset, NOW_MS, None, record))
    return telling


def told(item: WorkItem, bench: Bench) -> list[str]:
    """The lines of that story that are deliver's."""
    return [line.text for line in telling_of(item, bench).end().lines if line.stage == "deliver"]


def go_on(bench: Bench, span_ms: int) -> None:
    """Time passes, a beat of 50 ms at a time; the gateway's clock goes with it."""
    bench.answering = lambda batch: FrameAnswer(bench.now, tuple(() for _ in batch.parts))
    for _ in range(span_ms // 50):
        bench.run()
        bench.now += 50


def busy_number(**fields: object) -> Bench:
    """A shard of four whose number sends to thirty people already when a small message comes."""
    bench = Bakery()
    bench.take(bread(**fields))
    go_on(bench, 1_000)
    bench.take(SMALL)
    go_on(bench, 1_000)
    return bench


def test_a_message_that_waits_for_a_slot_says_so_between_taken_over_and_sending() -> None:
    """With its number, how long, and which request the number is used up by; at what rate that was accepted."""
    bench = busy_number()
    taken, waited, sending = told(SMALL, bench)
    assert taken.startswith("taken over")
    assert sending.startswith("rank 0 of shard 0: sending, attempt 1")
    start, _, beside = waited.partition("; ")
    assert start.startswith("in shard 0 it waited 0.")
    assert start.endswith(" s for slots of its number airline/main")
    assert beside == "open on it, too: bread of //bakery/crm (30 recipients here, 10 a second at its acceptance)"


def test_who_expires_sooner_is_said_to_go_first() -> None:
    """So a message is passed by, slot after slot, until the other is through; the end of the log finds it waiting."""
    bench = busy_number(expires_ms=NOW_MS + 60_000)
    taken, waits = told(SMALL, bench)
    assert taken.startswith("taken over")
    assert waits.startswith("in shard 0 it waits for slots of its number airline/main; open on it, too: bread of ")
    assert waits.endswith(" (30 recipients here, 10 a second at its acceptance, expires sooner and goes first)")


def test_who_is_through_before_is_not_named() -> None:
    """A message that comes when the number is free waits for nothing."""
    bench = Bakery()
    bench.take(bread())
    go_on(bench, 15_000)
    bench.take(SMALL)
    go_on(bench, 1_000)
    assert not any("slots" in text for text in told(SMALL, bench))


def test_a_request_that_is_paced_by_itself_says_at_which_rate() -> None:
    """Its first people waited until the shard's first slot came."""
    bench = Bakery(shard=3)
    bench.take(bread())
    go_on(bench, 1_000)
    (waited,) = [text for text in told(bread(), bench) if "slots" in text]
    assert waited.endswith(" s for slots of its number airline/main, 10 a second at its acceptance")


def test_time_in_a_pause_is_not_told_as_waiting_for_slots() -> None:
    """A second of pause and a little waiting after it: only the waiting is the number's."""
    bench = Bakery()
    bench.take(bread())
    go_on(bench, 1_000)
    bench.take(SMALL)
    bench.append()
    bench.say(ControlAction.PAUSE, 2)
    go_on(bench, 1_000)
    bench.say(ControlAction.RESUME, 2)
    go_on(bench, 1_000)
    found = told(SMALL, bench)
    assert any("is held in shard" in text for text in found)
    (waited,) = [text for text in found if "slots" in text]
    assert waited.startswith(
        "in shard 0 it waited 0.4 s for slots of its number airline/main; open on it, too: bread of "
    )


def test_the_pair_limit_is_named_where_it_makes_a_message_wait() -> None:
    """With the number and the lane's figures: 6 a minute, 25 at once."""
    bench = Bench()
    for request in range(1, 27):
        bench.take(explicit(request, [9]))
        bench.run()
    (waiting,) = [text for text in told(explicit(26, [9]), bench) if "waiting" in text]
    assert waiting.endswith(": pair limit, number airline/main to this recipient 6 a minute after a burst of 25")


def claim(epoch: int, after_ms: int) -> bytes:
    """The record by which an owner takes a journal over."""
    return pack(Header(Kind.CLAIM, Lane.UPDATE, 0, epoch, NOW_MS + after_ms), Claim(f"owner-{epoch}"))


def test_a_change_of_owner_is_told_while_the_request_is_open() -> None:
    """Not before it was accepted, and not once everybody is through."""
    bench = Bench()
    bench.take(SMALL)
    bench.run()
    opened, *later = bench.log
    bench.log[:] = [claim(1, -9), opened, claim(2, 5), *(owned_by(record, 2) for record in later), claim(3, 9)]
    changes = [text for text in told(SMALL, bench) if "owner" in text]
    assert changes == ["shard 0 changed its owner (epoch 1 to 2)"]


def owned_by(record: bytes, epoch: int) -> bytes:
    """The same record of a later owner."""
    header = head_of(record)
    return pack(Header(header.kind, header.lane, header.shard, epoch, header.at_ms), body_of(record, Outcome))


def test_a_change_of_plans_owner_is_told_if_it_came_between_event_and_verdict() -> None:
    """A worker that was away makes plan late."""
    telling = Telling(Lane.UPDATE, SMALL.request, "airline")
    for epoch, at_ms in ((1, NOW_MS - 9), (2, NOW_MS - 5), (3, NOW_MS + 2)):
        claim = pack(Header(Kind.CLAIM, Lane.UPDATE, 0, epoch, at_ms), Claim(f"owner-{epoch}"))
        telling.plan(Logged("plans.update", 0, epoch, at_ms, None, claim))
    header = Header(Kind.PLANNED, Lane.UPDATE, 0, 3, NOW_MS + 5)
    entry = Planned(SMALL.request, Origin(3, 2), b"12345678", 0, NOW_MS + 5, NOW_MS, terms=SMALL.terms)
    telling.plan(Logged("plans.update", 0, 9, NOW_MS + 5, None, pack(header, PlannedBatch((entry,)))))
    changes = [line.text for line in telling.end().lines if "owner" in line.text]
    assert changes == ["shard 0 changed its owner (epoch 2 to 3)"]


@pytest.mark.parametrize(
    ("event_ms", "published_ms", "said"),
    [
        (-35_100, -35_000, "published 0.100 s after its event time; plan decided 35.000 s after that"),
        (-35_100, -100, "published 35.000 s after its event time; plan decided 0.100 s after that"),
        (500, -100, "published 0.600 s before its event time; plan decided 0.100 s after that"),
    ],
)
def test_a_late_producer_is_told_from_a_late_plan(event_ms: int, published_ms: int, said: str) -> None:
    """By when Kafka took the input."""
    item = explicit(2, [9], time_ms=NOW_MS + event_ms)
    telling = Telling(Lane.UPDATE, item.request, "airline")
    telling.plan(planned(item))
    telling.published(Logged("requests.update", 3, 2, NOW_MS + published_ms, None, b"{}"))
    (line,) = [line for line in telling.end().lines if line.stage == "input"]
    assert (line.text, line.place, line.at_ms) == (said, "requests.update/3@2", NOW_MS + published_ms)
