"""Rules, alerts, runbooks and dashboard: expressions name what the catalogue has, alerts have pages, promtool agrees."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import COMMANDS
from streams.operate.scrape import processes
from streams.runtime import metrics
from streams.runtime.prometheus import Histogram
from streams.runtime.settings import Settings, table
from tests.contract.promql import Selector, named
from tests.support.programs import debian_program

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"
RUNBOOKS = DEPLOY / "runbooks"


def _read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


CONFIG = _read("prometheus.yml")
RULES = [rule for name in CONFIG["rule_files"] for group in _read(name)["groups"] for rule in group["rules"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTED = _read("tests/alerts.test.yml")
BOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
PANELS = [each for panel in BOARD["panels"] for each in panel.get("panels", [panel])]
JOBS = tuple(each["job_name"] for each in CONFIG["scrape_configs"])


def catalogued() -> dict[str, dict[str, tuple[str, ...]]]:
    """Every series that a scrape can show: its name to its labels with all their values; ``le`` has any value."""
    found: dict[str, dict[str, tuple[str, ...]]] = {"up": {"job": JOBS, "instance": ()}}
    for family in metrics.catalogue():
        labels = {label.name: label.values for label in family.labels}
        if isinstance(family, Histogram):
            found |= {family.name + end: labels for end in ("_sum", "_count")}
            found[f"{family.name}_bucket"] = {**labels, "le": ()}
        else:
            found[family.name] = labels
    return found


def complaints(expression: str) -> list[str]:
    """What an expression names that is not there: metrics, labels, values; recorded series have the labels they keep."""
    parts = named(expression)
    found, present = [], set[str]()
    for selector in parts.selectors:
        labels = labels_of(selector.metric)
        if labels is None:
            found.append(f"no metric {selector.metric}")
            continue
        present |= set(labels)
        found += _unknown(selector, labels)
    return found + [f"nothing has a label {label}" for label in sorted(parts.grouped - present)]


def labels_of(metric: str) -> dict[str, tuple[str, ...]] | None:
    """The labels of a series with their values: of the catalogue, or those that a recorded one keeps; else ``None``."""
    if metric not in RECORDED:
        return catalogued().get(metric)
    parts = named(RECORDED[metric])
    every = {label: values for each in parts.selectors for label, values in (labels_of(each.metric) or {}).items()}
    return {label: every[label] for label in parts.grouped - {"le"}}


def _unknown(selector: Selector, labels: dict[str, tuple[str, ...]]) -> list[str]:
    found = []
    for label, values in selector.matchers:
        if label not in labels:
            found.append(f"{selector.metric} has no label {label}")
        found += [f"{label} is never {value}" for value in values if labels.get(label) and value not in labels[label]]
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_every_expression_names_what_there_is(rule: dict[str, Any]) -> None:
    """Metrics of the catalogue or recorded ones, labels that these have, values of their closed sets."""
    assert complaints(rule["expr"]) == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_names_what_there_is(panel: dict[str, Any]) -> None:
    """The same for the dashboard; a legend names labels that the expression keeps."""
    for target in panel["targets"]:
        assert complaints(target["expr"]) == []
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        parts = named(target["expr"])
        assert legend <= parts.grouped.union(
            *(named(RECORDED.get(each.metric, "1")).grouped for each in parts.selectors)
        )


def test_the_dashboard_shows_every_metric_once_and_every_recorded_series_that_alerts_look_at() -> None:
    """Ids are each panel's own, places do not overlap, and nothing that wakes somebody is out of sight."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}) == len(PANELS)
    titles = [panel["title"] for panel in PANELS]
    assert titles[-len(metrics.catalogue()) :] == [family.name for family in metrics.catalogue()]
    drawn = {each.metric for panel in PANELS for target in panel["targets"] for each in named(target["expr"]).selectors}
    watched = {each.metric for rule in ALERTS.values() for each in named(rule["expr"]).selectors}
    assert watched - {"up"} <= drawn


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("rate(fanfare_stage_inn_total[5m])", "no metric fanfare_stage_inn_total"),
        ('fanfare_up{lane="otp"} == 1', "fanfare_up has no label lane"),
        ('fanfare_stage_waiting{stage=~"plan|deliverer"}', "stage is never deliverer"),
        ("sum by (shard) (rate(fanfare_stage_in_total[5m]))", "nothing has a label shard"),
        ("fanfare_stage_seconds > 1", "no metric fanfare_stage_seconds"),
        ('up{job="fanfare-books"}', "job is never fanfare-books"),
    ],
)
def test_what_is_not_there_is_found(expression: str, complaint: str) -> None:
    """A misspelt metric, a label it does not have, a value outside its set, a histogram without its ending."""
    assert complaints(expression) == [complaint]


@pytest.mark.parametrize("expression", ['{job="x"}', "ratio(up)", 'up{job="x" y}', 'up{job="x" or instance="y"}'])
def test_what_is_not_understood_is_refused(expression: str) -> None:
    """The reader of expressions says so, and does not pass over it."""
    with pytest.raises(ValueError, match=r"no metric|unknown function|invalid promql query"):
        named(expression)


def test_recorded_names_say_their_labels() -> None:
    """``level:metric:operation``, the level being the labels that are kept."""
    for record, expression in RECORDED.items():
        level = record.partition(":")[0]
        kept = named(expression).grouped - {"le"}
        assert set(level.split("_")) == (kept or {"deployment"})


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_can_be_acted_on(name: str) -> None:
    """A sentence, a severity, a page with its four parts and a command that mends; labels in the sentence exist."""
    rule, page = ALERTS[name], (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"deploy/runbooks/{name}.md"
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert "```console\n$ " in page.partition("## Mitigation")[2]


def test_there_are_few_alerts_and_no_page_without_one() -> None:
    """A dozen at most: whoever is woken reads what woke them. The folder's page lists them, and which of them wake."""
    assert len(ALERTS) <= 12
    assert {path.stem for path in RUNBOOKS.iterdir()} == set(ALERTS)
    table_of_alerts = re.findall(
        r"^\| \[(\w+)\].* \| (yes|no) \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE
    )
    wakes = {name: "yes" if rule["labels"]["severity"] == "page" else "no" for name, rule in ALERTS.items()}
    assert dict(table_of_alerts) == wakes


@pytest.mark.parametrize("path", sorted(RUNBOOKS.iterdir()), ids=lambda path: path.stem)
def test_the_pages_name_what_there_is(path: Path) -> None:
    """Commands, metrics and settings in a runbook exist: at night nobody should find out that they do not."""
    text = path.read_text("utf-8")
    for metric in re.findall(r"\bfanfare_[a-z_]+[a-z]\b", text):
        assert any(name.startswith(metric) for name in catalogued()), metric
    assert set(re.findall(r"\bfanfare ([a-z-]+)", text)) <= {command for command, _, _ in COMMANDS}
    assert set(re.findall(r"\b(FANFARE_\w+)", text)) <= {variable for variable, _, _ in table()}


def test_the_scraped_ports_are_the_fixed_ones() -> None:
    """Every process that `fanfare status` expects, and no other; further slots are the operator's to add."""
    targets = {
        target for job in CONFIG["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    }
    settings = Settings.model_construct()  # the defaults, whatever the environment says
    expected = {f"{settings.metrics_host}:{each.port}" for each in processes(settings) if not each.optional}
    assert targets == expected


def test_each_alert_is_tested_firing_and_cleared() -> None:
    """In promtool's tests each alert fires at least once and at least once does not."""
    shown = {
        (each["alertname"], bool(each.get("exp_alerts")))
        for test in TESTED["tests"]
        for each in test.get("alert_rule_test", ())
    }
    assert shown == {(name, fires) for name in ALERTS for fires in (True, False)}


def test_the_tested_series_are_ones_that_there_are() -> None:
    """A rule that is tested on series that no process shows is not tested."""
    for test in TESTED["tests"]:
        for each in test["input_series"]:
            plain = re.sub(r',? *(instance|le)="[^"]*"', "", each["series"]).replace("{, ", "{")
            assert complaints(plain) == [], each["series"]


PROMTOOL = debian_program("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: .ci/get-prometheus gets it, or says why not")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "recording.rules.yml", "alerts.rules.yml"),
        ("test", "rules", "tests/alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    """The configuration is one, the rules are, and each alert fires for its fault and clears."""
    assert PROMTOOL is not None
    ended = subprocess.run([PROMTOOL, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
