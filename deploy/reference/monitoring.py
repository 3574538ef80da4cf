"""Writes what a deployment is watched by: Grafana's dashboard, Prometheus's configuration, and the alerts about single lanes.

A panel's expression names recorded series (``deploy/prometheus/recording.rules.yml``) or metrics of the catalogue; nothing is
drawn by shard, which would be a thousand lines.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from schemas.lanes import BY_PLACE, Lane
from streams.runtime import metrics
from streams.runtime.prometheus import Family, Kind
from streams.runtime.settings import Settings

WIDTH: Final = 24
_PANEL_W: Final = 8
_PANEL_H: Final = 8
_AT_START: Final = frozenset({metrics.JOURNAL_FOLD.name})
"""Histograms that hold what happened as a process began to serve."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Panel(msgspec.Struct, frozen=True):
    """Describes a panel: its lines are those of ``expressions``, each with the words of its legend."""

    title: str
    meaning: str
    unit: str
    """In Grafana's words: ``s``, ``cps`` (counts a second), ``percentunit``, ``short``."""
    expressions: tuple[tuple[str, str], ...]


OVERVIEW: Final = (
    Panel(
        "Age at hand-off",
        "From the event's time until the gateway accepted the message, unless it had to wait: half and 99 % are younger.",
        "s",
        (
            ("lane:fanfare_handoff_age_seconds:p50_5m", "{{lane}} p50"),
            ("lane:fanfare_handoff_age_seconds:p99_5m", "{{lane}} p99"),
            ("lane:fanfare_handoff_age_seconds:p99_1m", "{{lane}} p99 of a minute"),
        ),
    ),
    Panel(
        "Oldest heartbeat",
        "The shard of each lane through which nothing has come for longest; 10 s is ordinary.",
        "s",
        (("max by (lane) (lane_shard:fanfare_heartbeat_age_seconds:min)", "{{lane}}"),),
    ),
    Panel(
        "Messages accepted by the gateway",
        "By lane, a second.",
        "cps",
        (("lane:fanfare_messages_accepted:rate5m", "{{lane}}"),),
    ),
    Panel(
        "Oldest unfinished input",
        "Commits wait for it; above 30 s the process is no longer live.",
        "s",
        (("lane_stage:fanfare_stage_oldest_seconds:max", "{{lane}} {{stage}}"),),
    ),
    Panel(
        "Gateway fails or refuses",
        "Share of frames that failed, and of messages that ended for a reason of the deployment's.",
        "percentunit",
        (
            ("lane:fanfare_gateway_failed:ratio_rate5m", "{{lane}} frames"),
            ("lane:fanfare_gateway_failed:ratio_rate1m", "{{lane}} frames of a minute"),
            ("lane:fanfare_messages_refused:ratio_rate5m", "{{lane}} messages"),
            ("lane:fanfare_gateway_ill:ratio_rate5m", "{{lane}} 131000 and 131016"),
        ),
    ),
    Panel(
        "Age of what is known of STOPs",
        "Above 0.1 s deliver decides nothing.",
        "s",
        (("lane:fanfare_suppressions_age_seconds:max", "{{lane}}"),),
    ),
    Panel(
        "Records that cannot be read",
        "Set aside by processes that go on without them: if they were STOPs, people may be told what they forbade.",
        "short",
        (("lane_topic:fanfare_unread_records:max > 0", "{{lane}} {{topic}}"),),
    ),
    Panel(
        "Clocks",
        "By how much those of gateway and workers, of Kafka and programs differ at least.",
        "s",
        (
            ("lane:fanfare_gateway_clock_off_seconds:max", "{{lane}} gateway"),
            ("program:fanfare_kafka_clock_off_seconds:max", "{{program}} Kafka"),
        ),
    ),
    Panel(
        "Dead letters",
        "Records set aside because nobody could be told, a second.",
        "cps",
        (
            ("sum by (stage) (stage_reason:fanfare_dead_letters:rate5m)", "{{stage}}, all"),
            ("stage_reason:fanfare_dead_letters:rate5m > 0", "{{stage}} {{reason}}"),
        ),
    ),
    Panel(
        "Charged and posted",
        "What settle asked the ledger to post, and what the ledger dealt with, in messages a second.",
        "cps",
        (
            ("deployment:fanfare_charged_messages:rate5m", "charged"),
            ("deployment:fanfare_ledger_handled:rate5m", "handled by the ledger"),
        ),
    ),
    Panel(
        "Take-overs within 15 minutes",
        "How often the journal that changed its owner most often did so.",
        "short",
        (("lane:fanfare_journal_epoch:takeovers_15m", "{{lane}}"),),
    ),
    Panel(
        "Reasons that call an operator",
        "What ended for them within 15 minutes, a second.",
        "cps",
        (("reason:fanfare_alerts:rate15m", "{{reason}}"),),
    ),
    Panel(
        "Receipts at odds with the journal",
        "Share of receipts that settle could not use, and of messages that ended without a final word.",
        "percentunit",
        (("lane_evidence:fanfare_evidence_at_odds:ratio_rate15m", "{{lane}} {{evidence}}"),),
    ),
)


def dashboard(families: Sequence[Family[Any]]) -> str:
    """The dashboard as JSON, as Grafana imports it."""
    overview = _placed(OVERVIEW, first_id=1, top=0)
    below = -(-len(OVERVIEW) * _PANEL_W // WIDTH) * _PANEL_H
    row_id = len(overview) + 1
    every = _placed([panel_of(family) for family in families], first_id=row_id + 1, top=below + 1)
    row = {
        "id": row_id,
        "type": "row",
        "title": "Every metric",
        "collapsed": True,
        "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": below},
        "panels": every,
    }
    return json.dumps({**_FRAME, "panels": [*overview, row]}, indent=1, ensure_ascii=False) + "\n"


def panel_of(family: Family[Any]) -> Panel:
    """A counter is drawn as its rate, a gauge by its highest value, a histogram by its median and its 99 % of five minutes.

    What a process observes at its start alone has no rate by the time of its first scrape: it is drawn since that start.
    """
    labels = [label.name for label in family.labels if label is not metrics.SHARD]
    by, legend = f" by ({', '.join(labels)})" if labels else "", " ".join(f"{{{{{label}}}}}" for label in labels)
    name, unit = family.name, {"seconds": "s"}.get(family.unit, "short")
    if family.kind is Kind.COUNTER:
        return Panel(name, family.meaning, "cps", ((f"sum{by} (rate({name}[5m]))", legend or name),))
    if family.kind is Kind.GAUGE:
        return Panel(name, family.meaning, unit, ((f"max{by} ({name})", legend or name),))
    return Panel(name, family.meaning, unit, tuple(_quantiles(name, labels, legend)))


def _quantiles(name: str, labels: Sequence[str], legend: str) -> Iterator[tuple[str, str]]:
    for share, word in ((0.5, "p50"), (0.99, "p99")):
        grouped = ", ".join([*labels, "le"])
        observed = f"{name}_bucket" if name in _AT_START else f"rate({name}_bucket[5m])"
        yield f"histogram_quantile({share}, sum by ({grouped}) ({observed}))", f"{legend} {word}".strip()


def _placed(panels: Sequence[Panel], *, first_id: int, top: int) -> list[dict[str, Any]]:
    """Panels as Grafana's, from left to right and downwards from ``top``."""
    a_row = WIDTH // _PANEL_W
    return [
        _drawn(panel, first_id + place, x=place % a_row * _PANEL_W, y=top + place // a_row * _PANEL_H)
        for place, panel in enumerate(panels)
    ]


def _drawn(panel: Panel, number: int, *, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "gridPos": {"h": _PANEL_H, "w": _PANEL_W, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.expressions)
        ],
    }


_FRAME: Final = {
    "uid": "fanfare",
    "title": "Fanfare",
    "description": "Made from streams/runtime/metrics.py by python -m deploy.reference; not edited by hand.",
    "tags": ["fanfare"],
    "schemaVersion": 39,
    "version": 1,
    "editable": False,
    "refresh": "10s",
    "time": {"from": "now-1h", "to": "now"},
    "templating": {
        "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "hide": 0}]
    },
    "annotations": {
        "list": [
            {
                "name": "Alerts",
                "datasource": _SOURCE,
                "enable": True,
                "iconColor": "red",
                "expr": 'ALERTS{alertstate="firing"}',
                "titleFormat": "{{alertname}}",
                "textFormat": "{{lane}}",
            }
        ]
    },
}


_CONFIG: Final = """\
# Prometheus for one deployment of Fanfare on this machine: the fixed ports, the rules, nothing else.
# Made by `python -m deploy.reference`; not edited by hand.
#
#   prometheus --config.file=deploy/prometheus/prometheus.yml --storage.tsdb.path=.data/prometheus \\
#     --web.listen-address=127.0.0.1:9090
#
# Metrics carry their own labels (lane, shard, stage), so no target gets labels of its own. Every metric: deploy/METRICS.md.

global:
  scrape_interval: 5s
  evaluation_interval: 5s

rule_files:
  - recording.rules.yml
  - alerts.rules.yml

scrape_configs:
"""
_HANDOFF: Final = "lane:fanfare_handoff_age_seconds"
_HEARTBEAT: Final = "lane_shard:fanfare_heartbeat_age_seconds:min"
_LATE_LINES: Final = re.compile(rf"(?m)^(?: +(?:or )?\({_HANDOFF}:p99_5m\{{lane=.*\n)+")
_AWAY_LINES: Final = re.compile(rf"(?m)^(?: +or \(absent\({_HEARTBEAT}\{{lane=.*\n)+")


def scrape_config() -> str:
    """Returns ``prometheus.yml``: a job for each kind of process, at the ports that settings have by default."""
    settings = Settings.model_construct()
    words = ", ".join(lane.word for lane in Lane)
    workers = [settings.worker_metrics(lane) for lane in Lane]
    further = ", ".join(f"{settings.metrics_host}:{port + 100}" for port in workers)
    gateways = [settings.gateway_metrics(lane) for lane in BY_PLACE]
    jobs = (
        ("worker", f"{words} in slot 0. A further slot adds 100 to each: {further}.", workers),
        ("webhook", "", [settings.webhook_metrics_port]),
        ("ledger", "", [settings.ledger_metrics_port]),
        ("intake", "", [settings.intake_metrics_port]),
        (
            "gateway",
            f"The simulated gateway: {', '.join(lane.word for lane in BY_PLACE)}. Leave it out where a real gateway is used.",
            gateways,
        ),
    )
    return _CONFIG + "".join(_job(name, remark, ports, settings.metrics_host) for name, remark, ports in jobs)


def _job(name: str, remark: str, ports: Iterable[int], host: str) -> str:
    comment = f"  # {remark}\n" if remark else ""
    targets = ", ".join(f'"{host}:{port}"' for port in ports)
    return f"{comment}  - job_name: fanfare-{name}\n    static_configs:\n      - targets: [{targets}]\n"


def alert_rules(written: str) -> str:
    """Returns ``alerts.rules.yml`` as it is written, with the lines anew of when a lane is late and which one is away."""
    late = [_late(lane, lane.rules.late_after_s) for lane in Lane if lane.rules.late_after_s is not None]
    away = [
        f'or (absent({_HEARTBEAT}{{lane="{lane.word}"}}) unless on (lane) last_over_time({_HEARTBEAT}[1h]))'
        for lane in Lane
    ]
    written, lates = _LATE_LINES.subn(_lines(10, [late[0], *(f"or {each}" for each in late[1:])]), written)
    written, aways = _AWAY_LINES.subn(_lines(12, away), written)
    if (lates, aways) != (1, 1):
        raise ValueError("alerts.rules.yml has no lines any more that tell lanes apart")
    return written


def _late(lane: Lane, after_s: float) -> str:
    minutes = (f'{_HANDOFF}:p99_{span}{{lane="{lane.word}"}} > {after_s:g}' for span in ("5m", "1m"))
    return f"({' and '.join(minutes)})"


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "".join(f"{' ' * indent}{line}\n" for line in lines)
