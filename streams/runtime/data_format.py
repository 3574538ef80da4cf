"""Marks data on disk with its format: ``format.json`` in its folder, looked at before anything is opened.

Folders of releases that wrote no such file are of format 1. A folder of a later format is refused, and so is one older than this
release can read: half understood, it would be half forgotten. Of records in Kafka the wire format counts as well.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from schemas.wire.head import READABLE_FORMATS
from streams import __version__
from streams.runtime.file_lock import private_folder, write_whole

MARK: Final = "format.json"


class KeptError(Exception):
    """A folder cannot be opened by this release; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of folder: what it is called, the format that this release writes, and the oldest that it reads."""

    what: str
    format: int
    oldest: int
    afresh: str
    """End of a refusal's sentence: what to do if nothing in the folder is needed."""


class _Mark(msgspec.Struct):
    format: int
    records: int = min(READABLE_FORMATS)
    """The newest wire format among its records."""
    by: str = "an earlier release"


STACK: Final = Kept("a deployment on one machine", 1, 1, "name another folder with --data DIR, or delete this one")
GATEWAY_LOG: Final = Kept("the log of a simulated gateway", 1, 1, "move the folder away: phones then begin empty")


def open_kept(folder: Path, kept: Kept, *, records: int = min(READABLE_FORMATS)) -> None:
    """Make sure that ``folder`` can be opened as ``kept``, and mark it; :class:`KeptError` if not, with nothing changed.

    ``records`` is the newest wire format that will be written there. A mark is never lowered: what was written stays.
    """
    mark = look_at(folder, kept)
    _write(folder, _Mark(kept.format, max(mark.records, records), f"fanfare {__version__}"))


def look_at(folder: Path, kept: Kept) -> _Mark:
    """The same without marking it; returns the mark that it has."""
    mark = _read(folder / MARK, kept)
    if mark.format > kept.format or mark.records > max(READABLE_FORMATS):
        raise KeptError(
            f"{folder} holds {kept.what} of a later release ({mark.by}, format {mark.format}.{mark.records}); this one reads up "
            f"to {kept.format}.{max(READABLE_FORMATS)}. Start the release that wrote it; or {kept.afresh}."
        )
    if mark.format < kept.oldest or mark.records < min(READABLE_FORMATS):
        raise KeptError(
            f"{folder} holds {kept.what} of {mark.by} (format {mark.format}.{mark.records}); this release reads from "
            f"{kept.oldest}.{min(READABLE_FORMATS)} on. Open it once with a release between the two; or {kept.afresh}."
        )
    return mark


def _read(path: Path, kept: Kept) -> _Mark:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Mark)
    except FileNotFoundError:
        return _Mark(1)
    except (msgspec.MsgspecError, OSError) as error:
        raise KeptError(f"{path} cannot be read ({error}), so it is not known what it marks; {kept.afresh}.") from error


def _write(folder: Path, mark: _Mark) -> None:
    try:
        private_folder(folder)
        write_whole(folder / MARK, msgspec.json.encode(mark) + b"\n")
    except OSError as error:
        raise KeptError(f"{folder} cannot be written: {error.strerror}; name another folder.") from error
