"""Lays out a frame of the live view, a picture for a terminal of some size, of panels and lines. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.lanes import Lane
from streams.operate.top import fitting
from streams.operate.top.fitting import chosen
from streams.operate.top.model import STAGES, Count, Health, LaneRow, Phone, Picture, StageRow, Word
from streams.operate.top.readings import HEALTHY

DIM: Final = "bright_black"
BAD: Final = "bold red"
COLOURS: Final = {lane.word: lane.rules.colour for lane in Lane}
_LATE_S: Final = 30.0
"""A heartbeat is every ten seconds; an input that is older than this is stuck."""
_REQUEST: Final = 24
"""Characters of a request's id."""
_TOLD: Final = {"refused": BAD, "closed": "green", "accepted": "cyan", "running": "blue"}


def lanes(rows: Sequence[LaneRow], *, curve: int) -> Table:
    """A row a lane; ``curve`` columns of messages a second, 0 for none."""
    heads = ["lane", "requests", "messages", "/s", "p50", "p99", "charged", "unread", "heartbeat"]
    table = _table(heads, left=1)
    if curve:
        table.add_column(f"/s, last {curve} looks", justify="left", no_wrap=True)
    for row in rows:
        drawn = [Text(fitting.curve(row.history, curve), COLOURS[row.lane])] if curve else []
        table.add_row(
            Text(row.lane, COLOURS[row.lane]),
            fitting.count(row.requests),
            fitting.count(row.messages),
            Text(fitting.rate(row.rate), "bold"),
            Text(fitting.age(row.p50_s), "bold"),
            Text(fitting.age(row.p99_s), "bold"),
            fitting.count(row.charged),
            fitting.count(row.lag),
            _age(row.heartbeat_s),
            *drawn,
        )
    return table


def stages(rows: Sequence[StageRow], *, by_lane: bool) -> Table:
    """A row for each stage of each lane, or for each stage."""
    table = _table(
        ["stage", *(["lane"] if by_lane else []), "in", "/s", "waiting", "out", "/s", "oldest"], left=1 + by_lane
    )
    shown = rows if by_lane else [_over_lanes(stage, rows) for stage in STAGES]
    last = ""
    for row in shown:
        table.add_row(
            "" if row.stage == last else row.stage,
            *([Text(row.lane, COLOURS[row.lane])] if by_lane else []),
            fitting.count(row.taken),
            fitting.rate(row.taken_rate),
            Text(fitting.count(row.waiting), "bold" if row.waiting else DIM),
            fitting.count(row.finished),
            fitting.rate(row.finished_rate),
            _age(row.oldest_s),
        )
        last = row.stage
    return table


def _over_lanes(stage: str, rows: Sequence[StageRow]) -> StageRow:
    own = [row for row in rows if row.stage == stage]
    waiting = [row.waiting for row in own if row.waiting is not None]
    return StageRow(
        stage=stage,
        lane="",
        taken=sum(row.taken for row in own),
        taken_rate=sum(row.taken_rate for row in own),
        waiting=sum(waiting) if waiting else None,
        finished=sum(row.finished for row in own),
        finished_rate=sum(row.finished_rate for row in own),
        oldest_s=max((row.oldest_s for row in own if row.oldest_s is not None), default=None),
    )


def health(rows: Sequence[Health], verdict: str) -> Text:
    """Returns how many processes are ready, and each that is not, with what it says; if all are, whether all is well."""
    ready = sum(row.ready == "ok" for row in rows)
    text = Text(f"● {ready} ready", "green" if ready else DIM)
    if ready == len(rows):
        text.append(f"  {verdict}", "green" if verdict == HEALTHY else BAD)
    unready: dict[str, list[str]] = {}
    for row in rows:
        if row.ready != "ok":
            unready.setdefault(row.ready, []).append(row.name)
    for said, names in unready.items():
        text.append(f"  ○ {said}: {', '.join(names)}", BAD)
    return text


def counts(rows: Sequence[Count], *, most: int) -> Table:
    """A row a count, the highest first; what there is no room for is added up in the last."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style=DIM, expand=True)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    for head in ("all", "/s"):
        table.add_column(head, justify="right", no_wrap=True)
    kept = rows[: most if len(rows) <= most else most - 1]
    rest = rows[len(kept) :]
    others = [Count(f"{len(rest)} more", sum(row.count for row in rest), sum(row.rate for row in rest))] if rest else []
    for row in (*kept, *others):
        table.add_row(plain(row.word), fitting.count(row.count), Text(fitting.rate(row.rate), DIM))
    return table


def line(head: str, rows: Iterable[Count], none: str = "none") -> Text:
    """The same in one line: ``refused  12 stale, 3 unknown template``."""
    text = Text(f"{head:<9}", DIM, no_wrap=True, overflow="ellipsis")
    text.append(", ".join(f"{fitting.count(row.count)} {plain(row.word)}" for row in rows) or none, "default")
    return text


def money(picture: Picture) -> Text:
    """Draws the ledger's postings: messages by category, amounts by currency."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for row in picture.charges:
        text.append(f"{row.word} ", DIM)
        text.append(f"{fitting.amount(row.count)}  ", "bold")
    text.append(", ".join(f"{fitting.count(row.count)} {plain(row.word)}" for row in picture.posted) or "none")
    return text


def phones(rows: Sequence[Phone], note: str) -> list[Text]:
    """A line a message: number, badge, sender, text."""
    if note and not rows:
        return [Text(note, BAD, no_wrap=True, overflow="ellipsis")]
    numbers = max((len(row.phone) for row in rows), default=0)
    return [_phone(row, numbers) for row in rows] or [Text("no messages yet", DIM)]


def _phone(row: Phone, numbers: int) -> Text:
    text = Text(f"{row.phone:<{numbers}} ", DIM, no_wrap=True, overflow="ellipsis")
    text.append("✓ " if row.verified else "  ", "green")
    text.append(f"{row.name}: ", "bold default")
    text.append(" ".join(row.text.split()), "strike" if row.dropped else "default")
    return text


def words(rows: Sequence[Word], note: str, *, most: int) -> list[Text]:
    """A line a business: when, who, about which request, what it was told last."""
    if note and not rows:
        return [Text(note, BAD, no_wrap=True, overflow="ellipsis")]
    kept = rows[:most]
    businesses = max((len(row.business) for row in kept), default=0)
    requests = min(_REQUEST, max((len(row.request) for row in kept), default=0))
    return [_word(row, businesses, requests) for row in kept] or [Text("nothing yet", DIM)]


def _word(row: Word, businesses: int, requests: int) -> Text:
    text = Text(f"{fitting.instant(row.at_ms)} ", DIM, no_wrap=True, overflow="ellipsis")
    text.append(f"{row.business:<{businesses}} ", "default")
    text.append(f"{row.state:<8} ", _TOLD.get(row.state, "default"))
    text.append(f"{row.request[:requests]:<{requests}} ", DIM)
    text.append(row.said, "default")
    return text


def plain(word: str) -> str:
    """A word of a label as people read it."""
    return word.replace("_", " ")


def _age(seconds: float | None) -> Text:
    if seconds is not None and seconds >= _LATE_S:
        return Text(fitting.age(seconds), BAD)
    return Text(fitting.age(seconds) if seconds else fitting.NOTHING, "default" if seconds else DIM)


def _table(heads: Sequence[str], *, left: int) -> Table:
    """Without borders; the first ``left`` columns are words, the others numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=DIM)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < left else "right", no_wrap=True)
    return table


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
    left = Text.assemble((f"{title}  ", "bold"), health(picture.health, picture.verdict))
    at = f"{fitting.instant(picture.at_ms)} UTC"
    spans = f"rates over {over}, ages {ages}  "
    # What is wrong is read to its end, which is how long it has been so; over how long rates are taken can wait.
    fits = left.cell_len + len(spans) + len(at) + 2 <= width
    grid.add_row(left, Text(f"{spans if fits else ''}{at}", DIM))
    return grid


def _foot(picture: Picture, note: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    if note:
        text.append(note, "bold")
    elif picture.secrets:
        text.append("development: NOT FOR PRODUCTION (dev secrets, unsigned: dev)", DIM)
    return text


def _wide(picture: Picture, width: int, height: int, labels: tuple[str, str]) -> Group:
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
    middle.add_row(_boxed("stages", stages(picture.stages, by_lane=True)), counts)
    return Group(
        _head(picture, labels[0], width),
        _boxed("lanes", lanes(picture.lanes, curve=max(8, min(40, width - 90)))),
        middle,
        _boxed("charges posted", money(picture)),
        _boxed("phones", Group(*phones(chosen(aside.phones, lines), aside.phones_note))),
        _boxed("told to businesses", Group(*words(aside.words, aside.words_note, most=told))),
        _foot(picture, labels[1]),
    )


def _panel(title: str, rows: Sequence[Count], *, height: int) -> Panel:
    body = counts(rows, most=height - 3) if rows else Text("none", DIM)
    return _boxed(title, body, height=height)


def _boxed(title: str, body: RenderableType, *, height: int | None = None) -> Panel:
    return Panel(body, title=title, title_align="left", box=ROUNDED, border_style=DIM, height=height)


def _narrow(picture: Picture, width: int, height: int, labels: tuple[str, str]) -> Group:
    aside = picture.aside
    free = min(2 * _MOST, max(2, height - _NARROW_LINES))
    told = free // 2
    stands = health(picture.health, picture.verdict)
    title = f"{labels[0]}  " if len(labels[0]) + 2 + stands.cell_len <= width else ""
    return Group(
        Text.assemble((title, "bold"), stands, no_wrap=True, overflow="ellipsis"),
        lanes(picture.lanes, curve=0),
        stages(picture.stages, by_lane=False),
        line("refused", picture.refused),
        line("ended", picture.ended),
        line("gateway", picture.gateway),
        line("receipts", picture.receipts),
        Text.assemble(("charges  ", DIM), money(picture), no_wrap=True, overflow="ellipsis"),
        Text("phones", DIM),
        *phones(chosen(aside.phones, free - told), aside.phones_note),
        Text("told to businesses", DIM),
        *words(aside.words, aside.words_note, most=told),
        _foot(picture, labels[1]),
    )
