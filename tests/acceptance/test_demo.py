"""`fanfare demo` from the first line to the last, and given up half-way: the verdict is its exit status, and nothing stays."""

from pathlib import Path

from tests.acceptance.terminal import FANFARE, gone, last_json, terminal

KEYS = {"seconds_to_first_message", "seconds", "messages", "otp_p50_ms", "otp_p99_ms", "violations"}


async def test_the_demonstration_ends_with_its_figures(tmp_path: Path) -> None:
    """A day of sixty flights, a shop and a bank in ten seconds: every account closes, and every process is gone."""
    options = ("--free-ports", "--data", str(tmp_path), "--limit", "60", "--speed", "8640")
    async with terminal(*FANFARE, "demo", *options) as demo:
        await demo.shows("everything is up")
        family = demo.family()
        assert len(family) >= 11
        status = await demo.ended(deadline_s=100)
        assert status == 0, "\n".join(demo.lines)
    await gone(family)
    figures = last_json(demo)
    assert figures.keys() == KEYS
    assert figures["violations"] == 0
    assert figures["messages"] > 300
    assert 0 < figures["seconds_to_first_message"] < figures["seconds"]
    assert 0 < figures["otp_p50_ms"] <= figures["otp_p99_ms"]
    assert any(line.startswith("auditor: every account closes") for line in demo.results)
    assert any("Bank Meridian: " in line and "••••••" in line for line in demo.results)


async def test_ctrl_c_ends_the_demonstration(tmp_path: Path) -> None:
    """Half-way through, Ctrl-C ends everything within 15 s, Kafka too, with the status that shells expect."""
    async with terminal(*FANFARE, "demo", "--free-ports", "--data", str(tmp_path)) as demo:
        await demo.shows("published ")
        family = demo.family()
        demo.interrupt()
        assert await demo.ended(deadline_s=15) == 130
    await gone(family)
    assert not any("Traceback" in line for line in demo.lines)
