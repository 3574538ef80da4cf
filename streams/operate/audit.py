"""The auditor's shell: fixes where every log ends, reads all of it once, and hands it to ``broker/audit``.

The ends are fixed against the way of a notification, the last of it first (commits, gateway logs, bills, the book, charges ...
requests, people), so that whatever is read has its parents among what is read. So a running system may be audited; what is
under way then counts as open.
"""

import gc
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from broker.audit.auditor import STAGES, Auditor, order_of
from broker.audit.report import Audit
from broker.audit.sources import Ledger, Limits, Logged, Rules
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.topics import BILLING_PREFIX, DEAD_LETTERS, catalogue, topic_of_business
from streams.kafka.admin import committed_offsets, describe
from streams.kafka.faust_app.commits import Place
from streams.kafka.scan import Bounds, log_bounds, scan
from streams.ledger.database import whole_ledger
from streams.ledger.service import path_of
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.settings import Settings, raw
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder
from streams.worker.resources import group_of

_ANSWER_S: Final = 10
_OURS: Final = frozenset(topic.name for topic in catalogue())


async def audit_system(
    settings: Settings, *, quiet: bool = False, canary: str = "", searched: Sequence[Path] = ()
) -> Audit:
    """Audit the deployment of ``settings``: its topics, its ledger and the gateway's logs in its data folder.

    ``quiet``: nothing more is to come, so whatever is unfinished is a violation. ``searched`` are files and folders that must
    not hold ``canary`` either. Raises ``ScanError``, ``ClusterError``, ``BooksError``, ``OSError``, ``SettingsError``.
    """
    with_own_secrets("audit", settings)
    kafka = await describe(settings.kafka, deadline_s=_ANSWER_S)
    now_ms = clock.now_ms()
    committed: dict[Place, int] = {}
    for lane in Lane:
        committed |= await committed_offsets(settings.kafka, group_of(lane))
    events = {path: path.stat().st_size for path in _gateway_logs(settings)}
    book = path_of(settings)
    bounds = await log_bounds(settings.kafka, _bills)
    ledger = whole_ledger(book, cluster=kafka.cluster_id) if book.exists() else Ledger()
    bounds |= await log_bounds(settings.kafka, _last_first)
    rules = Rules(
        now_ms=now_ms,
        shards=settings.shards,
        pepper=raw(settings.pepper),
        windows={lane: settings.windows(lane) for lane in Lane},
        limits=Limits() if settings.limits else None,
        quiet=quiet,
        canary=canary,
        committed=committed,
        starts={place: start for place, (start, _) in bounds.items()},
    )
    with _no_collector():
        auditor = Auditor(rules, ledger)
        await _read(auditor, settings.kafka, bounds, events)
        for path in _files(searched) if canary else ():
            with path.open("rb") as lines:
                auditor.text(str(path), lines)
        return auditor.close()


async def _read(auditor: Auditor, bootstrap: Address, bounds: Bounds, events: Mapping[Path, int]) -> None:
    before, after = order_of({topic for topic, _ in bounds})
    for topic in before:
        async for records in _records(bootstrap, topic, bounds):
            auditor.take(topic, records)
    for log, (path, size) in enumerate(events.items()):
        auditor.gateway(read(path, GatewayEvent, upto=size), log)
    for topic in after:
        async for records in _records(bootstrap, topic, bounds):
            auditor.take(topic, records)


async def _records(bootstrap: Address, topic: str, bounds: Bounds) -> AsyncIterator[list[Logged]]:
    """The records of a topic up to the ends that were fixed, in bites."""
    if all(start == end for (named, _), (start, end) in bounds.items() if named == topic):
        return
    async for bite in scan(bootstrap, topic):
        yield [Logged(*record) for record in bite if record.offset < bounds[record.topic, record.partition][1]]


def _bills(existing: set[str]) -> list[str]:
    """Returns the topics that are written behind the book, so that each event in them has its posting there."""
    return sorted(topic for topic in existing if topic.startswith(BILLING_PREFIX))


def _last_first(existing: set[str]) -> list[str]:
    """Our topics, what is written last on the way of a notification first."""
    ours = {topic for topic in existing if topic in _OURS or topic_of_business(topic) is not None} - set(
        _bills(existing)
    )
    before, after = order_of(ours)
    stages = [topic for topic in before if topic.partition(".")[0] in STAGES]
    letters = [topic for topic in before if topic == DEAD_LETTERS]
    facts = [topic for topic in before if topic not in {*stages, *letters}]
    return [*reversed(after), *letters, *reversed(stages), *facts]


def _gateway_logs(settings: Settings) -> list[Path]:
    paths = [log_folder(settings.data_dir, lane) / FILE_NAME for lane in Lane]
    return [path for path in paths if path.exists()]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of objects come and none goes in a ring: the collector would only walk over them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
