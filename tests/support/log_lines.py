"""Catches log lines: what is logged meanwhile, as JSON; the process's own logging comes back after."""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import structlog

from streams.runtime import log

Lines: TypeAlias = Callable[[], list[dict[str, Any]]]
"""Gives the lines written so far."""


@contextlib.contextmanager
def logged(**context: str) -> Iterator[Lines]:
    """Logging as a program configures it, with ``context`` in every line."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.BytesIO()
    log.configure(to=written, **context)
    try:
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
