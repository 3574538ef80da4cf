"""Log lines: one JSON object each on standard error, an event name from a closed list plus fields.

Never in a line: a message's text, a parameter, an address, a code, a token, a record's bytes. Ids, counts, topics,
partitions, offsets and reasons are welcome. A last net below the callers' discipline takes out what looks like an address
or a sealed value, says of bytes only how many, and of foreign objects only their class. Faust's and aiokafka's own lines
are passed on as event ``library`` from WARNING up with the bare template and the exception's class: their arguments can
hold content.
"""

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from streams.runtime import clock
from streams.runtime.events import WARNINGS, Event
from streams.runtime.untyped_json import json_bytes

_LIBRARY_LEVEL: Final = logging.WARNING
_ADDRESS: Final = re.compile(r"(tel:)?\+\d[\d ()./-]{5,}\d|tel:\S+")
_SEALED: Final = re.compile(r"[\w-]{1,32}\.[A-Za-z0-9_-]{64,}")


_NAMES: Final = frozenset(Event)


_IN_KAFKA: Final = ("topic", "topics", "group")
"""Fields that name something of ours in Kafka: callers give the plain name, lines show Kafka's."""


def configure(*, level: str = "info", to: BinaryIO | None = None, kafka_prefix: str = "", **context: str | int) -> None:
    """Set up logging for this process; ``context`` (program, lane, slot ...) stands in every line. Call once, first.

    Lines go ``to`` standard error unless told otherwise. ``kafka_prefix`` stands before the names of topics and groups.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(dict(context)),
            _named_as_in_kafka(kafka_prefix),
            _bare_traceback,
            _listed,
            _redact,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(_Lossy(sys.stderr.buffer if to is None else to)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(_LIBRARY_LEVEL)


def log(event: Event, **fields: object) -> None:
    """Writes a line about ``event``; its level follows from the event."""
    level = logging.WARNING if event in WARNINGS else logging.INFO
    structlog.get_logger().log(level, event.value, **fields)


def get(component: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one component: ``log.info("slot_joined", generation=3)``; names from :class:`Event`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


class _Lossy:
    """A stream that loses a line which the disk or the reader does not take: no reason to stop what the line is about."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to

    def write(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            self._to.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._to.flush()


_PLAIN: Final = frozenset({"mode.timers"})
"""Loggers whose lines are about nothing but this process's own timers: names in its code, and seconds."""


class _LibraryHandler(logging.Handler):
    """Passes on what a library says, without what it says it about."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        structlog.get_logger().log(
            record.levelno,
            Event.LIBRARY.value,
            component=record.name,
            template=record.getMessage() if record.name in _PLAIN else template,
            error=error.__name__ if error else None,
        )


def _stamp(context: dict[str, str | int]) -> structlog.typing.Processor:
    def stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at_ms": clock.now_ms(), **context, **event}

    return stamp


def _named_as_in_kafka(prefix: str) -> structlog.typing.Processor:
    def name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for field in _IN_KAFKA:
            match event.get(field):
                case str(plain):
                    event[field] = prefix + plain
                case list(several):
                    event[field] = [f"{prefix}{plain}" for plain in several]
                case _:
                    pass
        return event

    return name


def _bare_traceback(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """``exc_info=True`` becomes the exception's class and where it came from; its text can hold content."""
    if event.pop("exc_info", None):
        error, _, trace = sys.exc_info()
        if error is not None:
            event.setdefault("error", error.__name__)
            event["frames"] = places(traceback.extract_tb(trace))
    return event


def places(stack: traceback.StackSummary) -> list[str]:
    """Returns a line for each frame of ``stack``, outermost first: file, line, function; no content."""
    return [f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}" for frame in stack]


def _listed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event["event"] not in _NAMES:
        event["name"] = event["event"]
        event["event"] = Event.UNLISTED.value
    return event


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _shown(value) for name, value in event.items()}


def _shown(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _SEALED.sub("<sealed>", _ADDRESS.sub("<address>", value))
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Path():
            return _shown(str(value))
        case Mapping():
            return {str(name): _shown(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset() | range():
            return [_shown(inner) for inner in value]
        case _:
            return f"<{type(value).__name__}>"


def _serialize(event: MutableMapping[str, Any], **_options: object) -> bytes:
    return json_bytes(event)
