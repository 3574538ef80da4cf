"""Registry files to registry topic: YAML in, checked entries out, only changes written.

A file is a list of entries; ``kind`` tells the type of ``schemas/registry.py``. Everything is checked before anything is
written, each against the registry as it will be with the entries before it, so that a business may stand in one file and
its senders in another. What is wrong is said with file and line.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import msgspec
import yaml

from broker.registry.entry_rules import held, objections
from broker.registry.fold import Registry
from schemas import topics
from schemas.registry import Business, Deployment, Entry, PriceCard, Sender, Template, key_of
from schemas.wire.text import suggestion
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.runtime.kafka_access import Address

_ORDER: Final[dict[type, int]] = {Deployment: 0, Business: 1, Sender: 2, Template: 3, PriceCard: 4}
"""Order of applying: entries that others refer to come first, wherever they stand in the files."""

_KINDS: Final = frozenset(str(entry.__struct_config__.tag) for entry in get_args(Entry))

_encoder: Final = msgspec.json.Encoder()


class RegistrationError(Exception):
    """Entries that may not be registered: one line each, ``file:line: sentence``."""


class Located(NamedTuple):
    """An entry and where it was written."""

    entry: Entry
    file: Path
    line: int

    def says(self, sentence: str) -> str:
        """``sentence`` with its place before it."""
        return f"{self.file}:{self.line}: {key_of(self.entry)}: {sentence}"


def read_files(files: Iterable[Path]) -> list[Located]:
    """Returns all entries of ``files``, and of a folder those of its ``*.yaml`` in the order of their names.

    Raises :class:`RegistrationError` for what is no YAML, no list, or no entry, and for a folder without any.
    """
    entries: list[Located] = []
    wrong: list[str] = []
    for file in _single(files):
        try:
            for line, raw in _items(file):
                entries.append(Located(_entry(raw, file, line), file, line))
        except RegistrationError as error:
            wrong.append(str(error))
    if wrong:
        raise RegistrationError("\n".join(wrong))
    return entries


def _single(named: Iterable[Path]) -> Iterator[Path]:
    for path in named:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(path.glob("*.yaml"))
        if not inside:
            raise RegistrationError(f"there are no registry files (*.yaml) in {path}")
        yield from inside


def _items(file: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = file.read_text("utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RegistrationError(f"{file}:{line}: no YAML: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RegistrationError(f"{file}: cannot be read: {error}") from error
    if not isinstance(root, yaml.SequenceNode):
        raise RegistrationError(f"{file}:1: a registry file is a list of entries")
    yield from zip([node.start_mark.line + 1 for node in root.value], values, strict=True)


def _entry(raw: Any, file: Path, line: int) -> Entry:
    try:
        entry: Entry = msgspec.convert(raw, Entry)
    except msgspec.ValidationError as error:
        kind = raw.get("kind", "?") if isinstance(raw, dict) else "?"
        name = raw.get("id", "?") if isinstance(raw, dict) else "?"
        fault = f"there is no such kind{suggestion(str(kind), _KINDS)}" if kind not in {*_KINDS, "?"} else str(error)
        raise RegistrationError(f"{file}:{line}: {kind}/{name}: {fault}") from error
    return entry


def changes(entries: Sequence[Located], registry: Registry) -> list[Entry]:
    """The entries that ``registry`` does not hold like this yet; ``registry`` is brought up to date with them.

    Raises :class:`RegistrationError` with every objection, for two entries under one key, too.
    """
    wrong: list[str] = []
    seen: dict[str, Located] = {}
    new: list[Entry] = []
    for located in sorted(entries, key=lambda each: _ORDER.get(type(each.entry), len(_ORDER))):
        key = key_of(located.entry)
        first = seen.setdefault(key, located)
        if first is not located:
            wrong.append(located.says(f"stands already in {first.file}:{first.line}"))
            continue
        complaints = objections(located.entry, registry)
        wrong.extend(located.says(sentence) for sentence in complaints)
        if not complaints and held(located.entry, registry) != located.entry:
            registry.add(located.entry)
            new.append(located.entry)
    if wrong:
        raise RegistrationError("\n".join(wrong))
    return new


async def write(bootstrap: Address, entries: Sequence[Entry]) -> None:
    """Append ``entries`` to the registry topic; raises ``PublishError``. Written again they change nothing."""
    publisher = Publisher(bootstrap, "fanfare-registry")
    await publisher.start()
    try:
        for entry in entries:
            record = Outgoing(topics.REGISTRY, _encoder.encode(entry), key=key_of(entry).encode(), partition=0)
            await publisher.publish(record)
    finally:
        await publisher.stop()
