"""The registry of the load's own: the development registry, with senders of the rates that a load needs.

Limits stay on, at the broker and at the gateway, in every run; a load that is to go faster registers a faster number, and a
deployment whose platform allows it.
"""

from pathlib import Path

import msgspec

from schemas.registry import Deployment, Entry, Sender, key_of
from streams.registry.apply import read_files
from streams.registry.development import DEVELOPMENT


def sender(business: str, rate_per_s: int, name: str = "main", **shares: int) -> Sender:
    """A number of a business of the development registry; ``shares`` are percentages by lane, none: the default ones.

    ``main`` takes the place of the number that the business has.
    """
    number = "+1800555" + f"{sum(f'{business}/{name}'.encode()) % 10_000:04d}"
    return Sender(f"{business}/{name}", business, number, rate_per_s, default=name == "main", shares=shares)


def registry_with(folder: Path, *senders: Sender) -> Path:
    """Writes the development registry, with ``senders`` instead of its own or beside them, into ``folder``; returns that."""
    entries: dict[str, Entry] = {key_of(one.entry): one.entry for one in read_files([DEVELOPMENT])}
    entries |= {key_of(one): one for one in senders}
    fastest = max((one.rate_per_s for one in senders), default=0)
    for key, entry in entries.items():
        if isinstance(entry, Deployment):
            entries[key] = msgspec.structs.replace(entry, max_rate_per_s=max(entry.max_rate_per_s, fastest))
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    (folder / "registry.yaml").write_bytes(msgspec.json.format(msgspec.json.encode(list(entries.values()))))
    return folder
