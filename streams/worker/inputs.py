"""Reads inputs that are committed once they are done. What no release can read is set aside, what a newer one wrote is not.

Whatever is set aside is finished with, and a release that could read it would never get it; so a record of a newer format ends
the process instead.
"""

from collections.abc import Callable
from typing import TypeVar

from schemas.plan_journal import Work, WorkItem
from schemas.wire.header import Kind, NewerRecordError, unpack
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import UNREADABLE, SetAside, refuse_newer

_T = TypeVar("_T")


def work_in(record: Delivered, aside: SetAside) -> tuple[WorkItem, ...]:
    """Returns what a record of ``work`` asks for; nothing if it was set aside."""
    items = read(record.topic, record.partition, record, lambda value: unpack(value, Work, Kind.WORK)[1].items, aside)
    return items or ()


def read(
    topic: str,
    shard: int,
    record: Delivered | LogRecord,
    into: Callable[[bytes], _T],
    aside: SetAside | None,
    *,
    stage: str = "",
) -> _T | None:
    """Returns what ``into`` makes of a record's value. One that it cannot read is set ``aside``, unless that is None: None."""
    value = record.value or b""
    try:
        return into(value)
    except NewerRecordError as error:
        refuse_newer(topic, shard, record.offset, error)
    except UNREADABLE as error:
        if aside is not None:
            aside.put(
                topic, shard, LogRecord(record.offset, record.timestamp_ms, record.key, value), error, stage=stage
            )
        return None
