"""The numbers of whoever controls a request: every message counts once, and all add up."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import MESSAGE_REASONS, State
from streams.client.progress import Numbers, numbers_of

WORDS = [state.name.lower() for state in State] + [reason.word for reason in MESSAGE_REASONS]
COUNTS = st.dictionaries(st.sampled_from([*WORDS, "sent", "delivered", "read", "held"]), st.integers(0, 1_000))


@given(COUNTS)
def test_every_message_is_counted_once(counts: dict[str, int]) -> None:
    """Whatever words a status has, also those of a later release."""
    people, *parts = msgspec.structs.astuple(numbers_of(counts))
    assert sum(parts) == people == sum(counts.values())


def test_people_of_whom_nothing_was_said_are_under_way() -> None:
    """Plan has accepted them, and no shard has spoken yet."""
    assert numbers_of({}, 1) == Numbers(people=1, under_way=1)
    assert numbers_of({"delivered": 2, "waiting": 1}, 5) == Numbers(people=5, handed_off=2, under_way=3)
    assert numbers_of({"delivered": 2}, 1) == Numbers(people=2, handed_off=2)


def test_what_the_gateway_took_is_handed_off() -> None:
    """Whatever became of it then; what may be out is in doubt, and what was refused was not handed off."""
    told = {
        "accepted": 1,
        "sent": 2,
        "delivered": 4,
        "read": 8,
        "failed": 16,
        "unknown": 32,
        "in_doubt": 64,
        "held": 128,
    }
    waiting = {"pending": 256, "sending": 512, "waiting": 1024}
    ended = {"cancelled": 2048, "expired": 4096, "stopped": 8192, "unreachable": 16384}
    numbers = numbers_of(told | waiting | ended)
    assert (numbers.handed_off, numbers.in_doubt, numbers.held) == (63, 64, 128)
    assert (numbers.under_way, numbers.cancelled, numbers.ended) == (1792, 2048, 28672)
    assert not numbers.quiet
    assert numbers_of(told | ended).quiet
