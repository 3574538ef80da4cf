"""Mistakes at the command line: one sentence that helps, an exit status, and never a traceback."""

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.terminal import FANFARE, ROOT, environment

PARCEL = "deploy/dev/examples/parcel-delivered.json"
NOWHERE = ("--bootstrap", "127.0.0.1:1")
NO_KAFKA = "o Kafka answers at 127.0.0.1:1"

MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no lane": (("validate", "-f", PARCEL), 1, "which lane? --lane, or --registry"),
    "an option of Kafka that is none": (
        ("publish", "-f", PARCEL, "-X", "request.timout.ms=1"),
        1,
        "request.timeout.ms",
    ),
    "a profile that is none": (("status", "--profile", "prod"), 1, "there is no profile 'prod'"),
    "nobody to send to": (("send", "--template", "offer"), 1, "say whom: --to ADDRESS, or --list NAME"),
    "a code from nowhere": (("publish", "-f", "-", "--seal", "code=@-"), 1, "exclude each other"),
    "a month that is none": (("ledger", "export", "--month", "May"), 1, "'May' is no month"),
    "a lane that is none": (("publish", "-f", PARCEL, "--lane", "fast"), 1, "there are: otp, update, "),
    "no such file": (("publish", "-f", "nofile", "--lane", "otp"), 1, "nofile cannot be read: No such file"),
    "a folder": (("publish", "-f", "deploy", "--lane", "otp"), 1, "deploy cannot be read: Is a directory"),
    "no event": (("publish", "-f", "LICENSE", "--lane", "otp"), 1, "LICENSE:1: JSON is malformed"),
    "nothing on standard input": (("publish", "-f", "-", "--lane", "otp"), 1, "standard input holds no JSON object"),
    "a code without a name": (("publish", "-f", PARCEL, "--lane", "otp", "--seal", "1"), 1, "--seal wants NAME=CODE"),
    "publish without Kafka": (("publish", "-f", PARCEL, "--lane", "update", *NOWHERE), 1, NO_KAFKA),
    "an address without a port": (("audit", "--bootstrap", "kafka"), 1, "must be host:port"),
    "explain without Kafka": (("explain", "//a/b", "1", *NOWHERE), 1, NO_KAFKA),
    "explain a source that is none": (("explain", "a/b", "1"), 1, "source must look like //<business>/<system>"),
    "explain nothing": (("explain", *NOWHERE), 1, "name a request (SOURCE ID, or its 26 letters) or a person"),
    "explain a person who is none": (
        ("explain", "--recipient", "Ann", *NOWHERE),
        1,
        "RECIPIENT is an address like tel:",
    ),
    "audit without Kafka": (("audit", *NOWHERE), 1, NO_KAFKA),
    "provision without Kafka": (("provision", *NOWHERE), 1, NO_KAFKA),
    "registry without Kafka": (("registry", "show", *NOWHERE), 1, NO_KAFKA),
    "a registry file that is none": (("registry", "apply", "LICENSE"), 1, "no YAML"),
    "source without Kafka": (("source", "parcels", "--limit", "1", *NOWHERE), 1, NO_KAFKA),
    "a day without records": (
        ("source", "flights", "--day", "2020-01-01", "--print"),
        1,
        "the records have 2013-02-04",
    ),
    "worker without Kafka": (("worker", "--lane", "otp", *NOWHERE), 1, NO_KAFKA),
    "a lane that has no worker": (("worker", "--lane", "fast"), 80, "there is no lane 'fast'"),
    **{
        f"an address without a port, for {process[0]}": ((*process, "--bootstrap", "kafka"), 80, "must be host:port")
        for process in (("worker", "--lane", "otp"), ("webhook",), ("intake",), ("ledger",), ("gateway",))
    },
    "webhook without Kafka": (("webhook", *NOWHERE), 1, NO_KAFKA),
    "intake without Kafka": (("intake", *NOWHERE), 1, NO_KAFKA),
    "ledger without Kafka": (("ledger", *NOWHERE), 1, NO_KAFKA),
    "dev on a Kafka that is not there": (("dev", "--free-ports", *NOWHERE), 1, NO_KAFKA),
    "demo on a Kafka that is not there": (("demo", "--free-ports", *NOWHERE), 1, NO_KAFKA),
    "demo backwards": (("demo", "--speed", "-1"), 2, "--speed"),
    "status of nothing": (("status",), 1, "away"),
}


@pytest.mark.parametrize(("command", "status", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_a_sentence(tmp_path: Path, command: tuple[str, ...], status: int, sentence: str) -> None:
    """It ends at once with that status, and says what is wrong; nothing is left behind in the folder."""
    variables = environment({"FANFARE_DATA_DIR": str(tmp_path), "FANFARE_LEDGER_METRICS_PORT": "1"})
    done = subprocess.run(
        [*FANFARE, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=variables,
    )
    said = done.stdout + done.stderr
    assert sentence in said
    assert done.returncode == status
    assert "Traceback" not in said
    assert len(said.splitlines()) < 40, said


@pytest.mark.parametrize(("named", "note"), [((), "name them with --business"), (("--business", "shop"), "")])
def test_grants_are_printed_without_a_kafka(named: tuple[str, ...], note: str) -> None:
    """Of businesses that are named; that there are none otherwise is said beside what is printed."""
    command = [*FANFARE, "provision", "--print-acls", *named, *NOWHERE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert ("User:business-shop" in done.stdout) == bool(named)
    assert all(line.startswith("kafka-acls.sh ") for line in done.stdout.splitlines())
    assert note in done.stderr
    assert bool(done.stderr) == bool(note)
