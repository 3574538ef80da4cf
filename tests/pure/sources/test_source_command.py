"""`fanfare source` without a Kafka: what it prints, refuses, and does on Ctrl-C."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from schemas.wire.cloudevents import RefusedEvent, decode
from streams.commands.source import app

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from streams.cli import main; main()", "source"]


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        pytest.param(["flights", "--limit", "5", "--largest", "30"], range(10, 41), id="flights"),
        pytest.param(["flights", "--limit", "2", "--day", "2013-02-09"], range(4, 17), id="flights of another day"),
        pytest.param(["parcels", "--limit", "10"], range(30, 61), id="parcels"),
        pytest.param(["logins", "--limit", "20", "--from", "18:30", "--per-hour", "9000"], range(20, 21), id="logins"),
        pytest.param(["logins", "--limit", "20", "--from", "08:00", "--peak", "50"], range(20, 21), id="morning peak"),
        pytest.param(["singles", "--rate", "40", "--people", "7", "--seconds", "0.5"], range(20, 21), id="singles"),
    ],
)
def test_printed_events_pass_ingress(arguments: list[str], events: range) -> None:
    """Every printed line is an event that ingress reads, and what was published is summed up beside it."""
    result = CliRunner().invoke(app, [*arguments, "--print"])
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) in events
    assert [read for line in lines if isinstance(read := decode(line.encode(), ()), RefusedEvent)] == []
    assert result.stderr.startswith(f"{len(lines)} events (")


def test_same_seed_same_people() -> None:
    """The seed decides who is told; another seed tells others."""
    told = [
        [msgspec.json.decode(line)["data"]["to"] for line in CliRunner().invoke(app, arguments).stdout.splitlines()]
        for seed in ("3", "3", "4")
        if (arguments := ["parcels", "--limit", "5", "--print", "--seed", seed])
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        pytest.param(["flights", "--speed", "fast"], 2, "a number above 0, or max", id="speed is a word"),
        pytest.param(["flights", "--speed", "0"], 2, "a number above 0, or max", id="speed is nothing"),
        pytest.param(["flights", "--speed", "inf"], 2, "a number above 0, or max", id="speed has no end"),
        pytest.param(["flights", "--largest", "5"], 2, "at least --smallest", id="sizes the wrong way round"),
        pytest.param(
            ["flights", "--day", "2014-02-08"], 1, "the records have 2013-02-04 to 2013-02-13", id="no such day"
        ),
        pytest.param(["flights", "--file", "absent.csv"], 1, "No such file", id="no such file"),
    ],
)
def test_refusals(arguments: list[str], status: int, sentence: str) -> None:
    """What cannot be done is refused with a sentence, and nothing is printed."""
    result = CliRunner().invoke(app, [*arguments, "--print"])
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr


ROWS = {
    "whole": "2022,7,1,600,605,5,905,UA,7,EWR,ORD,719",
    "never left": "2022,7,2,600,,,,UA,8,EWR,ORD,719",
    "no time at which it should leave": "2022,7,1,,605,5,905,UA,1,EWR,ORD,719",
    "no delay": "2022,7,1,600,605,,905,UA,2,EWR,ORD,719",
    "no time of day": "2022,7,1,600,605,5,9999,UA,3,EWR,ORD,719",
    "no number": "2022,7,1,600,605,5,905,UA,x,EWR,ORD,719",
    "a row that breaks off": "2022,7,1,600,605,5,905,UA,4,EWR",
}
COLUMNS = "year,month,day,sched_dep_time,dep_time,dep_delay,arr_time,carrier,flight,origin,dest,distance"


def test_rows_that_no_flight_can_be_made_of_are_left_out(tmp_path: Path) -> None:
    """Which they are and why is said, a line a day; the others are told, on all days of the file where none was asked for."""
    file = tmp_path / "flights.csv"
    file.write_text("\n".join([COLUMNS, *ROWS.values(), ""]), "utf-8")
    result = CliRunner().invoke(app, ["flights", "--file", str(file), "--print"])
    assert result.exit_code == 0, result.output
    subjects = {msgspec.json.decode(line)["subject"] for line in result.stdout.splitlines()}
    assert subjects == {"flight/UA7/2022-07-01/EWR", "flight/UA8/2022-07-02/EWR"}
    assert result.stderr.splitlines()[0] == (
        "2022-07-01: 5 of 6 rows left out: UA1 (sched_dep_time is empty), UA2 (dep_delay is empty), "
        "UA3 (arr_time is no time of day), UAx (flight is no number), UA4 (dest is empty)"
    )


def test_a_day_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    """Only the default gives way to what the file has."""
    file = tmp_path / "flights.csv"
    file.write_text("\n".join([COLUMNS, *ROWS.values(), ""]), "utf-8")
    result = CliRunner().invoke(app, ["flights", "--file", str(file), "--print", "--day", "2013-02-08"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no flight on 2013-02-08; the records have 2022-07-01 to 2022-07-02" in result.stderr


def test_a_file_of_which_no_row_can_be_used_is_refused(tmp_path: Path) -> None:
    """With the reason of the first of them."""
    file = tmp_path / "flights.csv"
    file.write_text("\n".join([COLUMNS, ROWS["no delay"], ""]), "utf-8")
    result = CliRunner().invoke(app, ["flights", "--file", str(file), "--print"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no flight can be made of any row: UA2 (dep_delay is empty)" in result.stderr


def test_interrupt_ends_it_in_order() -> None:
    """Ctrl-C ends a replay in the middle of a wait, with a summary and the status that shells expect."""
    arguments = [*PROGRAM, "parcels", "--print", "--speed", "1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "(interrupted)" in told


def test_a_closed_pipe_is_no_accident() -> None:
    """`| head -1` gets its line, and no traceback follows."""
    with subprocess.Popen(
        [*PROGRAM, "parcels", "--print"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        told = running.stderr.read()
    assert "Traceback" not in told
