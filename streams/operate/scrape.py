"""Reads what processes say about themselves: their metrics and whether they are ready, from their fixed ports."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from schemas.lanes import Lane
from streams.runtime.settings import Settings

_ANSWER_S: Final = 2.0
SLOTS: Final = 4
"""Slots of a lane that are looked for."""

Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]
"""By name and labels."""


class Process(msgspec.Struct, frozen=True):
    """A process that may be running: what it is called, and where it would answer."""

    name: str
    port: int
    optional: bool = False
    """A further slot: nobody misses it."""


class Scrape(msgspec.Struct, frozen=True):
    """Holds what one process answered."""

    process: Process
    ready: str
    """``ok``, or the verdict of ``/readyz``, or ``away`` if nobody answers."""
    samples: Samples = {}

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples called ``name`` that have ``labels``; 0 if there are none."""
        return sum(value for _, value in matching(self.samples, name, labels))

    def highest(self, name: str, **labels: str) -> float | None:
        """The highest sample called ``name`` that has ``labels``; ``None`` if there is none."""
        return max((value for _, value in matching(self.samples, name, labels)), default=None)

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """The cumulative buckets of a histogram: upper bound to count."""
        return buckets_in(self.samples, name, labels)


def processes(settings: Settings) -> list[Process]:
    """Every process of a deployment on this machine, with the slots that may be there."""
    base = settings.model_copy(update={"slot": 0})
    found = [
        Process(f"worker {lane.word}" + (f" slot {slot}" if slot else ""), port, optional=slot > 0)
        for lane in Lane
        for slot in range(SLOTS)
        if (port := base.model_copy(update={"slot": slot}).worker_metrics(lane))
    ]
    found += [Process("webhook", settings.webhook_metrics_port), Process("ledger", settings.ledger_metrics_port)]
    found += [Process(f"gateway {lane.word}", settings.gateway_metrics(lane)) for lane in Lane]
    found += [Process("intake", settings.intake_metrics_port)]
    return found


async def scrape_all(settings: Settings, asked: Sequence[Process]) -> list[Scrape]:
    """Ask all of ``asked`` at once. Whoever does not answer within two seconds is ``away``."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(_scrape(session, settings.metrics_host, process) for process in asked))


async def _scrape(session: aiohttp.ClientSession, host: str, process: Process) -> Scrape:
    base = f"http://{host}:{process.port}"
    try:
        async with session.get(f"{base}/readyz") as answer:
            ready = (await answer.text()).strip()
        async with session.get(f"{base}/metrics") as answer:
            answer.raise_for_status()  # a port of a slot that is not there may be somebody else's
            return Scrape(process, ready, samples_of(await answer.text()))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Scrape(process, "away")


def samples_of(exposition: str) -> dict[tuple[str, Labels], float]:
    """Prometheus' text format as (name, labels) to value."""
    families = text_string_to_metric_families(exposition)
    return {
        (sample.name, frozenset(sample.labels.items())): float(sample.value)
        for family in families
        for sample in family.samples
    }


def matching(samples: Samples, name: str, labels: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
    """The samples called ``name`` that have ``labels``."""
    wanted = labels.items()
    return ((held, value) for (known, held), value in samples.items() if known == name and wanted <= held)


def buckets_in(samples: Samples, name: str, labels: Mapping[str, str]) -> dict[float, float]:
    """The cumulative buckets of the histogram ``name``, added up over all that have ``labels``: upper bound to count."""
    found: dict[float, float] = {}
    for held, count in matching(samples, f"{name}_bucket", labels):
        bound = float(dict(held)["le"])
        found[bound] = found.get(bound, 0) + count
    return found


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The ``share`` quantile of cumulative buckets, interpolated as Prometheus does; ``None`` without observations."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    wanted = share * total
    low, seen = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            inside = buckets[bound] - seen
            return low if bound == float("inf") else low + (bound - low) * ((wanted - seen) / inside if inside else 1)
        low, seen = bound, buckets[bound]
    return low


def merged(all_buckets: Iterable[Mapping[float, float]]) -> dict[float, float]:
    """Buckets of one histogram from several processes, added up."""
    total: dict[float, float] = {}
    for buckets in all_buckets:
        for bound, count in buckets.items():
            total[bound] = total.get(bound, 0) + count
    return total
