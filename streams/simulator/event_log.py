"""The gateway's own append-only log: one JSON line an event, written before the answer. The auditor's third source.

Lines are :class:`schemas.gateway_api.GatewayEvent`. ``write(2)`` without ``fsync``: what was written survives the death of
the process, not of the machine (PROTOCOL.md section 1.4). A line that a kill tore in two was never answered, so opening
the log cuts it off.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from schemas.gateway_api import GatewayEvent
from streams.runtime.exits import Exit, fatal
from streams.runtime.file_lock import private_folder

FILE_NAME: Final = "events.jsonl"
_TAIL_BLOCK: Final = 1 << 16

_encoder = msgspec.json.Encoder()
_Shape = TypeVar("_Shape")


class EventLog:
    """The log in ``folder``, opened for one writer."""

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self.path = folder / FILE_NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = _cut_torn_line(self._file)

    def append(self, events: Iterable[GatewayEvent]) -> None:
        """Append ``events`` in one write; they are with the operating system when this returns, or the process ends."""
        block = _encoder.encode_lines(list(events))
        if not block:
            return
        try:
            written = os.write(self._file, block)
        except OSError as error:
            fatal(Exit.DISK_REFUSED, component="gateway", error=error.strerror)
        if written != len(block):  # what was not answered is cut off, or told again, at the next start
            fatal(Exit.DISK_REFUSED, component="gateway", written=written, wanted=len(block))
        self.size += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path, shape: type[_Shape], *, upto: int | None = None) -> Iterator[_Shape]:
    """The events of a log as ``shape`` (:class:`GatewayEvent`, or a part of its fields), oldest first.

    ``upto`` ends it at that many bytes. A torn last line is left out, so a log may be read while it is written.
    """
    decoder = msgspec.json.Decoder(shape)
    left = path.stat().st_size if upto is None else upto
    with path.open("rb") as lines:
        for line in lines:
            left -= len(line)
            if left < 0 or not line.endswith(b"\n"):
                return
            yield decoder.decode(line)


def _cut_torn_line(file: int) -> int:
    """Truncate after the last newline; returns the size."""
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - _TAIL_BLOCK)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(file, end)
    return end
