"""`fanfare doctor`: what is ok, what is weak, what is missing; and the command where no Kafka answers."""

import subprocess
import sys
from typing import Final

import pytest

from broker.registry.fold import Registry
from schemas.registry import Business, Deployment, Entry
from streams.kafka.grants import Grant, Operation, Resource
from streams.operate import checkup
from streams.operate.checkup import GIB, Finding, Grade, Listener
from streams.operate.doctor import listeners_of
from streams.runtime.settings import load, table

WRITE: Final = Grant("webhook", Operation.WRITE, Resource.TOPIC, "a.charges")
LOOK: Final = Grant("webhook", Operation.DESCRIBE_CONFIGS, Resource.CLUSTER, "kafka-cluster")
ACME: Final = Business("acme", "Acme")
WEBHOOK: Final = Listener(8820, "FANFARE_WEBHOOK_PORT", "webhook")
LEDGER: Final = Listener(9830, "FANFARE_LEDGER_METRICS_PORT", "ledger")


def of(*entries: Entry) -> Registry:
    """A registry of these entries."""
    filled = Registry()
    for entry in entries:
        filled.add(entry)
    return filled


@pytest.mark.parametrize(
    ("finding", "grade", "words"),
    [
        pytest.param(checkup.disk("d", 50 * GIB, writable=True), Grade.OK, "50.0 GiB free in d", id="room"),
        pytest.param(checkup.disk("d", 5 * GIB, writable=True), Grade.WARNING, "more than 10 GiB", id="little room"),
        pytest.param(checkup.disk("d", GIB - 1, writable=True), Grade.MISSING, "FANFARE_DATA_DIR", id="no room"),
        pytest.param(checkup.disk("d", 50 * GIB, writable=False), Grade.MISSING, "not be written", id="read only"),
        pytest.param(checkup.clocks(-3, 2), Grade.OK, "0.003 s behind Kafka", id="same clock"),
        pytest.param(checkup.clocks(1_500, 600), Grade.OK, "measured to 0.600 s", id="not known better"),
        pytest.param(checkup.clocks(1_600, 600), Grade.WARNING, "1.600 s ahead of Kafka", id="a second ahead"),
        pytest.param(checkup.clocks(-400_000, 5), Grade.MISSING, "NTP", id="minutes behind"),
        pytest.param(checkup.kafka("k:1", 1, 20), Grade.WARNING, "20 topics on 1 broker:", id="one broker"),
        pytest.param(checkup.kafka("k:1", 3, 20), Grade.OK, "20 topics on 3 brokers", id="three brokers"),
        pytest.param(checkup.registered(of(), 8), Grade.MISSING, "no deployment", id="nothing registered"),
        pytest.param(checkup.registered(of(Deployment("d", 4)), 8), Grade.MISSING, "4 shards", id="other shards"),
        pytest.param(checkup.registered(of(Deployment("d", 8)), 8), Grade.WARNING, "no business", id="nobody"),
        pytest.param(checkup.registered(of(Deployment("d", 8), ACME), 8), Grade.OK, "1 businesses", id="registered"),
        pytest.param(checkup.own_topics("gateway", 1, ()), Grade.OK, "1 that gateway reads", id="own topics"),
        pytest.param(checkup.own_topics("gateway", 1, ["a.registry"]), Grade.MISSING, "a.registry;", id="own missing"),
        pytest.param(checkup.not_asked("clock", "why"), Grade.OK, "not asked: why", id="not asked"),
        pytest.param(checkup.granted("u", "gateway", ()), Grade.OK, "u may do all that gateway needs", id="granted"),
        pytest.param(
            checkup.granted("u", "webhook", [WRITE, LOOK]),
            Grade.MISSING,
            "u may not, as webhook must: Write a.charges; DescribeConfigs the cluster. `fanfare provision --print-acls`",
            id="not granted",
        ),
        pytest.param(checkup.secrets(()), Grade.OK, "none that is needed", id="own secrets"),
        pytest.param(checkup.secrets(load().dev_secrets), Grade.WARNING, "FANFARE_PEPPER", id="development secrets"),
    ],
)
def test_each_finding_has_its_grade_and_says_what_to_do(finding: Finding, grade: Grade, words: str) -> None:
    """What works is ok, what is weak is a warning, what cannot work is missing."""
    assert finding.grade is grade
    assert words in finding.sentence


@pytest.mark.parametrize(
    ("taken", "running", "expected"),
    [
        pytest.param([], [], ["ok 2 free, 0 in use by our own processes"], id="free"),
        pytest.param([8820], ["webhook"], ["ok 1 free, 1 in use by our own processes"], id="ours"),
        pytest.param(
            [8820],
            ["ledger"],
            ["missing 8820 of the webhook is taken by another program: end it, or set FANFARE_WEBHOOK_PORT"],
            id="another's",
        ),
    ],
)
def test_a_port_is_free_or_ours(taken: list[int], running: list[str], expected: list[str]) -> None:
    """A port that something else holds is named with its setting."""
    found = checkup.ports([WEBHOOK, LEDGER], taken=frozenset(taken), running=frozenset(running))
    assert [f"{one.grade} {one.sentence}" for one in found] == expected


def test_a_port_for_two_is_found() -> None:
    """Two processes of ours cannot listen on one port."""
    twice = Listener(8820, "FANFARE_LEDGER_METRICS_PORT", "ledger")
    found = list(checkup.ports([WEBHOOK, twice], taken=frozenset(), running=frozenset()))
    assert found[0].grade is Grade.MISSING
    assert "8820 is both the webhook's and the ledger's" in found[0].sentence


def test_the_ports_of_the_development_settings_are_all_different() -> None:
    """Each names a setting that exists; a gateway elsewhere has no port here, nor has a port of 0."""
    listeners = list(listeners_of(load()))
    known = {variable for variable, _, _ in table()}
    assert len({one.port for one in listeners}) == len(listeners) == 14
    assert {one.setting for one in listeners} <= known
    elsewhere = load(gateway_otp="https://gateway.example:443", webhook_metrics_port=0)
    assert len(list(listeners_of(elsewhere))) == 12


def test_without_a_kafka_it_says_so_and_exits_1() -> None:
    """What can be seen on this machine is said nevertheless."""
    command = [sys.executable, "-m", "streams.cli", "doctor", "--bootstrap", "127.0.0.1:1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert {line.split()[1] for line in lines[:-1]} == {"packages", "secrets", "disk", "data", "ports", "java", "kafka"}
    assert any(
        line.startswith("missing  kafka     No Kafka answers at 127.0.0.1:1. `fanfare kafka up`") for line in lines
    )
    assert lines[-1].endswith("missing")
