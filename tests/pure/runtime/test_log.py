"""Log lines: JSON, names from a closed list, and nothing in them that a person wrote or a phone would show."""

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from streams.runtime import log
from streams.runtime.events import WARNINGS, Event
from streams.runtime.exits import Exit
from tests.support.log_lines import Lines, logged

STREAMS = Path(log.__file__).parents[1]
SEALED = "dev1." + "Ab9_-" * 15
CANARIES = ("4915112345678", "112345678", SEALED[-20:], "meet me at noon", "493817")


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Logging as a program configures it; gives the lines written so far."""
    with logged(program="test", lane="otp") as written:
        yield written


def fail() -> NoReturn:
    """An error whose text is content."""
    raise ValueError("meet me at noon")


def test_a_line_is_one_json_object_with_time_context_event_and_level(lines: Lines) -> None:
    """Every line has the same head, whoever writes it."""
    log.log(Event.ASSIGNED, component="kernel", shards={2, 1})
    log.get("journal").warning("journal_gap", offset=7)
    first, second = lines()
    assert (first["event"], first["level"], sorted(first["shards"])) == ("assigned", "info", [1, 2])
    assert (second["event"], second["level"], second["offset"]) == ("journal_gap", "warning", 7)
    assert all((line["program"], line["lane"]) == ("test", "otp") and line["at_ms"] > 0 for line in (first, second))


def test_the_level_of_an_event_follows_from_the_event(lines: Lines) -> None:
    """What somebody should look at is a warning, always."""
    for event in Event:
        log.log(event)
    assert {line["event"] for line in lines() if line["level"] == "warning"} == WARNINGS


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("to tel:+4915112345678", id="an address"),
        pytest.param("+49 151 12345678", id="a number as people write it"),
        pytest.param(f"code {SEALED} came", id="a sealed value"),
        pytest.param(b"meet me at noon", id="bytes"),
        pytest.param(ValueError("meet me at noon"), id="an exception"),
        pytest.param({"deep": ["tel:+4915112345678", {"sealed": SEALED}]}, id="nested"),
        pytest.param(("x", b"meet me at noon", frozenset({"tel:+4915112345678"})), id="in a tuple"),
    ],
)
def test_what_slips_into_a_field_is_taken_out(lines: Lines, value: object) -> None:
    """Below the callers' discipline there is a net; the canaries do not get through it."""
    log.log(Event.RECORD_REFUSED, detail=value)
    (line,) = lines()
    assert not [canary for canary in CANARIES if canary in json.dumps(line)]


def test_ids_reasons_and_places_pass_through(lines: Lines) -> None:
    """The net does not take what operators need: names, topics, offsets, reasons, paths."""
    fields = {
        "request": "bu5bhqgotvsgbby3ca7ekgl27q",
        "topic": "requests.otp",
        "offset": 1_795_571_633_844,
        "file": Path("/a/b"),
    }
    log.log(Event.RECORD_REFUSED, reason="not_sealed", **fields)
    (line,) = lines()
    assert {name: line[name] for name in fields} == fields | {"file": "/a/b"}
    assert line["reason"] == "not_sealed"


def test_topics_and_groups_are_named_as_in_kafka() -> None:
    """On a Kafka that several deployments share, the name of a line is the one that Kafka's own tools know."""
    with logged(kafka_prefix="suite.") as lines:
        log.get("journal").info("journal_open", topic="plans.otp", shard=1)
        log.log(Event.BILLING_WITHOUT_TOPIC, topics=["billing.shop", "billing.bank"])
        log.get("fatal").critical("exit_commit_refused", group="fanfare-otp", slot="0")
    one, several, group = lines()
    assert (one["topic"], one["shard"]) == ("suite.plans.otp", 1)
    assert several["topics"] == ["suite.billing.shop", "suite.billing.bank"]
    assert (group["group"], group["slot"]) == ("suite.fanfare-otp", "0")


def configured() -> Iterator[tuple[str, set[str]]]:
    """(place, names of what is told) of each command that sets up its log; the demo logs nothing of its own."""
    for file in (STREAMS / "commands").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr="configure"), keywords=told):
                    if file.stem != "demo":
                        yield file.stem, {str(each.arg) for each in told}
                case _:
                    pass


def test_every_process_tells_its_log_the_prefix() -> None:
    """Otherwise its lines would name topics that Kafka does not have."""
    found = list(configured())
    assert len(found) >= 5
    assert [place for place, told in found if "kafka_prefix" not in told] == []


def test_a_library_says_its_template_and_class_alone(lines: Lines) -> None:
    """Arguments and texts of a library's lines can hold content: they are left behind."""
    try:
        fail()
    except ValueError:
        logging.getLogger("aiokafka.consumer").exception("Bad record %s of %s", "493817", "+4915112345678")
    (line,) = lines()
    assert (line["event"], line["template"], line["error"]) == ("library", "Bad record %s of %s", "ValueError")
    assert not [canary for canary in CANARIES if canary in json.dumps(line)]


def test_a_timer_that_is_late_is_named(lines: Lines) -> None:
    """Its line is about this process alone, and says nothing without its arguments."""
    logging.getLogger("mode.timers").warning("Timer %s is overlapping (interval=%r runtime=%r)", "Livelock", 1.0, 2.5)
    (line,) = lines()
    assert line["template"] == "Timer Livelock is overlapping (interval=1.0 runtime=2.5)"


def test_an_exception_is_told_by_class_and_place(lines: Lines) -> None:
    """``exc_info`` gives frames, never the text."""
    try:
        fail()
    except ValueError:
        log.get("fatal").critical("exit_crashed", exc_info=True)
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert "test_log.py" in line["frames"][-1]
    assert "noon" not in json.dumps(line)


@pytest.mark.parametrize("value", ["\ud800", 2**80, float("nan"), object()], ids=["surrogate", "huge", "nan", "object"])
def test_no_value_keeps_a_line_from_being_written(lines: Lines, value: object) -> None:
    """Logging never raises: a line about trouble must not be more trouble."""
    log.log(Event.POISON, value=value)
    assert [line["event"] for line in lines()] == ["poison"]


def test_an_unlisted_name_is_written_and_shown_up(lines: Lines) -> None:
    """A name that is not in the list is not lost; it is said to be one."""
    log.get("plan").info("something_new", shard=1)
    (line,) = lines()
    assert (line["event"], line["name"], line["shard"]) == ("unlisted", "something_new", 1)


def test_every_exit_has_its_event() -> None:
    """The last line of a process is in the list, whatever ends it."""
    assert {f"exit_{code.name.lower()}" for code in Exit} <= set(Event)


def literal_events() -> Iterator[tuple[str, str]]:
    """(place, name) of each literal event name in the program: calls of a level's method on a logger."""
    for file in STREAMS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id="_log") | ast.Call(), attr="info" | "warning" | "error" | "critical"
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield f"{file.relative_to(STREAMS)}:{node.lineno}", name
                case _:
                    pass


def test_every_name_in_the_program_is_listed() -> None:
    """No caller uses a name outside the closed list."""
    found = list(literal_events())
    assert found
    assert not [(place, name) for place, name in found if name not in set(Event)]


def test_a_full_disk_loses_the_line_and_nothing_else(lines: Lines) -> None:
    """What the line is about goes on: a worker needs no disk."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        log.configure(to=full, program="test")
        log.log(Event.STARTED)
    assert lines() == []
