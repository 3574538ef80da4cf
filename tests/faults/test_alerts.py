"""What stands around the alerts that `python -m tests.faults.alerts` shows: pure, without a process."""

import re
from pathlib import Path

import pytest
import yaml

from streams.runtime.settings import Settings
from tests.faults.alerting import Shown, Sightings
from tests.faults.alerts import main, table
from tests.faults.planted import FAULTS
from tests.faults.prometheus import DEPLOY, PrometheusMissingError, found, scaled, write_configuration

RULES = yaml.safe_load((DEPLOY / "alerts.rules.yml").read_text("utf-8"))
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]


def test_every_alert_has_its_fault_and_no_other() -> None:
    """An alert without a fault would never have been seen to fire; what fires along is an alert as well."""
    assert sorted({planted.alert for planted in FAULTS}) == sorted(ALERTS)
    assert {name for planted in FAULTS for name in planted.along} <= set(ALERTS)


def test_a_factor_shortens_windows_and_waits_and_nothing_else() -> None:
    """Thresholds stay; a window keeps room for four scrapes."""
    rule = {"alert": "A", "expr": "rate(x_total[5m]) > 60 or last_over_time(y[1h]) > 2.5", "for": "1m"}
    short = {"record": "b", "expr": "rate(x_total[20s])"}
    copy = scaled({"groups": [{"name": "g", "rules": [rule, short]}]}, 10, scrape_ms=1_000)
    expected = {
        "alert": "A",
        "expr": "rate(x_total[30000ms]) > 60 or last_over_time(y[360000ms]) > 2.5",
        "for": "6000ms",
    }
    assert copy == {"groups": [{"name": "g", "rules": [expected, {"record": "b", "expr": "rate(x_total[4000ms])"}]}]}
    assert rule["for"] == "1m"


def test_the_shipped_rules_are_left_as_they_are(tmp_path: Path) -> None:
    """A factor of 1 moves ports only: what fires then is what an operator would be woken by."""
    settings = Settings.model_construct(worker_metrics_port=20_000)
    config = yaml.safe_load(write_configuration(tmp_path, settings, factor=1).read_text("utf-8"))
    for name in ("recording.rules.yml", "alerts.rules.yml"):
        assert yaml.safe_load((tmp_path / name).read_text("utf-8")) == yaml.safe_load(
            (DEPLOY / name).read_text("utf-8")
        )
    shipped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    assert config["global"] == shipped["global"]
    assert config["scrape_configs"][0]["static_configs"] == [
        {"targets": ["127.0.0.1:20000", "127.0.0.1:20001", "127.0.0.1:20002"]}
    ]
    assert config["scrape_configs"][1:] == shipped["scrape_configs"][1:]


def test_the_first_moment_of_each_state_is_kept() -> None:
    """Later looks change what is there now, not when it began; a new fault begins anew."""
    seen = Sightings()
    seen.see({"A": "pending"}, 1_000)
    seen.see({"A": "firing", "B": "pending"}, 2_000)
    seen.see({"A": "firing"}, 3_000)
    assert seen.first == {("A", "pending"): 1_000, ("A", "firing"): 2_000, ("B", "pending"): 2_000}
    assert (seen.fired, seen.now) == (["A"], {"A": "firing"})
    seen.forget()
    assert (seen.fired, seen.now) == ([], {"A": "firing"})


@pytest.mark.parametrize(
    ("shown", "good"),
    [
        pytest.param(Shown("A", "f", "scaled", 1.0, 2.0, 3.0), True, id="fired and cleared"),
        pytest.param(Shown("A", "f", "scaled", None, 2.0, 3.0, ["B"]), True, id="without a wait, another along"),
        pytest.param(Shown("A", "f", "scaled", 1.0), False, id="never fired"),
        pytest.param(Shown("A", "f", "scaled", 1.0, 2.0), False, id="never cleared"),
        pytest.param(Shown("A", "f", "scaled", 1.0, 2.0, 3.0, unexpected=["B"]), False, id="another without a cause"),
    ],
)
def test_an_alert_is_good_if_it_fires_clears_and_wakes_nobody_for_nothing(shown: Shown, *, good: bool) -> None:
    """And the table says all of it."""
    assert shown.good == good
    assert ("UNEXPECTED B" in table([shown], 10)) == bool(shown.unexpected)


def test_without_prometheus_a_sentence_says_how_to_get_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing is started then."""
    assert main(["--prometheus", str(tmp_path / "none")]) == 2
    assert re.search(r"There is no .*none: .*apt-get install prometheus", capsys.readouterr().err)
    with pytest.raises(PrometheusMissingError):
        found(tmp_path / "none")
