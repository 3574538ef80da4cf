"""`fanfare demo` from the first line to the last, and given up half-way: the verdict is its exit status, and nothing stays."""

import re
from pathlib import Path

import pytest

from tests.acceptance.screens import ENTERS, LEAVES, on_screen
from tests.acceptance.terminal import FANFARE, gone, last_json, terminal

KEYS = {
    *("seconds_to_first_message", "seconds", "messages", "held", "cancelled"),
    *("otp_p50_ms", "otp_p99_ms", "violations"),
}

pytestmark = pytest.mark.plain_kafka("the command starts a plain Kafka of its own")


async def test_the_demonstration_ends_with_its_figures(tmp_path: Path) -> None:
    """A day of sixty flights, a shop and a bank in ten seconds: accounts close, processes are gone, a picture is there."""
    picture = tmp_path / "demo.svg"
    options = ("--free-ports", "--data", str(tmp_path), "--limit", "60", "--speed", "8640", "--svg", str(picture))
    async with terminal(*FANFARE, "demo", *options) as demo:
        await demo.shows("everything is up")
        family = demo.family()
        assert len(family) >= 11
        status = await demo.ended(deadline_s=170)
        assert status == 0, "\n".join(demo.lines)
    await gone(family)
    figures = last_json(demo)
    assert figures.keys() == KEYS
    assert figures["violations"] == 0
    assert figures["messages"] > 2_000
    assert figures["held"] > 0
    assert figures["cancelled"] > 0
    assert 0 < figures["seconds_to_first_message"] < figures["seconds"]
    assert 0 < figures["otp_p50_ms"] <= figures["otp_p99_ms"]
    assert any(line.startswith("auditor: every account closes") for line in demo.results)
    said = "\n".join(demo.results)
    assert "no more offers; of their cancelled flight they were told: " in said
    assert "what is not handed off is held" in said
    assert re.search(r"offer-1 +rank \d+ of shard \d+: stopped: ", said)
    assert re.search(r"offer-2 +rank \d+ of shard \d+: cancelled: ", said)
    assert any("Bank Meridian: " in line and "••••••" in line for line in demo.results)
    drawn = picture.read_text("utf-8").replace("&#160;", " ")
    assert all(text in drawn for text in (" ready", "Bank Meridian: ", "airline-", "USD"))
    assert str(tmp_path) not in drawn


async def test_ctrl_c_ends_the_demonstration(tmp_path: Path) -> None:
    """Half-way through, Ctrl-C ends everything within 15 s, Kafka too, with the status that shells expect."""
    async with terminal(*FANFARE, "demo", "--free-ports", "--data", str(tmp_path)) as demo:
        await demo.shows("published ")
        family = demo.family()
        demo.interrupt()
        assert await demo.ended(deadline_s=15) == 130
    await gone(family)
    assert not any("Traceback" in line for line in demo.lines)


async def test_a_terminal_shows_the_live_view(tmp_path: Path) -> None:
    """Lines while everything starts, then the view of what happens until Ctrl-C, and lines again while it stops."""
    options = ("--free-ports", "--data", str(tmp_path), "--limit", "60")
    async with on_screen(*FANFARE, "demo", *options, columns=118, lines=42) as demo:
        await demo.shows("told to businesses", deadline_s=120)
        await demo.shows("published ")
        await demo.shows(" ready")
        demo.press_ctrl_c()
        assert await demo.ended(deadline_s=40) == 130
    assert demo.drawn.index("everything is up") < demo.drawn.index(ENTERS)
    assert demo.drawn.index(LEAVES) < demo.drawn.index("stopping, the workers first")
    assert "Traceback" not in demo.text
