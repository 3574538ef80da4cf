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
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from streams.runtime import clock
from streams.runtime.untyped_json import json_bytes

_LIBRARY_LEVEL: Final = logging.WARNING
_ADDRESS: Final = re.compile(r"(tel:)?\+\d[\d ()./-]{5,}\d|tel:\S+")
_SEALED: Final = re.compile(r"[\w-]{1,32}\.[A-Za-z0-9_-]{64,}")


class Event(StrEnum):
    """Every event name that a line may have. Dashboards and greps hold on to them: add, never rename."""

    # -- life of a process
    STARTED = "started"
    """The first line of a process: the versions of Fanfare and of Python."""
    STOPPED = "stopped"
    SERVING = "serving"
    """A listener is bound."""
    DEV_SECRETS = "dev_secrets"
    """Secrets still have their development values; ``secrets`` names them."""
    UNSAFE_TOPIC = "unsafe_topic"
    LIBRARY = "library"
    UNLISTED = "unlisted"
    """A caller used a name that is not in this list: a defect; ``name`` says which."""

    # -- group and journals
    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LEFT = "left"
    CATCHING_UP = "catching_up"
    JOURNAL_OPEN = "journal_open"
    JOURNAL_GAP = "journal_gap"
    JOURNAL_VOID = "journal_void"
    """Records of an owner that was none any more were skipped, while folding or in a gap."""
    JOURNAL_RESTATED = "journal_restated"
    """All that is open was said again: later folds begin at ``floor``."""
    HELLO_UNANSWERED = "hello_unanswered"
    FOLDED = "folded"

    # -- stages
    REQUEST_ACCEPTED = "request_accepted"
    """Plan accepted a traced request (``streams/worker/request_log.py``)."""
    RECORD_REFUSED = "record_refused"
    """Plan refused a record: each that is traced, of the others one a second, with how often."""
    RECORD_UNREADABLE = "record_unreadable"
    REROUTED = "rerouted"
    """A record was published to the partition of its business; at most once a second, with how often."""
    POISON = "poison"
    MOVE_REFUSED = "move_refused"
    """Deliver's journal holds moves that the life cycle does not have; nobody folds them: a defect."""
    FLOOR_OLD = "floor_old"
    """The floor of a journal is older than half of what its topic keeps; once it is all of it, no new owner can start."""
    REDRIVEN = "redriven"
    """An operator sent the record of a dead letter again: where from, where to, which attempt."""
    HANDED_OFF = "handed_off"
    """The gateway answered a hand-off of a traced request."""
    CLOSED = "closed"
    """Every message of a traced request in one shard has its end."""
    HEARTBEAT_LATE = "heartbeat_late"
    """No heartbeat has come through a shard for as long as one lives; once until one comes."""
    REGISTRY_APPLIED = "registry_applied"
    """Entries of the registry were read, at the start or because somebody applied some."""

    # -- gateway, webhook, ledger
    GATEWAY_THROTTLED = "gateway_throttled"
    """The first frame in a row that the gateway had no room for."""
    GATEWAY_UNKNOWN = "gateway_unknown"
    """The first frame in a row without an answer that can be read; ``how`` is the label of the metric."""
    POST_REFUSED = "post_refused"
    """The webhook did not take a batch; at most once a second, with how often. ``why`` is the label of the metric."""
    RECEIPT_FOREIGN = "receipt_foreign"
    KEY_REFUSED = "key_refused"
    """Intake did not know the key of a request; at most once a second, with how often."""
    INTAKE_FULL = "intake_full"
    """Intake had no room for a request; at most once a second, with how often."""
    REQUEST_FAILED = "request_failed"
    """Intake failed at one request: a defect."""
    KAFKA_AWAY = "kafka_away"
    """The first event in a row that Kafka did not acknowledge."""
    KAFKA_BACK = "kafka_back"
    POSTED = "posted"
    BILLING_WITHOUT_TOPIC = "billing_without_topic"
    """Postings wait whose business has no topic to be billed on: `fanfare registry apply` makes it."""
    BILLING_DIFFERS = "billing_differs"
    """The newest event of a billing topic is not what the book posted under its serial: nothing more is written there."""
    FAULT_SET = "fault_set"
    """The simulated gateway was told which faults stand from now on."""
    REPORTS_OWED = "reports_owed"
    WEBHOOK_AWAY = "webhook_away"
    WEBHOOK_BACK = "webhook_back"

    # -- the last line of a process (``streams/runtime/exits.py``)
    EXIT_FENCED = "exit_fenced"
    EXIT_UNKNOWN_APPEND = "exit_unknown_append"
    EXIT_SLOT_TAKEN = "exit_slot_taken"
    EXIT_WATCHDOG = "exit_watchdog"
    EXIT_COMMIT_REFUSED = "exit_commit_refused"
    EXIT_HOLE = "exit_hole"
    EXIT_DEADLINE = "exit_deadline"
    EXIT_CRASHED = "exit_crashed"
    EXIT_CLOCK_JUMP = "exit_clock_jump"
    EXIT_TRIMMED = "exit_trimmed"
    EXIT_REFUSED_START = "exit_refused_start"
    EXIT_GROUP_LOST = "exit_group_lost"
    EXIT_OVERSIZE = "exit_oversize"
    EXIT_DISK_REFUSED = "exit_disk_refused"


WARNINGS: Final = frozenset(
    {
        Event.DEV_SECRETS,
        Event.UNSAFE_TOPIC,
        Event.UNLISTED,
        Event.JOURNAL_GAP,
        Event.HELLO_UNANSWERED,
        Event.RECORD_UNREADABLE,
        Event.POISON,
        Event.MOVE_REFUSED,
        Event.FLOOR_OLD,
        Event.HEARTBEAT_LATE,
        Event.GATEWAY_UNKNOWN,
        Event.POST_REFUSED,
        Event.RECEIPT_FOREIGN,
        Event.WEBHOOK_AWAY,
        Event.BILLING_WITHOUT_TOPIC,
        Event.BILLING_DIFFERS,
        Event.KEY_REFUSED,
        Event.REQUEST_FAILED,
        Event.INTAKE_FULL,
        Event.KAFKA_AWAY,
    }
)
"""Events that somebody should look at; :func:`log` gives them level ``warning``, the others ``info``."""

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
