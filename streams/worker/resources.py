"""Holds what all shards of a worker share: connections, policies, the registry. Started in order, stopped in reverse."""

import asyncio
from collections.abc import Callable

from broker.audience.sizes import ListSizes
from broker.heartbeat import entries
from broker.registry.fold import Registry
from schemas import topics
from schemas.lanes import Lane, Retention, Windows
from schemas.spans import disorder, scaled_retention
from schemas.wire.sealed import AddressBook
from streams.gateway.kinds import gateway_of
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.output_producer import MayGo, OutputProducer
from streams.kafka.producer import REPEATABLE_DEADLINE_MS, ConfirmedProducer
from streams.kafka.reader import LogReader
from streams.kafka.set_aside import SetAside
from streams.runtime import log
from streams.runtime.health import Health
from streams.runtime.settings import Settings, SettingsError, raw
from streams.worker import record_metrics
from streams.worker.request_log import RequestLog


def group_of(lane: Lane) -> str:
    """The consumer group of a lane."""
    return f"fanfare-{lane.word}"


class LaneParts:
    """The parts of one worker of one lane."""

    def __init__(self, settings: Settings, lane: Lane) -> None:
        self.settings = settings
        self.lane = lane
        self.group = group_of(lane)
        self.windows: Windows = settings.windows(lane)
        self.retention: Retention = scaled_retention(lane.rules.retention, settings.time_scale)
        if out_of_order := list(disorder(self.windows, self.retention)):
            raise SettingsError(
                f"lane {lane.word} under FANFARE_TIME_SCALE={settings.time_scale:g}: {'; '.join(out_of_order)}"
            )
        self.ref_secret = raw(settings.ref_secret)
        self.pepper = raw(settings.pepper)
        self.log = log.get("worker")
        self.requests = RequestLog(lane)
        self.health: Health | None = None
        self.registry = Registry()
        for entry in entries(settings.shards):
            self.registry.add(entry)
        self.sizes = ListSizes()
        """Members of each list, as the workers that follow the audience say."""
        self.aside = SetAside(settings.kafka, "deliver", lane.word)
        self.address_book = AddressBook(settings.address_book)
        linger_ms = lane.rules.linger_ms
        self.time = KafkaTime("worker")
        """By which this process decides; it learns from the appends to journals, the first of which are its claims."""
        self.journals = ConfirmedProducer(settings.kafka, f"{self.group}-journals", linger_ms=linger_ms, time=self.time)
        self.outputs: ConfirmedProducer = OutputProducer(
            settings.kafka,
            f"{self.group}-outputs",
            MayGo(lambda topic: topic.startswith(topics.status("")), record_metrics.status_lost),
            linger_ms=linger_ms,
            deadline_ms=REPEATABLE_DEADLINE_MS,
        )
        self.gateway = gateway_of(settings, lane)
        self.journal_reader = self._reader("journals", topics.plans, topics.outcomes)
        self.settle_reader = self._reader("settle", topics.outcomes, topics.receipts)
        """Settle's own: a partition is read by one at a time, and settle's rebuild may take long while deliver has to look
        into a gap within seconds."""
        self.rebuilding = asyncio.Lock()
        """Settle's shards rebuild one after the other: no turn of the loop is longer than a bite of one."""

    def _reader(self, name: str, *logs: Callable[[Lane], str]) -> LogReader:
        places = [(log_of(self.lane), shard) for log_of in logs for shard in range(self.settings.shards)]
        return LogReader(self.settings.kafka, f"{self.group}-{name}", places)

    async def start(self) -> None:
        """Connect, all at once: a restart waits for each."""
        self.aside.start()
        producers, readers = (self.journals, self.outputs), (self.journal_reader, self.settle_reader)
        await asyncio.gather(*(each.start() for each in producers), *(each.start() for each in readers))
        if self.health is not None:
            await self.health.start()

    async def stop(self) -> None:
        """Close in reverse."""
        if self.health is not None:
            await self.health.stop()
        await self.aside.stop()
        await self.settle_reader.stop()
        await self.journal_reader.stop()
        await self.outputs.stop()
        await self.journals.stop()
        await self.gateway.close()
