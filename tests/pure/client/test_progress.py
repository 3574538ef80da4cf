"""Merging statuses: whatever the order and however often, the same end; and never a step back."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.status import RecipientStatus, Status
from streams.client.progress import Progress


def plan(state: str = "accepted", *, request: str = "r", shards: int = 0, **fields: object) -> Status:
    """Plan's word."""
    return Status(request, "//shop/x", "1", state, 7, 1, shards=shards, **fields)  # type: ignore[arg-type]


def word(shard: int, seq: int, state: str = "running", *, request: str = "r", **counts: int) -> Status:
    """A shard's word."""
    people = (RecipientStatus(f"p{shard}", 0, next(iter(counts), ""), seq),)
    return Status(request, "//shop/x", "1", state, seq, seq, shard=shard, counts=counts, recipients=people)


WORDS = [
    plan(shards=2),
    word(3, 1, sending=1),
    word(3, 2, accepted=1),
    word(3, 5, "closed", delivered=1),
    word(5, 1, sending=1),
    word(5, 4, "closed", read=1),
]


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(WORDS), max_size=6))
def test_order_and_repetition_do_not_matter(dice: random.Random, repeats: list[Status]) -> None:
    """Whatever way the words come, the last merged status is the closed one with the sums, said exactly once."""
    words = [*WORDS, *repeats]
    dice.shuffle(words)
    progress = Progress()
    merged = [status for each in words if (status := progress.apply(each)) is not None]
    closed = [status for status in merged if status.state == "closed"]
    assert merged[-1:] == closed
    assert closed[0].counts == {"delivered": 1, "read": 1}
    assert [person.recipient for person in closed[0].recipients] == ["p3", "p5"]
    assert [status.seq for status in merged] == sorted({status.seq for status in merged})


def test_a_lower_word_of_a_shard_is_dropped() -> None:
    """A crash makes a shard say again what it said before; nobody hears it twice."""
    progress = Progress()
    assert progress.apply(word(3, 2, accepted=1)) is not None
    assert progress.apply(word(3, 2, accepted=1)) is None
    assert progress.apply(word(3, 1, sending=1)) is None


def test_nothing_is_closed_before_plan_has_said_of_how_many_shards() -> None:
    """A shard that closes early does not close the request."""
    progress = Progress()
    first = progress.apply(word(3, 5, "closed", delivered=1))
    assert first is not None
    assert first.state == "running"
    last = progress.apply(plan(shards=1))
    assert last is not None
    assert last.state == "closed"


@pytest.mark.parametrize("finished", [False, True], ids=["while it runs", "after it closed"])
def test_word_about_a_repeated_event_passes_and_ends_nothing(finished: bool) -> None:  # noqa: FBT001 - a row
    """Duplicate and conflict are about the second event, not the request."""
    progress = Progress()
    progress.apply(plan(shards=1))
    if finished:
        progress.apply(word(3, 5, "closed", delivered=1))
    for again in (plan(reason="duplicate"), plan("refused", reason="conflict")):
        assert progress.apply(again) == again
    later = progress.apply(word(3, 6, "closed", delivered=1))
    assert (later is None) == finished


def test_a_refused_event_may_be_published_again_under_its_id() -> None:
    """A refusal by form is not remembered by plan, so not here either: the corrected event is followed."""
    progress = Progress()
    refused = plan("refused", reason="unknown_field")
    assert progress.apply(refused) == refused
    accepted = progress.apply(plan(shards=1))
    assert accepted is not None
    assert accepted.state == "accepted"


def test_requests_do_not_mix() -> None:
    """Each has its own sums."""
    progress = Progress()
    progress.apply(word(3, 1, request="a", sending=5))
    other = progress.apply(word(4, 1, request="b", sending=2))
    assert other is not None
    assert other.counts == {"sending": 2}
