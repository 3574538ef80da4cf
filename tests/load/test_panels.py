"""The page that draws the dashboard: its charts from known points, and the whole of it from an answer of Prometheus' kind."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web

from tests.load.charts import Line, Span, chart, nice_top, stretches, written
from tests.load.panels import BOARD, lines_of, main, panels_of, write_page

SPAN = Span(1_000.0, 1_060.0, 5.0)


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (1, 1), (1.1, 2), (3, 4), (0.045, 0.05), (60, 80), (4_200, 5_000)]
)
def test_an_axis_ends_at_a_round_number_that_holds_everything(highest: float, top: float) -> None:
    """Nothing is drawn above the chart."""
    assert nice_top(highest) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0125, "s", "12.5 ms"),
        (2.5, "s", "2.5 s"),
        (300, "s", "5 min"),
        (0.05, "percentunit", "5 %"),
        (1_250, "cps", "1.25 k/s"),
        (3, "short", "3"),
        (0.00005, "s", "50 µs"),
    ],
)
def test_values_are_written_with_their_unit(value: float, unit: str, words: str) -> None:
    """As people read them."""
    assert written(value, unit) == words


def test_a_hole_breaks_the_line() -> None:
    """Nobody is shown a line where nothing was measured."""
    points = [(1_000.0, 1.0), (1_005.0, 2.0), (1_030.0, 3.0)]
    assert list(stretches(points, 12.5)) == [points[:2], points[2:]]
    assert chart([Line("otp", points)], SPAN, "s").count("<polyline") == 2


def test_a_chart_without_points_says_so() -> None:
    """An empty panel is told from one that is all zero."""
    assert "no data" in chart([Line("otp", [])], SPAN, "s")
    assert "<polyline" in chart([Line("otp", [(1_000.0, 0.0)])], SPAN, "s")


def test_series_are_named_as_the_legend_says_and_nothing_is_drawn_of_no_value() -> None:
    """``NaN`` is the quantile of nothing."""
    series = [{"metric": {"lane": "otp"}, "values": [[1_000, "NaN"], [1_005, "0.5"], [1_010, "+Inf"]]}]
    assert lines_of(series, "{{lane}} p99 {{stage}}") == [Line("otp p99 ", [(1_005, 0.5)])]


async def test_the_page_has_every_panel_and_stands_alone(tmp_path: Path) -> None:
    """Each query of the dashboard is asked, what has no data is named, and nothing is fetched from elsewhere."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        values = [] if "dead_letters" in asked[-1] else [[float(request.query["start"]), "1"]]
        return web.json_response({"status": "success", "data": {"result": [{"metric": {}, "values": values}]}})

    app = web.Application()
    app.router.add_get("/api/v1/query_range", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        empty = await write_page(f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path / "page.html", minutes=1)
    finally:
        await runner.cleanup()
    panels = panels_of(json.loads(BOARD.read_text("utf-8")))
    assert asked == [target["expr"] for panel in panels for target in panel["targets"]]
    assert empty == ["Dead letters", "fanfare_dead_letters_total"]
    text = (tmp_path / "page.html").read_text("utf-8")
    assert text.count("<section>") == len(panels)
    assert text.count("no data") == len(empty)
    assert not re.search(r"https?://|<script|@import|url\(", text)


def test_without_a_prometheus_a_sentence_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Port 1 is nobody's."""
    assert main(["--prometheus", "http://127.0.0.1:1", "-o", str(tmp_path / "page.html")]) == 1
    assert "no Prometheus answers at http://127.0.0.1:1" in capsys.readouterr().err
