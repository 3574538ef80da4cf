"""`fanfare dev` as a newcomer uses it: read what it prints, do what it says next, end it with Ctrl-C."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.terminal import FANFARE, Terminal, done, gone, terminal

EXAMPLES = {
    "parcel-delivered": "update",
    "flight-optin": "campaign",
    "flight-delay": "update",
    "login-code": "otp --seal code=123456",
    "offer": "campaign",
}
"""What lies in deploy/dev/examples, and how it is published."""

pytestmark = pytest.mark.plain_kafka("the command starts a plain Kafka of its own")


async def test_everything_that_it_prints_is_true(tmp_path: Path) -> None:
    """Its addresses answer, its commands work, the examples are accepted, and Ctrl-C leaves nothing."""
    async with terminal(*FANFARE, "dev", "--free-ports", "--data", str(tmp_path)) as dev:
        await dev.shows("Ctrl-C stops all of it")
        family = dev.family()
        await _addresses_answer(dev)
        exports = next(line.strip() for line in dev.lines if line.strip().startswith(". "))
        for command in _next_commands(dev):
            await done("bash", "-c", f"{exports} && {command}")
        await _examples_are_taken(exports)
        dev.interrupt()
        assert await dev.ended(deadline_s=15) == 0
    await gone(family)
    assert not any("ended" in line for line in dev.lines), dev.lines


def _next_commands(dev: Terminal) -> Iterator[str]:
    """What it says to do next, without patience for phones that are off, and with a small day of flights at full speed."""
    for line in dev.lines:
        if line.startswith("    ") and "fanfare " in line:
            for command in line.strip().split(";  "):
                yield command.replace("--limit 50", "--limit 3 --speed max").replace("--fresh", "--fresh --wait 2")


async def _addresses_answer(dev: Terminal) -> None:
    """Each /metrics has a /readyz beside it that says ok, and each gateway shows its phones."""
    metrics = re.findall(r"(http://\S+)/metrics", "\n".join(dev.lines))
    pages = re.findall(r"(http://\S+/)   the phones", "\n".join(dev.lines))
    assert (len(metrics), len(pages)) == (9, 3)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        for url in metrics:
            async with session.get(f"{url}/readyz") as answer:
                assert (answer.status, (await answer.text()).strip()) == (200, "ok")
        for url in pages:
            async with session.get(url) as answer:
                assert answer.status == 200
                assert "text/html" in answer.headers["content-type"]


async def _accepted(command: str) -> str:
    """Publish one event, which must be accepted; its id."""
    shown = await done("bash", "-c", command)
    assert any(line.startswith("accepted") for line in shown.results), shown.lines
    return shown.results[0].split()[2]


async def _examples_are_taken(exports: str) -> None:
    """Each example is accepted; what became of one is explained to the last receipt."""
    commands = [
        f"{exports} && fanfare publish --fresh --wait 2 -f deploy/dev/examples/{name}.json --lane {lane}"
        for name, lane in EXAMPLES.items()
    ]
    published = dict(zip(EXAMPLES, await asyncio.gather(*(_accepted(command) for command in commands)), strict=True))
    told = await done(
        "bash", "-c", f"{exports} && fanfare explain //shop-parcelo/parcels {published['parcel-delivered']}"
    )
    stages = {line.split()[2] for line in told.results[1:]}
    assert {"plan", "deliver", "gateway", "receipt"} <= stages
