"""Writes ``deploy/SETTINGS.md``: every setting with its type, default, unit and meaning."""

import json
from collections.abc import Iterator
from typing import Any, Final

from streams.runtime.kafka_settings import KAFKA_SECRETS
from streams.runtime.own_secrets import NEEDED_BY
from streams.runtime.settings import Settings, table, variable_of

_HEAD: Final = """\
# Settings

Made from streams/runtime/settings.py by `python -m deploy.reference`; not edited by hand.

Settings are environment variables, read once when a process starts; an option of the command line wins over them. An empty
variable counts as unset, and one that is not on this page is refused with the nearest name that is.

A secret may stand in a file instead: `_FILE` behind its variable names the file (`FANFARE_PEPPER_FILE=/run/secrets/pepper`).

Settings may stand in a file as well: the one that `FANFARE_CONFIG` names, else `fanfare.toml` in the working directory. A key is
a variable's name without `FANFARE_`, in small letters. Keys at the top hold always, those of `[profile.NAME]` where
`--profile NAME` or `FANFARE_PROFILE` chooses it; variables win over both. An unknown key is refused with its line and the nearest
name.
"""

_FOOT: Final = """\

A default of `dev` is a secret that anybody can compute: with `FANFARE_DEV` off, a program that needs it refuses to start on it,
and says which. `explain` needs one only to find a person by an address; whatever does not stand here needs none.

NEEDED

Two variables of the system are asked as well: `XDG_CACHE_HOME` (downloads are kept in its folder `fanfare`, else in
`~/.cache/fanfare`) and `JAVA_HOME` (the Java to run a development Kafka with, before any other).
"""

_WORDS: Final = {"boolean": "`true` or `false`", "integer": "integer", "number": "number"}
_FORMATS: Final = {"path": "path", "password": "64 hex digits, secret"}
_SECRETS: Final = dict.fromkeys(KAFKA_SECRETS, "text, secret") | {"webhook_secret": "`whsec_` and base64, secret"}
_UNITS: Final = {"_ms": "ms", "_port": "TCP port", "_dir": "folder", "_host": "IP address"}


def settings_page() -> Iterator[str]:
    """The lines: one row a setting, in the order of the class."""
    shapes = Settings.model_json_schema(by_alias=False)["properties"]
    yield _HEAD
    yield from ("| variable | type | default | unit | meaning |", "| --- | --- | --- | --- | --- |")
    for (variable, default, meaning), (name, shape) in zip(table(), shapes.items(), strict=True):
        shown = f"`{_written(default)}`" if default else "unset"
        kind = _SECRETS.get(name) or _type(shape)
        yield f"| `{variable}` | {kind} | {shown} | {_unit(name, default)} | {meaning} |"
    users = {user: None for found in NEEDED_BY.values() for user in found}
    rows = (
        f"- `{user}`: {', '.join(f'`{variable_of(each)}`' for each in NEEDED_BY if user in NEEDED_BY[each])}"
        for user in users
    )
    yield _FOOT.removesuffix("\n").replace("NEEDED", "\n".join(rows))


def _written(default: str) -> str:
    """A default as one writes it into the environment."""
    return json.dumps(default == "True") if default in {"True", "False"} else default


def _type(shape: dict[str, Any]) -> str:
    """Returns the type of a setting's value, in words."""
    if "anyOf" in shape:
        return _type(next(each for each in shape["anyOf"] if each["type"] != "null"))
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if shape["type"] == "object":
        return f"JSON object, values of {_type(shape['additionalProperties'])}"
    if shape["type"] == "string":
        return _FORMATS.get(shape.get("format", ""), "text")
    return _WORDS[shape["type"]] + _bounds(shape)


def _bounds(shape: dict[str, Any]) -> str:
    least, most = shape.get("minimum"), shape.get("maximum")
    if most is not None:
        return f", {least} to {most}"
    return "" if least is None else f", at least {least}"


def _unit(name: str, default: str) -> str:
    """Returns the unit of a number or text, or what it names; most of it stands in the name."""
    if default.startswith("http"):
        return "URL"
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "none")
