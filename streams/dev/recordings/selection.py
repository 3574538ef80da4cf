"""Which events of a recording are replayed: ``KEY=VALUE`` on lane, type or template."""

from collections.abc import Iterable, Mapping
from typing import Final

from broker.letters import conditions_of
from streams.dev.recordings.files import Entry

KEYS: Final = ("lane", "type", "template")

Wanted = Mapping[str, frozenset[str]]
"""The values wanted of each key; a key that is not named wants them all."""


def wanted_of(texts: Iterable[str]) -> Wanted:
    """Several values of one key are alternatives, several keys are conditions; ``ValueError`` for what is no filter."""
    return conditions_of(texts, KEYS)


def chosen(entry: Entry, wanted: Wanted) -> bool:
    """Returns whether the entry meets every condition."""
    body = entry.value.get("data")
    held = {
        "lane": entry.lane.word,
        "type": entry.value.get("type"),
        "template": body.get("template") if isinstance(body, dict) else None,
    }
    return all(held[key] in values for key, values in wanted.items())
