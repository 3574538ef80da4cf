"""Writes what Prometheus reads of lanes and ports: ``prometheus.yml``, and the lines of ``alerts.rules.yml`` about one lane."""

import re
from collections.abc import Iterable
from typing import Final

from schemas.lanes import BY_PLACE, Lane
from streams.runtime.settings import Settings

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
