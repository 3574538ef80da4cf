"""Reads settings from files: a secret from the file that its variable names, and profiles from ``fanfare.toml``.

Comes in: the environment, as :mod:`streams.runtime.settings` hands it over, and the names that exist. Goes out: values. A file
looks like this; keys at its top hold for every profile, and a key is a variable's name without ``FANFARE_``, in small letters::

    log_level = "warning"

    [profile.prod]
    kafka_bootstrap = "kafka-1:9093,kafka-2:9093"
    kafka_security_protocol = "SASL_SSL"
    kafka_password_file = "secrets/kafka"
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import ValidationError

CONFIG_VARIABLE: Final = "FANFARE_CONFIG"
PROFILE_VARIABLE: Final = "FANFARE_PROFILE"
IN_FILE: Final = "_FILE"
"""Behind a secret's variable: the file that holds it."""
_CONFIG: Final = Path("fanfare.toml")
_PROFILES: Final = "profile"
_FOLDERS: Final = ("_file", "_dir")
"""Ends of keys whose values are paths; relative ones begin at the file's own folder."""


class SourceError(Exception):
    """A file cannot be used; the sentence has its place, never a value."""


class Written(NamedTuple):
    """Holds a value of a file, and where it stands: ``fanfare.toml:4``."""

    value: Any
    place: str


def key_of(variable: str) -> str:
    """Returns what a variable is called in a file."""
    return variable.removeprefix("FANFARE_").lower()


def variable_of(key: str) -> str:
    """Returns the variable that a key of a file stands for."""
    return f"FANFARE_{key.upper()}"


def secret_in_file(variable: str, environ: Mapping[str, str], *, structured: bool) -> object:
    """Returns the secret that stands in the file named for it, without the end of its line; None if no file is named."""
    path = environ.get(variable + IN_FILE)
    if not path:
        return None
    if environ.get(variable):
        raise SourceError(f"{variable} and {variable}{IN_FILE} are both set: leave one of them out")
    return _secret(Path(path), f"{variable}{IN_FILE}", structured=structured)


def _secret(path: Path, named: str, *, structured: bool) -> object:
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
        return msgspec.json.decode(text) if structured else text
    except OSError as error:
        raise SourceError(f"{named}: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SourceError(f"{named}: {path} does not hold what {named.removesuffix(IN_FILE)} would") from None


def profile(environ: Mapping[str, str], known: Collection[str], secrets: Mapping[str, bool]) -> dict[str, Written]:
    """Returns what the file of settings says, by key, with the chosen profile over what holds for all.

    The file is the one that ``FANFARE_CONFIG`` names, else ``fanfare.toml`` in the working directory if there is one.
    What a variable is set for is left out. ``secrets`` says of each secret whether it is JSON: it may be written as a file, too.
    Unknown keys are refused.
    """
    named, chosen = environ.get(CONFIG_VARIABLE), environ.get(PROFILE_VARIABLE)
    path = Path(named) if named else _CONFIG
    if not named and not path.is_file():
        if chosen:
            raise SourceError(f"there is no profile {chosen!r}: no {CONFIG_VARIABLE} is set, and no {_CONFIG} is here")
        return {}
    tables = _tables(path, chosen)
    keys = {*known, *(f"{secret}{IN_FILE.lower()}" for secret in secrets)}
    rows = {name: dict(_rows(path, table, keys)) for name, table in tables.items()}
    found = rows[""] | rows.get(chosen or "", {})
    return dict(_opened({key: each for key, each in found.items() if not environ.get(variable_of(key))}, secrets))


class _Table(NamedTuple):
    """Holds a table of the file: its name there, what it says, and the whole text, for places."""

    name: str
    values: Mapping[str, Any]
    text: str


def _tables(path: Path, chosen: str | None) -> dict[str, _Table]:
    """Returns the tables by profile, that of all profiles under no name."""
    text, top = _parsed(path)
    profiles = top.pop(_PROFILES, {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise SourceError(f"{path}: a profile is a table, [profile.NAME]")
    if chosen and chosen not in profiles:
        there = ", ".join(profiles) or "none"
        raise SourceError(f"{path}: there is no profile {chosen!r}{near_to(chosen, profiles)}; there are: {there}")
    return {"": _Table("", top, text)} | {
        name: _Table(f"{_PROFILES}.{name}", profiles[name], text) for name in profiles
    }


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is no TOML: {error}") from None


def _rows(path: Path, table: _Table, keys: Collection[str]) -> Iterator[tuple[str, Written]]:
    for key, value in table.values.items():
        place = f"{path}:{_line(table, key)}"
        if key not in keys:
            raise SourceError(f"{place}: there is no setting {key}{near_to(key, keys)}")
        at_home = isinstance(value, str) and value and key.endswith(_FOLDERS)
        yield key, Written(str(path.parent / value) if at_home else value, place)


def _line(table: _Table, key: str) -> int:
    """Returns the line in which a key stands, as far as that can be told: a table's is as good."""
    within, begins = "", 1
    for number, line in enumerate(table.text.splitlines(), start=1):
        if (head := re.fullmatch(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?", line)) is not None:
            within = head[1]
            begins = number if within == table.name else begins
        elif within == table.name and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return begins


def _opened(found: Mapping[str, Written], secrets: Mapping[str, bool]) -> Iterator[tuple[str, Written]]:
    """Yields the values by settings: a secret that is named by a file is read."""
    for key, written in found.items():
        name = key.removesuffix(IN_FILE.lower())
        if name == key or name not in secrets:
            yield key, written
        elif name in found:
            raise SourceError(f"{written.place}: {name} and {key} are both set: leave one of them out")
        else:
            value = _secret(Path(written.value), f"{written.place}: {key}", structured=secrets[name])
            yield name, Written(value, written.place)


def sentences(error: ValidationError, named: Mapping[str, str], called: Callable[[str], str]) -> Iterator[str]:
    """Yields a sentence for each value that cannot be, with its variable, or its place in a file (``named``)."""
    for each in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in each["loc"])
        variable = where if where.startswith("FANFARE_") or not where else called(where)
        sentence = each["msg"].removeprefix("Value error, ")
        yield f"{named.get(variable, variable)}: {sentence}" if where else sentence


def near_to(word: str, known: Collection[str]) -> str:
    """Returns how a sentence about an unknown name ends: with the known one that was meant, if one is like it."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; do you mean {near[0]}?" if near else ""
