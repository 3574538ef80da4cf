"""Faults of the simulated gateway: spans that end by themselves, a clock that is wrong, and what each kind strikes."""

import pytest

from streams.simulator.faults import Fault, FaultKind, Faults, parse

NOW_MS = 1_000_000_000


class Machine:
    """The machine's clock, moved by hand."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        """Returns its time, milliseconds since the epoch."""
        return self.ms


def test_a_span_begins_when_the_fault_is_put_in_force_and_ends_by_itself() -> None:
    """Ill for half a minute from the command on; well after it, with nothing left in the list."""
    machine = Machine()
    faults = Faults(1, "otp", machine)
    faults.add(parse(b'[{"kind": "message", "code": 131016, "for_ms": 30000}]'))
    machine.ms += 29_999
    assert faults.of_messages("otp", 3, [0, 1, 2]) == {0: 131016, 1: 131016, 2: 131016}
    machine.ms += 1
    assert faults.of_messages("otp", 3, [0, 1, 2]) == {}
    assert faults.listed == []


def test_the_span_of_a_file_begins_at_the_start() -> None:
    """What is given at start counts from there; a fault without a span stands until it is cleared."""
    machine = Machine()
    faults = Faults(1, "otp", machine, [Fault(FaultKind.ERROR, for_ms=10), Fault(FaultKind.THROTTLE)])
    machine.ms += 10
    assert [fault.kind for fault in faults.listed] == [FaultKind.THROTTLE]
    machine.ms += 10**9
    assert faults.of_frame("otp", 0) is not None
    faults.clear()
    assert faults.of_frame("otp", 0) is None


@pytest.mark.parametrize(
    ("why", "faults", "skew_ms"),
    [
        ("no fault", [], 0),
        ("ahead", [Fault(FaultKind.SKEW, ms=1_500)], 1_500),
        ("behind", [Fault(FaultKind.SKEW, ms=-1_500)], -1_500),
        ("of this lane", [Fault(FaultKind.SKEW, ms=700, lane="otp")], 700),
        ("of another lane", [Fault(FaultKind.SKEW, ms=700, lane="update")], 0),
        ("two add up", [Fault(FaultKind.SKEW, ms=700), Fault(FaultKind.SKEW, ms=-200)], 500),
        ("over", [Fault(FaultKind.SKEW, ms=700, for_ms=5)], 0),
        ("another kind", [Fault(FaultKind.LATENCY, ms=700)], 0),
    ],
)
def test_a_clock_that_is_wrong(why: str, faults: list[Fault], skew_ms: int) -> None:
    """A skew moves the listener's clock for as long as it stands, and strikes neither frames nor messages."""
    machine = Machine()
    held = Faults(1, "otp", machine, faults)
    machine.ms += 5
    assert held.skew_ms == skew_ms, why
    skews = [fault for fault in faults if fault.kind is FaultKind.SKEW]
    if skews and skews == faults:
        assert held.of_frame("otp", 0) is None
        assert held.of_messages("otp", 0, [0]) == {}
        assert [fault.struck for fault in skews] == [0] * len(skews)
