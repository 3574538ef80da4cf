"""Lays out a frame of the live view: a picture for a terminal of some size. Pure."""

from collections.abc import Sequence
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.ids import Lane
from streams.operate.top import formatting, panels
from streams.operate.top.model import STAGES, Count, Picture
from streams.operate.top.selection import chosen

WIDE: Final = (112, 36)
"""Columns and lines from which there are panels; below them, lines without borders that fit 80 by 24."""
_STAGES_HEIGHT: Final = len(STAGES) * len(Lane) + 3
_WIDE_LINES: Final = 1 + 6 + _STAGES_HEIGHT + 3 + 2 + 2 + 1
"""Lines of a frame with panels but for those of phones and words."""
_NARROW_LINES: Final = 1 + 4 + (1 + len(STAGES)) + 5 + 2 + 1
"""The same without panels."""
_MOST: Final = 12


def frame(picture: Picture, width: int, height: int, *, title: str = "fanfare top", note: str = "") -> RenderableType:
    """The frame. ``note`` is a line of the program's own at its foot."""
    wide = width >= WIDE[0] and height >= WIDE[1]
    return _wide(picture, width, height, (title, note)) if wide else _narrow(picture, width, height, (title, note))


def _head(picture: Picture, title: str, width: int) -> Table:
    over = f"{picture.span_s:.0f} s"
    ages = f"over {over}" if picture.recent else "since start"
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    left = Text.assemble((f"{title}  ", "bold"), panels.health(picture.health, picture.verdict))
    at = f"{formatting.instant(picture.at_ms)} UTC"
    spans = f"rates over {over}, ages {ages}  "
    # What is wrong is read to its end, which is how long it has been so; over how long rates are taken can wait.
    fits = left.cell_len + len(spans) + len(at) + 2 <= width
    grid.add_row(left, Text(f"{spans if fits else ''}{at}", panels.DIM))
    return grid


def _foot(picture: Picture, note: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    if note:
        text.append(note, "bold")
    elif picture.secrets:
        text.append("development: NOT FOR PRODUCTION (dev secrets, unsigned: dev)", panels.DIM)
    return text


def _wide(picture: Picture, width: int, height: int, words: tuple[str, str]) -> Group:
    aside = picture.aside
    free = max(4, height - _WIDE_LINES)
    lines = min(_MOST, free - free // 2)
    told = min(_MOST, free // 2)
    upper, lower = _STAGES_HEIGHT - _STAGES_HEIGHT // 2, _STAGES_HEIGHT // 2
    counts = Table.grid(expand=True)
    counts.add_column(ratio=1)
    counts.add_column(ratio=1)
    counts.add_row(
        _panel("requests refused", picture.refused, height=upper),
        _panel("gateway answers", picture.gateway, height=upper),
    )
    counts.add_row(
        _panel("messages ended early", picture.ended, height=lower), _panel("receipts", picture.receipts, height=lower)
    )
    middle = Table.grid(expand=True)
    middle.add_column()
    middle.add_column(ratio=1)
    middle.add_row(_boxed("stages", panels.stages(picture.stages, by_lane=True)), counts)
    return Group(
        _head(picture, words[0], width),
        _boxed("lanes", panels.lanes(picture.lanes, curve=max(8, min(40, width - 90)))),
        middle,
        _boxed("charges posted", panels.money(picture)),
        _boxed("phones", Group(*panels.phones(chosen(aside.phones, lines), aside.phones_note))),
        _boxed("told to businesses", Group(*panels.words(aside.words, aside.words_note, most=told))),
        _foot(picture, words[1]),
    )


def _panel(title: str, rows: Sequence[Count], *, height: int) -> Panel:
    body = panels.counts(rows, most=height - 3) if rows else Text("none", panels.DIM)
    return _boxed(title, body, height=height)


def _boxed(title: str, body: RenderableType, *, height: int | None = None) -> Panel:
    return Panel(body, title=title, title_align="left", box=ROUNDED, border_style=panels.DIM, height=height)


def _narrow(picture: Picture, width: int, height: int, words: tuple[str, str]) -> Group:
    aside = picture.aside
    free = min(2 * _MOST, max(2, height - _NARROW_LINES))
    told = free // 2
    health = panels.health(picture.health, picture.verdict)
    title = f"{words[0]}  " if len(words[0]) + 2 + health.cell_len <= width else ""
    return Group(
        Text.assemble((title, "bold"), health, no_wrap=True, overflow="ellipsis"),
        panels.lanes(picture.lanes, curve=0),
        panels.stages(picture.stages, by_lane=False),
        panels.line("refused", picture.refused),
        panels.line("ended", picture.ended),
        panels.line("gateway", picture.gateway),
        panels.line("receipts", picture.receipts),
        Text.assemble(("charges  ", panels.DIM), panels.money(picture), no_wrap=True, overflow="ellipsis"),
        Text("phones", panels.DIM),
        *panels.phones(chosen(aside.phones, free - told), aside.phones_note),
        Text("told to businesses", panels.DIM),
        *panels.words(aside.words, aside.words_note, most=told),
        _foot(picture, words[1]),
    )
