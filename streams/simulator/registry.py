"""Holds what the gateway was told: accounts, senders, approved templates. From Kafka's `registry` topic, or from files.

Topic and files are those of ``fanfare registry apply`` (``schemas/registry.py``); the gateway takes what concerns it and
reads the records with code of its own, so that a mistake of the broker's reader shows as a refusal.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import yaml

from schemas import topics
from schemas.registry import DEFAULT_SHARES, Business, Entry, Sender, Template, entry_of, key_of
from streams.kafka.reader import LogRecord
from streams.runtime.events import Event
from streams.runtime.log import log


class RegistryError(Exception):
    """Files that cannot be used: the sentence says which and why."""


class Registered:
    """Accounts, senders and templates. Looked up by what a frame says."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.businesses: dict[str, Business] = {}
        self.senders: dict[str, Sender] = {}
        self._templates: dict[tuple[str, str, int], Template] = {}
        for entry in entries:
            self._add(entry)

    def apply(self, _partition: int, records: Sequence[LogRecord]) -> None:
        """Applies the next records of the `registry` topic; one that is no entry changes nothing and is logged."""
        for record in records:
            try:
                self.apply_one((record.key or b"").decode(errors="replace"), record.value)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                log(Event.RECORD_UNREADABLE, component="gateway", topic=topics.REGISTRY, offset=record.offset)

    def apply_one(self, key: str, value: bytes | None) -> None:
        """Applies an entry that stands under ``key``, or the removal of ``key`` (None). Raises ``MsgspecError`` for neither.

        A new version of a template is approved beside the older ones, because requests that were accepted before still
        name those. A removal takes all versions. What stands under the key of another entry changes nothing.
        """
        if value is None:
            self._remove(key)
            return
        entry = entry_of(value)
        if key_of(entry) == key:
            self._add(entry)

    def template(self, business: str, template: str, version: int) -> Template | None:
        """The template that ``business`` means: its own, else one for everybody; None if there is none."""
        own = self._templates.get((business, template, version))
        return own or self._templates.get(("*", template, version))

    def throughput(self, sender: str, lane: str) -> int:
        """Messages a second that a number may send through the listener of ``lane``; it has to be known."""
        number = self.senders[sender]
        return number.rate_per_s * (number.shares or DEFAULT_SHARES).get(lane, 0) // 100

    def may_send(self, business: str, sender: str, lane: str) -> bool:
        """Returns whether the account and its number are in good standing, and the number may be used through that listener."""
        account, number = self.businesses.get(business), self.senders.get(sender)
        if account is None or number is None:
            return False
        return account.active and number.active and number.business == business and self.throughput(sender, lane) > 0

    def _add(self, entry: Entry) -> None:
        match entry:
            case Business():
                self.businesses[entry.id] = entry
            case Sender():
                self.senders[entry.id] = entry
            case Template():
                self._templates[entry.business, entry.id, entry.version] = entry
            case _:
                """Prices, keys and the deployment do not concern a gateway."""

    def _remove(self, key: str) -> None:
        kind, _, name = key.partition("/")
        match kind:
            case "business":
                self.businesses.pop(name, None)
            case "sender":
                self.senders.pop(name, None)
            case "template":
                self._templates = {held: one for held, one in self._templates.items() if one.id != name}
            case _:
                """Nothing of that kind is held."""


def read(paths: Iterable[Path]) -> Registered:
    """Read files, or every ``*.yaml`` and ``*.json`` of folders; raises :class:`RegistryError`."""
    entries: list[Entry] = []
    for path in paths:
        entries += _entries_under(path)
    if not entries:
        raise RegistryError("the registry holds nothing; name files or a folder of `fanfare registry apply`")
    return Registered(entries)


def _entries_under(path: Path) -> list[Entry]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml", ".json"})
        return [entry for file in files for entry in _entries_under(file)]
    try:
        # JSON is YAML; msgspec.convert then demands the exact types.
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Entry])
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: {error}") from error
