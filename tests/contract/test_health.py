"""What a process says about itself over HTTP, and what `fanfare status` makes of it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from schemas.lanes import Lane
from streams.commands.status import facts_of, page
from streams.operate.scrape import Process, Scrape, merged, processes, quantile, samples_of, scrape_all
from streams.runtime import metrics
from streams.runtime.health import Health
from streams.runtime.settings import Settings, load


class Mood:
    """What the checks of a process answer at present."""

    def __init__(self) -> None:
        self.live: str | None = None
        self.ready: str | None = None


@pytest.fixture
def settings() -> Settings:
    """Development settings."""
    return load()


@pytest.fixture
def mood() -> Mood:
    """A process in good order."""
    return Mood()


@pytest.fixture
async def health(settings: Settings, mood: Mood) -> AsyncIterator[Health]:
    """A process that listens on a free port."""
    checks = {"progress": lambda: mood.live}
    async with Health(
        settings, "worker", port=0, live=checks, ready={"shards": lambda: mood.ready, "tails": lambda: None}
    ) as running:
        yield running


async def ask(health: Health, path: str) -> tuple[int, str]:
    """Status and text of one answer."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{health.port}{path}") as answer:
        return answer.status, await answer.text()


async def test_live_and_ready_are_two_questions(health: Health, mood: Mood) -> None:
    """A process that waits for its shards is alive; one that stands still is not, whatever it holds."""
    assert await ask(health, "/livez") == (200, "ok\n")
    mood.ready = "no shard is assigned"
    assert await ask(health, "/livez") == (200, "ok\n")
    assert await ask(health, "/readyz") == (503, "failed: shards\n")
    mood.live, mood.ready = "an input has been unfinished for 31 s", None
    assert await ask(health, "/livez") == (503, "failed: progress\n")
    assert await ask(health, "/readyz") == (200, "ok\n")


async def test_verbose_lists_each_check_and_the_development_secrets(health: Health, mood: Mood) -> None:
    """One line a check, as Kubernetes' servers write them; secrets in use are named, not shown."""
    mood.ready = "no shard is assigned"
    status, text = await ask(health, "/readyz?verbose")
    assert status == 503
    assert text.splitlines()[:3] == ["[-]shards no shard is assigned", "[+]tails ok", "[!]pepper dev"]


async def test_metrics_are_in_prometheus_text(health: Health) -> None:
    """What a scrape gets names the program and can be parsed."""
    metrics.STAGE_IN.of("plan", "otp").inc()
    status, text = await ask(health, "/metrics")
    samples = samples_of(text)
    assert status == 200
    assert samples["fanfare_up", frozenset({("program", "worker")})] == 1
    assert samples["fanfare_stage_in_total", frozenset({("stage", "plan"), ("lane", "otp")})] >= 1


async def test_a_taken_port_is_said(settings: Settings, health: Health) -> None:
    """Two processes in one place are a mistake that must not pass quietly."""
    with pytest.raises(OSError, match="in use"):
        await Health(settings, "worker", port=health.port).start()


async def test_scraping_tells_the_living_from_those_who_are_away(
    settings: Settings, health: Health, mood: Mood
) -> None:
    """Nobody's silence keeps the others from being shown."""
    mood.ready = "no shard is assigned"
    there, away = await scrape_all(settings, [Process("worker otp", health.port), Process("ledger", 1)])
    assert (there.ready, away.ready) == ("failed: shards", "away")
    assert there.samples
    assert not away.samples


async def test_a_stranger_on_a_port_is_nobody_of_ours(settings: Settings) -> None:
    """A further slot's port may be another program's, which knows of no metrics."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (stranger,) = await scrape_all(settings, [Process("worker otp slot 1", runner.addresses[0][1])])
    finally:
        await runner.cleanup()
    assert (stranger.ready, stranger.samples) == ("away", {})


def test_every_process_of_the_development_set_up_is_looked_for(settings: Settings) -> None:
    """A worker a lane, webhook, ledger, a gateway listener a lane, intake; further slots may be missing."""
    wanted = [process.name for process in processes(settings) if not process.optional]
    lanes = [lane.word for lane in Lane]
    assert wanted == [
        *(f"worker {lane}" for lane in lanes),
        "webhook",
        "ledger",
        *(f"gateway {lane}" for lane in lanes),
        "intake",
    ]


def scrape(name: str, text: str) -> Scrape:
    """What a process with these metrics said."""
    return Scrape(Process(name, 1), "ok", samples_of(text))


def test_the_page_adds_up_what_processes_say() -> None:
    """Counters are summed over slots, ages are the worst, quantiles come from all buckets together."""
    one = scrape(
        "worker otp",
        'fanfare_stage_in_total{lane="otp",stage="plan"} 3\n'
        'fanfare_stage_oldest_seconds{lane="otp",stage="plan"} 0.5\n'
        'fanfare_handoff_age_seconds_bucket{lane="otp",waited="nothing",le="0.01"} 9\n'
        'fanfare_handoff_age_seconds_bucket{lane="otp",waited="nothing",le="+Inf"} 10\n'
        'fanfare_dev_secret{secret="pepper"} 1\n',
    )
    two = scrape(
        "worker otp slot 1",
        'fanfare_stage_in_total{lane="otp",stage="plan"} 4\nfanfare_stage_oldest_seconds{lane="otp",stage="plan"} 1.5\n',
    )
    facts = facts_of([one, two])
    plan: dict[str, Any] = facts["stages"][0]
    assert (plan["in"], plan["out"], plan["oldest_s"]) == (7, 0, 1.5)
    assert facts["lanes"][0]["p50_since_start_s"] == pytest.approx(0.01 * 5 / 9)
    assert facts["lanes"][1]["p50_since_start_s"] is None
    text = page(facts)
    assert "development secrets in use: pepper; unsigned: dev" in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("buckets", "share", "wanted"),
    [
        pytest.param({}, 0.5, None, id="nothing seen"),
        pytest.param({1.0: 0, float("inf"): 0}, 0.5, None, id="no observation"),
        pytest.param({1.0: 10, float("inf"): 10}, 0.5, 0.5, id="inside the first"),
        pytest.param({1.0: 0, 2.0: 10, float("inf"): 10}, 0.99, 1.99, id="inside the second"),
        pytest.param({1.0: 0, float("inf"): 10}, 0.5, 1.0, id="above all bounds: the highest bound"),
    ],
)
def test_quantiles_are_interpolated_as_prometheus_does(
    buckets: dict[float, float], share: float, wanted: float | None
) -> None:
    """The figure on the page is the figure on the dashboard."""
    assert quantile(buckets, share) == (None if wanted is None else pytest.approx(wanted))


def test_buckets_of_several_processes_add_up() -> None:
    """Bound by bound."""
    assert merged([{1.0: 1, 2.0: 3}, {1.0: 2, 2.0: 2}]) == {1.0: 3, 2.0: 5}
