"""The source `singles`: one message each at a flat rate, and what is said while Kafka is silent."""

from itertools import islice

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.lanes import Lane
from schemas.request import Notification
from streams.commands.playing import Silence
from streams.dev.sources.parcels import singles
from streams.dev.sources.timed import Run, Timed

RUN = Run("r1", 1_760_000_000_000, seed=1)


def addresses(stream: list[Timed]) -> list[str]:
    """Returns to whom each goes, one each."""
    told = [msgspec.convert(each.event["data"], Notification).to.recipients for each in stream]
    assert all(len(recipients) == 1 for recipients in told)
    return [recipients[0].address for recipients in told]


@given(st.integers(1, 2_000), st.integers(1, 40), st.integers(1, 90))
def test_flat_rate_each_in_turn(rate: int, people: int, count: int) -> None:
    """The n-th is due n / rate seconds after the start; whoever was told is told again only after all others."""
    stream = list(islice(singles(RUN, rate_per_s=rate, people=people), count))
    assert [each.at_ms - RUN.start_ms for each in stream] == [round(n * 1_000 / rate) for n in range(count)]
    told = addresses(stream)
    assert len(set(told)) == min(people, count)
    assert told == [told[n % people] for n in range(count)]
    assert len({each.event["id"] for each in stream}) == count
    assert {each.lane for each in stream} == {Lane.UPDATE}


def test_ends_after_its_seconds() -> None:
    """With `seconds` there are rate times so many, and then no more."""
    assert len(list(singles(RUN, rate_per_s=50, people=7, seconds=2))) == 100
    assert len(list(singles(RUN, rate_per_s=0.4, people=7, seconds=5))) == 2


def test_people_of_a_seed() -> None:
    """The seed decides who is told."""
    one, other = (list(islice(singles(Run("r1", 0, seed), rate_per_s=9, people=20), 20)) for seed in (1, 2))
    assert not set(addresses(one)) & set(addresses(other))


def test_silence_is_said_while_something_waits() -> None:
    """A Kafka that acknowledges nothing for five seconds is said to be silent, unless nothing waits for it."""
    silence = Silence(0)
    assert silence.after(0, 3, 4_999) == ""
    assert "nothing for 5 s" in silence.after(0, 3, 5_000)
    assert silence.after(1, 3, 6_000) == ""
    assert silence.after(1, 0, 60_000) == ""
    assert silence.after(1, 3, 64_999) == ""
    assert "nothing for 7 s" in silence.after(1, 3, 67_000)
