"""What the gateway has been told: accounts, senders, approved templates. Read once at start, from files.

The files are those of ``fanfare registry apply`` (YAML or JSON lists of ``schemas/registry.py`` entries); the gateway
reads what concerns it. It never asks the broker: a real one has its own record of who was approved.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from schemas.registry import Business, Entry, Sender, Template


class RegistryError(Exception):
    """Files that cannot be used: the sentence says which and why."""


class Registered:
    """Accounts, senders and templates. Looked up by what a frame says."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        listed = list(entries)
        self.businesses = {entry.id: entry for entry in listed if isinstance(entry, Business)}
        self.senders = {entry.id: entry for entry in listed if isinstance(entry, Sender)}
        self._templates = {(t.business, t.id, t.version): t for t in listed if isinstance(t, Template)}

    def template(self, business: str, template: str, version: int) -> Template | None:
        """The template that ``business`` means: its own, else one for everybody; None if there is none."""
        own = self._templates.get((business, template, version))
        return own or self._templates.get(("*", template, version))

    def throughput(self, sender: str, lane: str) -> int:
        """Messages a second that a number may send through the listener of ``lane``; it has to be known."""
        number = self.senders[sender]
        return number.rate_per_s * number.shares.get(lane, 0) // 100 if number.shares else number.rate_per_s

    def may_send(self, business: str, sender: str, lane: str) -> bool:
        """Whether the account and its number are in good standing, and the number may be used through that listener."""
        account, number = self.businesses.get(business), self.senders.get(sender)
        if account is None or number is None:
            return False
        return account.active and number.active and number.business == business and self.throughput(sender, lane) > 0


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
