"""`python -m tests.load.panels`: the dashboard of deploy/prometheus as one page of HTML, drawn from a running Prometheus.

Grafana draws the same panels from the same queries; this page needs neither Grafana nor a network, and opens in any browser.
Ends with one line of JSON: how many panels there are, and which of them have no data. `python -m tests.faults.alerts --panels
FILE` makes a page of a run in which every alert fires.
"""

import argparse
import asyncio
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import aiohttp

from streams.runtime import clock
from tests.load.charts import Line, Span, chart, legend

BOARD: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "dashboard.json"
_POINTS: Final = 240
"""About so many in a line."""
_LABEL: Final = re.compile(r"\{\{(\w+)\}\}")
_STYLE: Final = """
body{font:14px system-ui,sans-serif;margin:20px;background:#f4f5f7;color:#222}
h1{font-size:20px}h2{font-size:16px;margin:24px 0 8px}
main{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:10px}
section{background:#fff;border:1px solid #ddd;border-radius:4px;padding:8px;min-width:0}
h3{font-size:13px;margin:0;overflow-wrap:anywhere}p{font-size:11px;color:#666;margin:2px 0 4px;min-height:28px}
svg{width:100%;display:block}polyline{fill:none;stroke-width:1.5}line{stroke:#e4e4e4}text{font-size:10px;fill:#666}
text.y{text-anchor:end}text.none{text-anchor:middle;font-size:13px;fill:#aaa}
div{font-size:11px;display:flex;flex-wrap:wrap;gap:2px 12px}
i{display:inline-block;width:10px;height:3px;margin-right:4px;vertical-align:middle}
"""

Drawn = list[tuple[dict[str, Any], list[Line]]]
"""Panels with their lines."""


class PanelsError(Exception):
    """The page cannot be made: the sentence says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; 1 if no Prometheus answers or it refuses a query."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.panels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (http://127.0.0.1:9090)")
    parser.add_argument("--minutes", type=float, default=10, help="how far back (10)")
    parser.add_argument("-o", "--output", type=Path, default=Path("panels.html"), help="the page (panels.html)")
    asked = parser.parse_args(arguments)
    try:
        empty = asyncio.run(write_page(asked.prometheus, asked.output, minutes=asked.minutes))
    except PanelsError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"page": str(asked.output), "panels": len(panels_of(_board())), "empty": empty}))
    return 0


async def write_page(address: str, path: Path, *, minutes: float) -> list[str]:
    """Draw every panel of the last ``minutes`` into ``path``; gives the titles of those without data."""
    last = clock.now_ms() / 1000
    span = Span(last - minutes * 60, last, max(1.0, minutes * 60 / _POINTS))
    drawn: Drawn = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for panel in panels_of(_board()):
            lines = [line for target in panel["targets"] for line in await _lines(session, address, target, span)]
            drawn.append((panel, lines))
    path.write_text(page(drawn, span), "utf-8")
    return [panel["title"] for panel, lines in drawn if not any(line.points for line in lines)]


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel in order, those of folded rows too."""
    return [each for panel in board["panels"] for each in panel.get("panels", [panel])]


def page(drawn: Drawn, span: Span) -> str:
    """The page: what users notice on top, then every metric."""
    ahead = sum(not panel["title"].startswith("fanfare_") for panel, _ in drawn)
    parts = [_section(panel, lines, span) for panel, lines in drawn]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Fanfare</title><style>{_STYLE}</style>'
        f"<h1>Fanfare</h1><main>{''.join(parts[:ahead])}</main>"
        f"<h2>Every metric</h2><main>{''.join(parts[ahead:])}</main></html>\n"
    )


def lines_of(result: Sequence[Mapping[str, Any]], words: str) -> list[Line]:
    """A range query's series as lines; values that are none (a quantile of nothing) are left out."""
    return [
        Line(
            _named(words, series["metric"]),
            [(at, float(value)) for at, value in series["values"] if math.isfinite(float(value))],
        )
        for series in result
    ]


def _named(words: str, labels: Mapping[str, str]) -> str:
    return _LABEL.sub(lambda match: labels.get(match[1], ""), words)


def _section(panel: dict[str, Any], lines: list[Line], span: Span) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    title, meaning = escape(panel["title"]), escape(panel["description"])
    return (
        f"<section><h3>{title}</h3><p>{meaning}</p>{chart(lines, span, unit)}<div>{legend(lines, unit)}</div></section>"
    )


async def _lines(session: aiohttp.ClientSession, address: str, target: dict[str, Any], span: Span) -> list[Line]:
    asked = {
        "query": target["expr"],
        "start": f"{span.first:.3f}",
        "end": f"{span.last:.3f}",
        "step": f"{span.step:.3f}",
    }
    try:
        async with session.get(f"{address.rstrip('/')}/api/v1/query_range", params=asked) as answer:
            body = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise PanelsError(f"no Prometheus answers at {address}: name it with --prometheus") from error
    if body["status"] != "success":
        raise PanelsError(f"Prometheus refuses {target['expr']}: {body['error']}")
    return lines_of(body["data"]["result"], target["legendFormat"])


def _board() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(BOARD.read_text("utf-8"))
    return board


if __name__ == "__main__":
    sys.exit(main())
