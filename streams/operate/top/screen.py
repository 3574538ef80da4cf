"""The live view on a terminal, one frame as text, and one as a picture file."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from streams.operate.top.layout import frame
from streams.operate.top.model import Picture
from streams.operate.top.watcher import Watcher

SVG_SIZE: Final = (118, 42)
"""Columns and lines of a picture."""
_FONT_FACE: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class Screen:
    """Holds what is shown: the newest picture, and the one with most messages a second, all being well."""

    def __init__(self, watcher: Watcher, console: Console | None, *, title: str) -> None:
        self.note = ""
        """A line at the foot of every frame."""
        self.peak: Picture | None = None
        self.console = console
        self._watcher = watcher
        self._title = title

    async def run(self, interval_s: float) -> None:
        """Look and draw for ever; only look where there is no console."""
        with contextlib.ExitStack() as stack:
            live = None
            if self.console is not None:
                live = stack.enter_context(Live(console=self.console, screen=True, auto_refresh=False))
            while True:
                seen = await self._watcher.look()
                if self.peak is None or (seen.good, seen.rate) >= (self.peak.good, self.peak.rate):
                    self.peak = seen
                if live is not None and self.console is not None:
                    shown = frame(seen, *self.console.size, title=self._title, note=self.note)
                    live.update(shown, refresh=True)
                await asyncio.sleep(interval_s)


@contextlib.asynccontextmanager
async def shown(screen: Screen, watcher: Watcher, *, interval_s: float) -> AsyncIterator[Screen]:
    """Meanwhile, the view runs beside what the caller does; the terminal is as it was afterwards."""
    async with watcher.followed():
        running = asyncio.create_task(screen.run(interval_s))
        try:
            yield screen
        finally:
            running.cancel()
            await asyncio.wait([running])
        if not running.cancelled():
            running.result()


def drawable(console: Console) -> bool:
    """Returns whether a live view can be drawn there: a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def svg(picture: Picture, *, title: str) -> str:
    """Returns a frame as an SVG text that names no font from elsewhere and looks the same for the same picture."""
    width, height = SVG_SIZE
    console = Console(
        record=True,
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(frame(picture, width, height, title=title))
    return _FONT_FACE.sub("", console.export_svg(title=title, unique_id="fanfare"))


def write_svg(path: Path, picture: Picture, *, title: str) -> None:
    """Write the picture file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg(picture, title=title), "utf-8")
