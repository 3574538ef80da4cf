"""`fanfare status`: which processes run, and how far the stages are, read from their metrics."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from schemas.lanes import Lane
from streams.commands.console import configured, run
from streams.commands.terminal import OutputOption, application, columns, show
from streams.operate.scrape import Scrape, merged, processes, quantile, scrape_all
from streams.operate.top.readings import HEALTHY, verdict

_STAGES: Final = ("plan", "deliver", "settle")

app = application()


@app.command()
def main(
    *,
    output: OutputOption = "text",
    as_json: Annotated[bool, typer.Option("--json", hidden=True, help="The same as -o json.")] = False,
) -> None:
    """Show processes, stages and lanes, read from /metrics of the processes on this machine.

    Ports are those of the settings (FANFARE_*_METRICS_PORT). Counts and ages are since the processes began, requests and messages
    without heartbeats; `fanfare top` has what is going on now. The last line says `healthy`, or the first thing that is not: then
    the exit status is 1.
    """
    scrapes = run("status", _scrapes())
    facts = facts_of(scrapes)
    show(facts, "json" if as_json else output, page(facts))
    if facts["verdict"] != HEALTHY:
        raise typer.Exit(1)


async def _scrapes() -> list[Scrape]:
    settings = configured("status")
    scrapes = await scrape_all(settings, processes(settings))
    return [scrape for scrape in scrapes if scrape.ready != "away" or not scrape.process.optional]


def facts_of(scrapes: Sequence[Scrape]) -> dict[str, Any]:
    """Returns the sum of all scrapes in plain values: processes, (lane, stage) rows and lane rows."""
    return {
        "verdict": verdict(scrapes),
        "processes": [{"name": each.process.name, "port": each.process.port, "ready": each.ready} for each in scrapes],
        "stages": [_stage(scrapes, lane.word, stage) for lane in Lane for stage in _STAGES],
        "lanes": [_lane(scrapes, lane.word) for lane in Lane],
        "dev_secrets": sorted(
            {
                dict(labels)["secret"]
                for each in scrapes
                for name, labels in each.samples
                if name == "fanfare_dev_secret"
            }
        ),
    }


def _stage(scrapes: Sequence[Scrape], lane: str, stage: str) -> dict[str, Any]:
    place = {"lane": lane, "stage": stage}
    return {
        **place,
        "in": _sum(scrapes, "fanfare_stage_in_total", **place),
        "out": _sum(scrapes, "fanfare_stage_out_total", **place),
        "waiting": _sum(scrapes, "fanfare_stage_waiting", **place),
        "oldest_s": _max(scrapes, "fanfare_stage_oldest_seconds", **place),
    }


def _lane(scrapes: Sequence[Scrape], lane: str) -> dict[str, Any]:
    ages = merged(each.buckets("fanfare_handoff_age_seconds", lane=lane) for each in scrapes)
    return {
        "lane": lane,
        "requests": _sum(scrapes, "fanfare_requests_accepted_total", lane=lane, heartbeat="no"),
        "refused": _sum(scrapes, "fanfare_requests_refused_total", lane=lane),
        "messages": _sum(scrapes, "fanfare_messages_total", lane=lane, state="accepted", heartbeat="no"),
        "p50_since_start_s": quantile(ages, 0.5),
        "p99_since_start_s": quantile(ages, 0.99),
        "charged": _sum(scrapes, "fanfare_charged_messages_total", lane=lane),
        "heartbeat_s": _max(scrapes, "fanfare_heartbeat_age_seconds", lane=lane),
        "lag": _sum(scrapes, "fanfare_lag_records", lane=lane),
    }


def _sum(scrapes: Sequence[Scrape], name: str, **labels: str) -> int:
    return int(sum(each.total(name, **labels) for each in scrapes))


def _max(scrapes: Sequence[Scrape], name: str, **labels: str) -> float | None:
    found = [value for each in scrapes if (value := each.highest(name, **labels)) is not None]
    return max(found, default=None)


def page(facts: dict[str, Any]) -> str:
    """The facts as three tables, a line that names development secrets if they are in use, and the verdict."""
    parts = [_table(facts["processes"]), _table(facts["stages"]), _table(facts["lanes"])]
    if facts["dev_secrets"]:
        parts.append(f"development secrets in use: {', '.join(facts['dev_secrets'])}; unsigned: dev")
    return "\n\n".join([*parts, facts["verdict"]])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = list(rows[0])
    cells = [[_cell(name, row[name]) for name in heads] for row in rows]
    numeric = [at for at, name in enumerate(heads) if isinstance(rows[0][name], int | float | None)]
    return "\n".join(columns([heads, *cells], right=numeric))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_s"):
        return f"{value:.3f}" if value < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and name != "port" else str(value)
