"""Writes what must never be lost to a folder: registry, people, words of control and charges, as they stand in their topics.

A backup has every topic that is kept for ever, record for record, and a fingerprint of each secret without which the records
are of no use. The rest follows from these: the book and the billing events are rebuilt from ``charges`` to the same rows; what
was under way when a Kafka was lost is published again by whoever knows what people still have to be told.

    DIR/manifest.json                    format, shards, fingerprints; records and SHA-256 of each file
    DIR/<topic>-<partition>.records      for each record its length (4 bytes, big-endian), then MessagePack [key, value, headers]

The folder gets its name when it is whole. It holds pseudonyms, sealed addresses and bills: keep it as the secrets are kept, but
not beside them.
"""

import hashlib
import hmac
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from schemas.topics import FOR_EVER, SHARED
from streams import __version__
from streams.kafka.admin import admin, own_topics
from streams.kafka.scan import scan
from streams.runtime import clock
from streams.runtime.file_lock import private_folder, write_whole
from streams.runtime.settings import Settings, raw
from streams.runtime.untyped_json import json_bytes

FORMAT: Final = 1
KEPT: Final = tuple(topic for topic in SHARED if topic.retention_ms == FOR_EVER)
"""The topics of a backup, in the order in which they are restored."""
MANIFEST: Final = "manifest.json"
_LENGTH: Final = struct.Struct(">I")
_PROOF: Final = b"fanfare backup"


class BackupError(Exception):
    """A backup cannot be written, read or restored; the sentence says why, and what to do."""


Kept = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Key, value and headers of a record."""


class Part(msgspec.Struct, frozen=True):
    """Describes the records of one partition."""

    topic: str
    partition: int
    records: int
    sha256: str
    """Of the file, in hexadecimal digits."""

    @property
    def file(self) -> str:
        """Returns the name of its file."""
        return f"{self.topic}-{self.partition}.records"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a backup."""

    format: int
    by: str
    """The release that wrote it."""
    at_ms: int
    """When it was begun, milliseconds since the epoch; what was written later may be in it or not."""
    shards: int
    fingerprints: dict[str, str]
    parts: list[Part]

    @property
    def records(self) -> int:
        """Returns how many records it has."""
        return sum(part.records for part in self.parts)


def fingerprints(settings: Settings) -> dict[str, str]:
    """Returns a fingerprint of each secret that a backup's records need: none of them can be found from it."""
    secrets = {"pepper": raw(settings.pepper)}
    secrets |= {f"address_keys/{number}": key for number, key in settings.address_book.items()}
    return {name: hmac.digest(secret, _PROOF, "sha256")[:8].hex() for name, secret in secrets.items()}


async def write_backup(settings: Settings, folder: Path, *, say: Callable[[str], None]) -> Manifest:
    """Writes a backup of the deployment that ``settings`` name to ``folder``, which must not exist.

    Raises :class:`BackupError`, ``ScanError`` and ``OSError``. What a run leaves that was interrupted, the next one removes.
    """
    fresh = _fresh(folder)
    begun_ms = clock.now_ms()
    async with admin(settings.kafka) as client:
        there = await own_topics(client, settings.kafka)
    if missing := [topic.name for topic in KEPT if topic.name not in there]:
        raise BackupError(f"there is no deployment to back up at {settings.kafka}: it has no {', '.join(missing)}")
    parts: list[Part] = []
    for topic in KEPT:
        partitions = range(settings.shards if topic.partitions is None else topic.partitions)
        written = [await _write_part(settings, topic.name, partition, fresh) for partition in partitions]
        say(f"{topic.name}: {sum(part.records for part in written):,} records")
        parts += written
    manifest = Manifest(
        format=FORMAT,
        by=__version__,
        at_ms=begun_ms,
        shards=settings.shards,
        fingerprints=fingerprints(settings),
        parts=parts,
    )
    write_whole(fresh / MANIFEST, json_bytes(msgspec.to_builtins(manifest)) + b"\n")
    fresh.rename(folder)
    return manifest


def _fresh(folder: Path) -> Path:
    """Returns a new folder that becomes ``folder`` when it is whole."""
    if folder.exists():
        raise BackupError(f"{folder} exists: name another folder, for a backup is never written over another one")
    fresh = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh)
    return fresh


async def _write_part(settings: Settings, topic: str, partition: int, folder: Path) -> Part:
    digest, count = hashlib.sha256(), 0
    path = folder / f"{topic}-{partition}.records"
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        async for bite in scan(settings.kafka, topic, partition=partition):
            for record in bite:
                body = msgspec.msgpack.encode((record.key, record.value, record.headers))
                framed = _LENGTH.pack(len(body)) + body
                file.write(framed)
                digest.update(framed)
                count += 1
        file.flush()
        os.fsync(file.fileno())
    return Part(topic, partition, count, digest.hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Reads what a backup says of itself, and compares each file with it; raises :class:`BackupError`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupError(f"{folder} is no backup of Fanfare: {MANIFEST} cannot be read ({error})") from error
    if manifest.format > FORMAT:
        raise BackupError(f"{folder} was written by release {manifest.by}: restore it with that release or a later one")
    for part in manifest.parts:
        try:
            with (folder / part.file).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackupError(f"{folder / part.file} cannot be read: {error.strerror}") from error
        if digest != part.sha256:
            raise BackupError(f"{folder / part.file} is not what was written: take another copy of the backup")
    return manifest


def records_of(folder: Path, part: Part) -> Iterator[Kept]:
    """Yields the records of one partition, in their order; the file is one that :func:`read_manifest` has looked at."""
    with (folder / part.file).open("rb") as file:
        while head := file.read(_LENGTH.size):
            yield _record(file, head)


def _record(file: BinaryIO, head: bytes) -> Kept:
    record: Kept = msgspec.msgpack.decode(file.read(_LENGTH.unpack(head)[0]), type=Kept)
    return record
