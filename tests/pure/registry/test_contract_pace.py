"""What is said of an event before it is published is what plan says when it accepts it."""

from broker.plan.outputs import Answer
from broker.validation.dry_run import pace_of
from schemas.facts import ListSize
from schemas.lanes import HOUR_MS, Lane
from schemas.wire.timestamps import text_of
from tests.support.plan_bench import NOW_MS, Bench, event, given


def test_a_list_is_told_of_as_at_acceptance() -> None:
    """The same sentence, with people, rate and time, from the same sizes."""
    bench = Bench()
    bench.sizes.apply(ListSize("airline", "l", 0, count=300, upto=1))
    whole = event(data={"sender": "slow", "to": {"list": "l"}}, expirytime=text_of(NOW_MS + HOUR_MS))
    bench.run(given(whole))
    answer = bench.direct[-1]
    assert isinstance(answer, Answer)
    said = pace_of(Lane.UPDATE, whole, registry=bench.registry, now_ms=NOW_MS, sizes=bench.sizes)
    assert said == answer.status.detail
    assert said.startswith("300 people at 1 a second: through at about ")


def test_without_sizes_it_says_how_many_can_be_told() -> None:
    """Of a list that nobody is known to be on."""
    whole = event(data={"sender": "slow", "to": {"list": "l"}}, expirytime=text_of(NOW_MS + HOUR_MS))
    said = pace_of(Lane.UPDATE, whole, registry=Bench().registry, now_ms=NOW_MS)
    assert said == "It goes out at 1 a second: 3,600 people can be told before it expires."


def test_what_goes_out_at_once_or_would_be_refused_has_no_pace() -> None:
    """Few recipients; a template that is not there; no event at all."""
    registry = Bench().registry
    assert pace_of(Lane.UPDATE, event(), registry=registry, now_ms=NOW_MS) == ""
    assert pace_of(Lane.UPDATE, event(data={"template": "no"}), registry=registry, now_ms=NOW_MS) == ""
    assert pace_of(Lane.UPDATE, {"source": "nobody"}, registry=registry, now_ms=NOW_MS) == ""
