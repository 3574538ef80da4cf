"""The shape of the program: each rule holds for the real sources, and each has a breach that it is seen to find."""

import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pure.architecture import declared, rules
from tests.pure.architecture.declared import DECLARED_RULES
from tests.pure.architecture.rules import RULES as SHAPE_RULES
from tests.pure.architecture.rules import Rule
from tests.pure.architecture.source_tree import Sources, parse, read_sources

RULES: tuple[Rule, ...] = (*SHAPE_RULES, *DECLARED_RULES)
ROOT = Path(__file__).parents[3]
FOLDERS = ("schemas", "broker", "streams", "tests")
TEXTS = ("deploy",)

LONG_MODULE = '"""Long."""\n' + "x = 1\n" * 300
LONG_FUNCTION = "def f():\n    '''Not counted.'''\n" + "    x = 1\n" * 50
BRANCHES = "def f(a):\n" + "    if a:\n        pass\n" * 10
NESTED_IMPORT = "def f():\n    import json\n"
EVENTS = "class Event:\n    SAID = 'said'\n    UNSAID = 'unsaid'\n    EXIT_GONE = 'exit_gone'\nWARNINGS: X = {Event.UNSAID}\n"
EXITS = "class Exit:\n    GONE = 70\n_MEANINGS: X = {Exit.GONE: 'Gone.'}\n"
SAID = "log(Event.SAID)\nlog.get('a').info('unsaid')\nfatal(Exit.GONE)\n"
METRIC = "SIDE: X = Label('side', ('left', 'right'))\nTURNS: X = Counter(R, 'turns', 'T.', SIDE)\n"
TURNED = "from streams import metrics\nmetrics.TURNS.of('left').inc()\n"
REASONS = "class State:\n    SEND = 1\nclass Reason:\n    LATE = 16\n"
TOPICS = "OLD: X = 'old'\ndef new(lane): return lane\nALL = (Topic(OLD), Topic(new(1)))\n"
SETTINGS = "class Settings:\n    port: int = 1\n"
IMPORTS = {
    "schemas": "import broker",
    "broker": "import streams",
    "streams": "import deploy\nimport tests",
    "streams/worker": "from aiokafka.errors import E",
    "streams/kafka": "import aiokafka\nimport faust\nimport mode",
    "streams/kafkaesque": "import faust\nimport mode",
    "deploy": "",
    "tests": "import deploy",
    "tests/contract": "import aiokafka",
    "tests/acceptance": "import aiokafka",
    "tests/faults": "import aiokafka",
    "tests/kafka": "import aiokafka",
    "tests/load": "import aiokafka",
    "tests/support": "",
    "tests/support/kafka_clients": "import aiokafka",
}
"""Packages, some of which import what they may not."""
HIDDEN_IMPORT = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json\n"


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Every module of the project, and its other texts."""
    gc.disable()  # everything that is made here stays; looking for garbage in it takes longer than making it
    try:
        return read_sources(ROOT, FOLDERS + TEXTS)
    finally:
        gc.enable()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Rule, sources: Sources) -> None:
    """No module of the project breaks it; a breach is told with its place."""
    breaches = list(rule(sources))
    assert not breaches, "\n" + "\n".join(breaches)


def linted(root: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the packages below ``root`` by the contracts in pyproject.toml."""
    linter = (Path(sys.executable).with_name("lint-imports"), ROOT / "pyproject.toml", "--no-cache")
    return subprocess.run(linter, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_imports_keep_to_the_contracts() -> None:
    """They point one way, and the libraries of Kafka are known in one folder."""
    ended = linted(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_import_that_breaks_a_contract_is_found(tmp_path: Path) -> None:
    """Against the layers, and of Kafka's libraries outside their folder; where they belong they are no breach."""
    for path, text in IMPORTS.items():
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "__init__.py").write_text(text)
    ended = linted(tmp_path)
    found = set(re.findall(r"^ *-? *(\S+) -> (\S+) \(", ended.stdout, re.MULTILINE))
    assert found == {
        ("schemas", "broker"),
        ("broker", "streams"),
        ("streams", "deploy"),
        ("streams", "tests"),
        ("streams.worker", "aiokafka"),
        ("streams.kafkaesque", "mode"),
        ("streams.kafkaesque", "faust"),
        ("tests.contract", "aiokafka"),
    }


def test_the_sources_are_looked_at(sources: Sources) -> None:
    """The rules above are not true of an empty tree only."""
    assert {module.layer for module in sources.modules.values()} == set(FOLDERS + TEXTS)
    assert len(sources.modules) > 50
    assert {"README.md", "Makefile", "broker/PROTOCOL.md", "deploy/dev/prices.yaml"} <= set(sources.texts)


BREACHES = [
    (
        rules.there_are_no_cycles,
        {"broker/a.py": "import broker.b", "broker/b.py": "from broker.a import x"},
        "broker.a is",
    ),
    (rules.the_broker_is_pure, {"broker/a.py": "import time"}, "broker/a.py:1 imports time"),
    (rules.the_broker_is_pure, {"broker/a.py": "from os import environ"}, "imports os.environ"),
    (rules.the_broker_is_pure, {"broker/deliver/a.py": "import random"}, "imports random"),
    (rules.the_broker_is_pure, {"broker/a.py": "import structlog"}, "imports structlog"),
    (rules.the_broker_is_pure, {"broker/a.py": "async def f(): pass"}, "is asynchronous"),
    (rules.the_broker_is_pure, {"broker/a.py": "x = open('f')"}, "calls open"),
    (rules.the_broker_is_pure, {"broker/a.py": "x = np.random.default_rng()"}, "draws lots"),
    (rules.schemas_touch_nothing_outside, {"schemas/a.py": "import uuid"}, "imports uuid"),
    (
        rules.one_module_builds_clients_of_kafka,
        {"streams/kafka/a.py": "x = aiokafka.AIOKafkaProducer(bootstrap_servers='h:1')"},
        "streams/kafka/a.py:1 builds AIOKafkaProducer",
    ),
    (
        rules.one_module_builds_clients_of_kafka,
        {"streams/kafka/a.py": "x = TopicPartition('charges', 0)"},
        "streams/kafka/a.py:1 builds TopicPartition",
    ),
    (
        rules.one_module_builds_clients_of_kafka,
        {"streams/a.py": "x = scan(self._settings.bootstrap, 'charges')"},
        "streams/a.py:1 goes to settings.bootstrap without a way in",
    ),
    (rules.one_module_reads_the_clock, {"streams/a.py": "x = time.time_ns()"}, "uses time.time_ns"),
    (rules.one_module_reads_the_clock, {"streams/a.py": "from time import monotonic"}, "uses time.monotonic"),
    (rules.one_module_reads_the_clock, {"broker/a.py": "x = datetime.now(UTC)"}, "uses datetime.now"),
    (rules.one_module_reads_the_clock, {"broker/a.py": "x = datetime.date.today()"}, "uses datetime.date.today"),
    (
        rules.one_module_reads_the_clock,
        {"streams/a.py": "x = asyncio.get_running_loop().time()"},
        "get_running_loop().time",
    ),
    (rules.one_module_reads_the_clock, {"streams/a.py": "x = self.loop.time()"}, "uses self.loop.time"),
    (rules.one_module_reads_the_environment, {"streams/a.py": "x = os.environ['A']"}, "uses os.environ"),
    (rules.one_module_reads_the_environment, {"streams/a.py": "x = os.environ.get('A')"}, "uses os.environ.get"),
    (rules.one_module_reads_the_environment, {"streams/a.py": "from os import getenv"}, "uses os.getenv"),
    (rules.imports_stand_at_the_top, {"streams/a.py": NESTED_IMPORT}, "streams/a.py:2 imports json"),
    (rules.imports_stand_at_the_top, {"streams/a.py": HIDDEN_IMPORT}, "streams/a.py:3 imports json"),
    (rules.everything_has_a_bearable_size, {"streams/a.py": LONG_MODULE}, "streams/a.py has 301 lines"),
    (rules.everything_has_a_bearable_size, {"broker/a.py": LONG_FUNCTION}, "broker/a.py:1 f has 51 lines"),
    (rules.everything_has_a_bearable_size, {"broker/a.py": BRANCHES}, "f has complexity 11"),
    (rules.everything_has_a_bearable_size, {"broker/a.py": "def f(a, b, c, d, *, e, g, h): 0"}, "f has 7 parameters"),
    (rules.every_module_says_what_it_owns, {"streams/a.py": "x = 1"}, "streams/a.py has no docstring"),
    (rules.docstrings_open_with_a_verb, {"broker/a.py": "'What is kept.'"}, "broker/a.py:1 opens with What"),
    (
        rules.docstrings_open_with_a_verb,
        {"schemas/a.py": "def f():\n    'One record.'"},
        "schemas/a.py:2 opens with One",
    ),
    (rules.docstrings_open_with_a_verb, {"streams/a.py": "X = 1\n'How long.'"}, "streams/a.py:2 opens with How"),
    (
        rules.docstrings_open_with_a_verb,
        {"deploy/reference/a.py": "class A:\n    'Whether.'"},
        "deploy/reference/a.py:2 opens with Whether",
    ),
    (
        rules.measured_fields_are_described,
        {"schemas/a.py": "class A:\n    at_ms: int\n    b: int"},
        "a.py:2 A.at_ms is not",
    ),
    (
        rules.measured_fields_are_described,
        {"streams/runtime/a.py": "class A:\n    a_s: int = Field(1, ge=1)\n    b_s: int = Field(1, description='B.')"},
        "a.py:2 A.a_s is not",
    ),
    (rules.nothing_is_left_for_later, {"streams/a.py": "x = 1  # TO" + "DO: later"}, "streams/a.py:1 x = 1"),
    (
        rules.every_cited_page_is_there,
        {"broker/PROTOCOL.md": "", "broker/a.py": "# PROTOCOL.md, LOST" + ".md"},
        "broker/a.py:1 cites LOST",
    ),
    (rules.every_cited_page_is_there, {"README.md": "It is in docs/README" + ".md."}, "README.md:1 cites docs/"),
    (rules.tests_use_the_real_thing, {"tests/a.py": "from unittest.mock import Mock"}, "imports unittest.mock.Mock"),
    (rules.tests_use_the_real_thing, {"tests/a.py": "def test_a(monkeypatch): 0"}, "test_a asks for monkeypatch"),
    (rules.tests_use_the_real_thing, {"tests/a.py": "time.sleep(1)"}, "tests/a.py:1 sleeps"),
    (rules.tests_use_the_real_thing, {"tests/pure/a.py": "async def test_a(kafka): 0"}, "test_a asks for kafka"),
    (
        declared.every_log_event_is_logged,
        {"streams/runtime/events.py": EVENTS},
        "streams/runtime/events.py:2 SAID is never logged",
    ),
    (declared.every_log_event_is_logged, {"streams/runtime/events.py": EVENTS}, "UNSAID is never logged"),
    (
        declared.every_log_event_is_logged,
        {"streams/runtime/events.py": EVENTS, "streams/runtime/exits.py": EXITS},
        "EXIT_GONE is never logged",
    ),
    (
        declared.every_metric_is_counted,
        {"streams/runtime/metrics.py": METRIC},
        "streams/runtime/metrics.py:2 TURNS is never counted",
    ),
    (
        declared.every_metric_is_counted,
        {"streams/runtime/metrics.py": METRIC, "streams/runtime/zeroes.py": TURNED},
        "TURNS is never counted",
    ),
    (
        declared.every_label_value_is_given,
        {"streams/runtime/metrics.py": METRIC, "streams/a.py": TURNED, "streams/far.py": "x = 'right'"},
        "streams/runtime/metrics.py:1 SIDE has the value right, which nothing gives",
    ),
    (declared.every_reason_is_given, {"schemas/reasons.py": REASONS}, "schemas/reasons.py:2 State.SEND is never given"),
    (
        declared.every_reason_is_given,
        {"schemas/reasons.py": REASONS, "broker/consequences.py": "x = {Reason.LATE: 1}"},
        "Reason.LATE is never given",
    ),
    (
        declared.every_topic_is_used,
        {"schemas/topics.py": TOPICS},
        "schemas/topics.py:1 OLD is a topic that nobody uses",
    ),
    (
        declared.every_topic_is_used,
        {"schemas/topics.py": TOPICS},
        "schemas/topics.py:2 new is a topic that nobody uses",
    ),
    (
        declared.every_setting_is_read,
        {"streams/runtime/settings.py": SETTINGS, "streams/a.py": "s.port = 2"},
        "streams/runtime/settings.py:2 port is a setting that nobody reads",
    ),
]


@pytest.mark.parametrize(("rule", "texts", "breach"), BREACHES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_breach_is_found(rule: Rule, texts: dict[str, str], breach: str) -> None:
    """A small source that breaks the rule is named with its place."""
    assert any(breach in found for found in rule(parse(texts)))


def test_every_rule_has_a_breach() -> None:
    """A rule that was never seen to fail proves nothing."""
    assert {rule for rule, _, _ in BREACHES} == set(RULES)


def test_what_is_declared_and_used_is_not_a_breach() -> None:
    """By name, word for word, from another module, or handed on."""
    used = parse(
        {
            "streams/runtime/events.py": EVENTS,
            "streams/runtime/exits.py": EXITS,
            "streams/a.py": SAID,
            "streams/runtime/metrics.py": METRIC,
            "streams/b.py": TURNED,
            "streams/c.py": "from streams import b\nx = 'right'\n",
            "schemas/reasons.py": REASONS,
            "broker/d.py": "x = (State.SEND, Reason.LATE)\n",
            "schemas/topics.py": TOPICS,
            "broker/e.py": "from schemas import topics\nfrom schemas.topics import new\nx = topics.OLD\n",
            "streams/runtime/settings.py": SETTINGS,
            "streams/f.py": "x = settings.port\n",
        }
    )
    assert [breach for rule in DECLARED_RULES for breach in rule(used)] == []


def test_the_catalogues_are_found(sources: Sources) -> None:
    """A rule about a file that has moved away would be true of nothing."""
    paths = {module.path for module in sources.modules.values()}
    assert {declared.LOG, declared.EXITS, declared.METRICS, declared.ZEROES, declared.REASONS} <= paths
    assert {declared.TOPICS, declared.SETTINGS} <= paths
    assert min(len(found) for found in declared.found_in(sources).values()) >= 5


def test_what_is_allowed_is_not_a_breach() -> None:
    """The modules that own the clock, the environment and Kafka may do what the others may not."""
    allowed = parse(
        {
            "streams/runtime/clock.py": '"""C."""\nimport time\n\nx = time.time_ns()\n',
            "streams/runtime/settings.py": '"""S."""\nimport os\n\nx = os.environ\n',
            "streams/kafka/faust_app/app.py": '"""K."""\nimport faust\n\nfrom streams import clock\n',
            "broker/a.py": '"""A."""\nimport numpy as np\n\nfrom schemas import names\n',
            "tests/a.py": '"""T."""\nimport os\n\nfrom broker.a import x\n',
        }
    )
    assert [breach for rule in RULES for breach in rule(allowed)] == []
