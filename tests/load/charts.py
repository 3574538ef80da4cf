"""Line charts as SVG, as a panel of Grafana would draw them: enough to look at a dashboard without Grafana. Pure."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

import msgspec

WIDTH: Final = 460
HEIGHT: Final = 190
_LEFT: Final = 62
_RIGHT: Final = 8
_TOP: Final = 8
_BOTTOM: Final = 22
_COLOURS: Final = ("#3266cc", "#d9480f", "#2b8a3e", "#862e9c", "#b08900", "#0b7285", "#c2255c", "#495057")
_TICKS: Final = 4
_GAP_STEPS: Final = 2.5
"""A line is broken where so many steps have no value."""
_MINUTES_FROM: Final = 120
"""So many seconds and more are written, and divided, as minutes."""
_SCALES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

Point = tuple[float, float]
"""Seconds since the epoch, and the value."""


class Line(msgspec.Struct, frozen=True):
    """One line: its words in the legend, and its points in the order of time; values are finite."""

    name: str
    points: Sequence[Point]


class Span(msgspec.Struct, frozen=True):
    """The time that a chart covers, and the distance of two points, in seconds."""

    first: float
    last: float
    step: float


def chart(lines: Sequence[Line], span: Span, unit: str) -> str:
    """One chart; ``unit`` in Grafana's words. Without any point it says so."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}"><text x="{WIDTH // 2}" y="{HEIGHT // 2}" class="none">no data</text></svg>'
    highest = max(value for line in drawn for _, value in line.points)
    top = nice_top(highest / 60) * 60 if unit == "s" and highest > _MINUTES_FROM else nice_top(highest)
    parts = [*_grid(span, top, unit)]
    for place, line in enumerate(drawn):
        for stretch in stretches(line.points, span.step * _GAP_STEPS):
            path = " ".join(f"{_x(at, span):.1f},{_y(value, top):.1f}" for at, value in stretch)
            dot = len(stretch) == 1
            shape = f'points="{path} {path}" stroke-linecap="round"' if dot else f'points="{path}"'
            parts.append(f'<polyline {shape} stroke="{_COLOURS[place % len(_COLOURS)]}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def legend(lines: Sequence[Line], unit: str) -> str:
    """The names of the lines in their colours, each with its last value."""
    drawn = [line for line in lines if line.points]
    return "".join(
        f'<span><i style="background:{_COLOURS[place % len(_COLOURS)]}"></i>{escape(line.name)}'
        f" <b>{written(line.points[-1][1], unit)}</b></span>"
        for place, line in enumerate(drawn)
    )


def stretches(points: Sequence[Point], gap: float) -> Iterator[list[Point]]:
    """The points in runs that have no hole longer than ``gap``."""
    run: list[Point] = []
    for point in points:
        if run and point[0] - run[-1][0] > gap:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def nice_top(highest: float) -> float:
    """The end of an axis from 0 that holds ``highest``: 1, 2, 4, 5 or 8 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= highest * (1 - 1e-9))


def written(value: float, unit: str) -> str:
    """A value with its unit as people read it: ``250 ms``, ``1.2 k/s``, ``5 %``."""
    if unit == "s":
        return _seconds(value)
    if unit == "percentunit":
        return f"{_plain(value * 100)} %"
    for scale, letter in _SCALES:
        if abs(value) >= scale:
            return f"{_plain(value / scale)} {letter}" + ("/s" if unit == "cps" else "")
    return _plain(value) + ("/s" if unit == "cps" else "")


def _seconds(value: float) -> str:
    if value == 0 or value >= 1:
        return f"{_plain(value)} s" if value < _MINUTES_FROM else f"{_plain(value / 60)} min"
    return f"{_plain(value * 1_000)} ms" if value >= 0.001 else f"{_plain(value * 1_000_000)} µs"


def _plain(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"


def _grid(span: Span, top: float, unit: str) -> Iterator[str]:
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" class="y">{written(value, unit)}</text>'
        at = span.first + (span.last - span.first) * tick / _TICKS
        anchor = ("start", "middle", "middle", "middle", "end")[tick]
        moment = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
        yield f'<text x="{_x(at, span):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{moment}</text>'


def _x(at: float, span: Span) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - span.first) / max(span.last - span.first, 1e-9)


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top
