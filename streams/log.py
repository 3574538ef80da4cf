"""Log lines: one JSON object each on standard error, a fixed event name plus fields.

Never in a line: a message's text, a parameter, an address, a code, a token, a record's bytes. Ids, counts, topics,
partitions, offsets and reasons are welcome. Faust's and aiokafka's own lines are passed on as event ``library`` from
WARNING up with the bare template and the exception's class: their arguments can hold content.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from streams import clock

_LIBRARY_LEVEL = logging.WARNING


def configure(**context: str | int) -> None:
    """Set up logging for this process; ``context`` (program, lane, slot ...) stands in every line. Call once, first."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(dict(context)),
            _bare_traceback,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(_LIBRARY_LEVEL)


def get(component: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one component: ``log.info("slot_joined", generation=3)``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger


class _LibraryHandler(logging.Handler):
    """Passes on what a library says, without what it says it about."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            "library",
            component=record.name,
            template=record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
            error=error.__name__ if error else None,
        )


def _stamp(context: dict[str, str | int]) -> structlog.typing.Processor:
    def stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at_ms": clock.now_ms(), **context, **event}

    return stamp


def _bare_traceback(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """``exc_info=True`` becomes the exception's class and where it came from; its text can hold content."""
    if event.pop("exc_info", None):
        error, _, trace = sys.exc_info()
        if error is not None:
            event.setdefault("error", error.__name__)
            frames = traceback.extract_tb(trace)
            event["frames"] = [
                f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}" for frame in frames
            ]
    return event


def _serialize(event: MutableMapping[str, Any], **_options: object) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
