"""`fanfare top` where nothing runs: on a terminal, in a pipe and into a file it says what is away, and it ends."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from schemas.lanes import Lane
from streams.dev.stack.ports import free_places
from streams.runtime.ports import free_ports
from streams.runtime.settings import variable_of
from tests.acceptance.screens import ENTERS, LEAVES, on_screen
from tests.acceptance.terminal import FANFARE, last_json, terminal


@pytest.fixture
def nothing() -> dict[str, str]:
    """The environment of a deployment of which nothing runs."""
    (kafka,) = free_ports(1)
    fields = {**free_places(1), "bootstrap": f"127.0.0.1:{kafka}"}
    return {variable_of(name): str(value) for name, value in fields.items()}


async def test_a_terminal_shows_it_until_ctrl_c(nothing: dict[str, str]) -> None:
    """At 80 by 24; the screen is as it was afterwards, with the status that shells expect and no traceback."""
    async with on_screen(*FANFARE, "top", "--interval", "0.2", columns=80, lines=24, **nothing) as top:
        await top.shows("away: worker otp")
        await top.shows("no Kafka answers at")
        top.press_ctrl_c()
        assert await top.ended(deadline_s=10) == 130
    assert top.drawn.index(ENTERS) < top.drawn.index(LEAVES)
    assert "Traceback" not in top.text


@pytest.mark.parametrize(("columns", "width"), [({}, 118), ({"COLUMNS": "90"}, 90)])
async def test_a_pipe_gets_one_frame(nothing: dict[str, str], columns: dict[str, str], width: int) -> None:
    """Without a terminal it is one frame, as wide as it needs or as is asked, and the status of `fanfare status`: 1, away."""
    async with terminal(*FANFARE, "top", "--interval", "0.2", **nothing, **columns) as top:
        assert await top.ended(deadline_s=20) == 1
    assert max(map(len, top.results)) == width
    assert any("away: worker otp" in line for line in top.results)
    assert any(line.removeprefix("│ ").startswith("settle ") for line in top.results)
    assert not any("\x1b" in line or "Traceback" in line for line in top.lines)


async def test_a_terminal_without_a_cursor_gets_one_frame(nothing: dict[str, str]) -> None:
    """As a pipe does."""
    command = (*FANFARE, "top", "--interval", "0.2")
    async with on_screen(*command, columns=80, lines=24, **nothing, TERM="dumb") as top:
        assert await top.ended(deadline_s=20) == 1
    assert "away: worker otp" in top.drawn
    assert "\x1b" not in top.drawn


@pytest.mark.parametrize("shown_on", [terminal, on_screen])
async def test_a_program_gets_one_frame_as_json(nothing: dict[str, str], shown_on: Any) -> None:
    """On a terminal, too: one object, whose verdict, processes and secrets are those of `fanfare status -o json`."""
    size = {"columns": 118, "lines": 48} if shown_on is on_screen else {}
    async with shown_on(*FANFARE, "top", "-o", "json", "--interval", "0.2", **size, **nothing) as top:
        assert await top.ended(deadline_s=20) == 1
    (line,) = [each for each in (top.drawn if size else "\n".join(top.results)).splitlines() if each]
    facts = json.loads(line)
    async with terminal(*FANFARE, "status", "-o", "json", **nothing) as status:
        assert await status.ended(deadline_s=20) == 1
    same = last_json(status)
    for name in ("verdict", "processes", "dev_secrets"):
        assert facts[name] == same[name]
    for name in ("lanes", "stages"):
        assert {row["lane"] for row in facts[name]} == {row["lane"] for row in same[name]}
    assert facts["phones"] == {lane.word: [] for lane in Lane}
    assert facts["phones_note"] == "no phones: no simulated gateway answers"
    assert facts["span_s"] >= 0.2


async def test_a_frame_becomes_a_picture(nothing: dict[str, str], tmp_path: Path) -> None:
    """An SVG that is well-formed; a folder that cannot be written is a sentence."""
    path = tmp_path / "pictures" / "top.svg"
    async with terminal(*FANFARE, "top", "--svg", str(path), "--interval", "0.2", **nothing) as top:
        assert await top.ended(deadline_s=20) == 1
    assert "messages" in "".join(ET.parse(path).getroot().itertext())
    (tmp_path / "file").touch()
    async with terminal(*FANFARE, "top", "--svg", str(tmp_path / "file" / "top.svg"), **nothing) as top:
        assert await top.ended(deadline_s=20) == 1
    assert top.lines[-1].startswith("fanfare top: ")
    assert not any("Traceback" in line for line in top.lines)
