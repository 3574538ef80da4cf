"""The live view against processes that answer over HTTP, and against nothing: it says what is away and never fails."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from schemas.lanes import Lane
from streams.dev.stack.ports import free_places
from streams.operate.scrape import processes
from streams.operate.top.model import Phone, Picture
from streams.operate.top.screen import Screen, shown
from streams.operate.top.watcher import Watcher
from streams.runtime import metrics
from streams.runtime.health import Health
from streams.runtime.ports import free_ports
from streams.runtime.settings import Settings, load

SHOWN = Phone(
    at_ms=9_000, phone="+1", name="Bank", verified=True, language="en", text="731204 is your code.", business="bank"
)


@pytest.fixture
def settings() -> Settings:
    """A deployment of which nothing runs, Kafka neither."""
    (kafka,) = free_ports(1)
    return load(bootstrap=f"127.0.0.1:{kafka}", **free_places(1))


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[Health]:
    """Its worker for one-time codes, which has no shards yet."""
    port = settings.worker_metrics(Lane.OTP)
    async with Health(settings, "worker", port=port, ready={"shards": lambda: "none is assigned"}) as running:
        yield running


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[None]:
    """Its phones for one-time codes."""

    async def phones(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode([SHOWN]), content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/phones", phones)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(settings.gateway_url(Lane.OTP).rpartition(":")[2])).start()
    yield
    await runner.cleanup()


def ready(seen: Picture) -> dict[str, str]:
    """What each process says."""
    return {one.name: one.ready for one in seen.health}


async def test_nothing_that_is_away_makes_it_fail(settings: Settings) -> None:
    """Every process of the deployment is named as away, further slots are not, and Kafka and phones have their notes."""
    watcher = Watcher(settings)
    async with watcher.followed():
        seen = await watcher.look()
        while not seen.aside.words_note:
            seen = await watcher.look()
    assert list(ready(seen)) == [one.name for one in processes(settings) if not one.optional]
    assert set(ready(seen).values()) == {"away"}
    assert seen.aside.words_note == f"no Kafka answers at {settings.bootstrap}"
    assert seen.aside.phones_note == "no phones: no simulated gateway answers"


async def test_two_looks_have_rates_and_recent_ages(settings: Settings, worker: Health, gateway: None) -> None:
    """What was counted between them, from the process' own port; a code on a phone is hidden."""
    handed = metrics.MESSAGES.of("otp", "accepted", "no")
    handed.inc(5)
    metrics.HANDOFF_AGE.of("otp", "nothing").observe(9.0)
    watcher = Watcher(settings)
    first = await watcher.look()
    handed.inc(20)
    metrics.HANDOFF_AGE.of("otp", "nothing").observe(0.009)
    second = await watcher.look()
    total, recent = await watcher.look(since_began=True), second.lanes[Lane.OTP]
    assert ready(second)["worker otp"] == "failed: shards"
    assert (first.recent, second.recent, total.recent) == (False, True, False)
    assert first.rate == 0
    assert second.rate == pytest.approx(20 / second.span_s)
    assert recent.messages >= 25
    assert recent.p99_s == pytest.approx(0.01, rel=0.1)
    assert (total.lanes[Lane.OTP].p99_s or 0) > 5
    assert [one.text for lane in second.aside.phones for one in lane] == ["•••••• is your code."]
    assert recent.history == (recent.rate,)


async def test_the_peak_is_kept_without_a_terminal(settings: Settings, worker: Health) -> None:
    """Whoever writes a picture afterwards gets that of most messages a second."""
    watcher = Watcher(settings)
    screen = Screen(watcher, None, title="fanfare demo")
    async with asyncio.timeout(10), shown(screen, watcher, interval_s=0.05):
        while screen.peak is None:
            await asyncio.sleep(0.01)
        metrics.MESSAGES.of("otp", "accepted", "no").inc(1_000)
        while screen.peak.rate == 0:
            await asyncio.sleep(0.01)
        highest = screen.peak.rate
        await asyncio.sleep(0.3)
    assert screen.peak is not None
    assert screen.peak.rate >= highest
