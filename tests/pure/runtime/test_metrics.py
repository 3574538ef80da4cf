"""The catalogue of metrics: names that say their unit, closed labels, weights that count."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.runtime import metrics
from streams.runtime.prometheus import Counter, Family, Gauge, Histogram, Kind, Label

STREAMS = Path(metrics.__file__).parents[1]
LANE = Label("lane", ("otp", "update"))
BOUNDS = (0.01, 0.1, 1.0)


def exposed(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scrape sees: (name, labels) to value."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("family", metrics.catalogue(), ids=lambda family: family.name)
def test_names_follow_the_conventions(family: Counter | Gauge | Histogram) -> None:
    """Prefix, lower case, ``_total`` on counters and nowhere else, a meaning that is a sentence, few values a label."""
    assert re.fullmatch(r"fanfare_[a-z][a-z_]*", family.name)
    assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
    assert family.meaning.endswith(".")
    assert not {label.name for label in family.labels} & {"business", "sender", "recipient", "request", "id", "le"}
    for label in family.labels:
        assert 0 < len(set(label.values)) == len(label.values) <= metrics.MAX_SHARDS


def test_the_catalogue_has_each_name_once() -> None:
    """Two metrics of one name would be added up by nobody."""
    names = [family.name for family in metrics.catalogue()]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="fanfare_stage_in"):
        Counter(metrics.REGISTRY, "fanfare_stage_in_total", "Again.")


def test_a_label_outside_its_set_is_refused_and_leaves_no_trace() -> None:
    """Cardinality is bounded by construction; a foreign word goes through ``known`` first."""
    registry = CollectorRegistry()
    counter = Counter(registry, "fanfare_x_total", "X.", LANE)
    with pytest.raises(ValueError, match="fanfare_x_total: lane has no value '\\+4915112345678'"):
        counter.of("+4915112345678")
    with pytest.raises(ValueError):
        counter.of()
    assert exposed(registry) == {}
    assert Label("code", ("0", "other")).known("99") == "other"


def test_counters_and_gauges_are_exposed_as_they_are() -> None:
    """Children are kept; gauges that follow are read at the scrape; a dropped child is no longer shown."""
    registry = CollectorRegistry()
    counter = Counter(registry, "fanfare_x_total", "X.", LANE)
    gauge = Gauge(registry, "fanfare_y_seconds", "Y.", LANE)
    counter.of("otp").inc()
    counter.of("otp").inc(2)
    ages = [1.5, 2.5]
    gauge.of("otp").follow(ages.pop)
    gauge.of("update").set(7)
    gauge.drop("update")
    assert exposed(registry) == {
        ("fanfare_x_total", (("lane", "otp"),)): 3,
        ("fanfare_y_seconds", (("lane", "otp"),)): 2.5,
    }
    assert counter.of("otp") is counter.of("otp")


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5_000)), max_size=30))
def test_a_weight_counts_as_so_many_observations(seen: list[tuple[float, int]]) -> None:
    """A frame of a thousand messages moves the quantiles as a thousand messages would."""
    registry = CollectorRegistry()
    histogram = Histogram(registry, "fanfare_z_seconds", "Z.", bounds=BOUNDS)
    child = histogram.of()
    for value, weight in seen:
        child.observe(value, weight)
    found = exposed(registry)
    for bound in BOUNDS:
        wanted = sum(weight for value, weight in seen if value <= bound)
        assert found["fanfare_z_seconds_bucket", (("le", str(bound)),)] == wanted
    total = sum(weight for _, weight in seen)
    assert found["fanfare_z_seconds_bucket", (("le", "+Inf"),)] == found["fanfare_z_seconds_count", ()] == total
    assert found["fanfare_z_seconds_sum", ()] == pytest.approx(sum(value * weight for value, weight in seen))


def used_names() -> set[str]:
    """Names of the catalogue that the program takes from it somewhere."""
    found = set()
    for file in STREAMS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics":
                found.add(node.attr)
            if isinstance(node, ast.ImportFrom) and node.module == metrics.__name__:
                found |= {alias.name for alias in node.names}
    return found


def test_nothing_in_the_catalogue_is_a_promise_only() -> None:
    """Each metric is set by some part of the program: a dashboard would wait for the others for ever."""
    families = {name for name, value in vars(metrics).items() if isinstance(value, Family)}
    unset = families - used_names()
    assert not unset
