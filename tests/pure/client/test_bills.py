"""Reading a bill: each posting once, past what is none, from a place that was written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire.cloudevents import encode_charge
from streams.client.following import BillPosition, BillReading
from streams.kafka.scan import Record
from tests.support.bills import billed


def record(offset: int, serial: int) -> Record:
    """A record of a billing topic; serial 0 stands for one that is no event."""
    value = encode_charge(billed("shop", serial)) if serial else b"noise"
    return Record("billing.shop", 0, offset, 0, None, value, ())


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 12), st.integers(0, 5))
def test_each_posting_is_read_once_whatever_stands_between(noise: list[bool], cut: int, doubled: int) -> None:
    """Noise is passed over, repeats of a serial too, and a second reader goes on where the first one stood."""
    serials = [0 if each else 1 for each in noise]
    written, newest = [], 0
    for each in serials:
        newest += each
        written.append(newest if each else 0)
    log = [record(offset, serial) for offset, serial in enumerate([*written, *written[:doubled]])]
    first = BillReading()
    read = [first.apply(each) for each in log[:cut]]
    assert first.position is None or first.position.next == min(cut, len(log))
    second = BillReading(None if first.position is None else BillPosition.of(str(first.position)))
    read += [second.apply(each) for each in log[len(read) :]]
    assert [each.serial for each in read if each is not None] == list(range(1, newest + 1))


@pytest.mark.parametrize("text", ["", "12", "12/", "/3", "12..40", "a/b", "-1/3"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    """With a sentence that shows one."""
    with pytest.raises(ValueError, match="looks like 40/39"):
        BillPosition.of(text)
