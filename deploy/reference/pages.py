"""Makes the reference pages of commands, settings and metrics, and lists every generated page by its place below ``deploy``.

Nobody edits them: a test demands that what is written is what the program says. Works in a checkout only.
"""

import json
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import typer

from deploy.reference.monitoring import alert_rules, dashboard, scrape_config
from streams.cli import COMMANDS, GROUPS
from streams.commands.group import command_of
from streams.runtime import metrics
from streams.runtime.kafka_settings import KAFKA_SECRETS
from streams.runtime.own_secrets import NEEDED_BY
from streams.runtime.prometheus import Family, Histogram, Label
from streams.runtime.settings import Settings, table, variable_of

_CLI_HEAD: Final = """\
# Commands

Made from what `--help` says by `python -m deploy.reference`; not edited by hand.

`fanfare help COMMAND` and `fanfare COMMAND -h` show the same on a terminal. Kafka is named by `--bootstrap` or
`FANFARE_KAFKA_BOOTSTRAP`; every other setting is an environment variable of [SETTINGS.md](SETTINGS.md).
"""


def cli_page() -> Iterator[str]:
    """The lines: an overview, then a section a command, and one below it for each of its sub-commands."""
    yield _CLI_HEAD
    for title, rows in GROUPS:
        yield from (f"{title[0].upper()}{title[1:]}:\n", "| command | what it does |", "| --- | --- |")
        for name, _, text in rows:
            yield f"| [`{name}`](#fanfare-{name}) | {text} |"
        yield ""
    for name, _, _ in COMMANDS:
        command = command_of(name)
        yield from _section(command, typer.Context(command, info_name=f"fanfare {name}"), depth=2)


def _section(command: Any, context: typer.Context, *, depth: int) -> Iterator[str]:
    """Yields the lines of a command, of whichever class typer made it: title, text, usage, options."""
    yield f"\n{'#' * depth} {context.command_path}\n"
    yield cleandoc(command.help or "").replace("\b\n", "")
    within = getattr(command, "commands", {})
    if not within or command.invoke_without_command:
        yield from _usage(command, context)
    for name, each in within.items():
        if not each.hidden:
            yield from _section(each, typer.Context(each, info_name=name, parent=context), depth=depth + 1)


def _usage(command: Any, context: typer.Context) -> Iterator[str]:
    yield f"\n    {context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    rows = [row for row in (parameter.get_help_record(context) for parameter in command.params) if row]
    if rows:
        yield from ("", "| option | meaning |", "| --- | --- |")
    for option, meaning in rows:
        yield f"| `{_cell(option)}` | {_cell(meaning)} |"


def _cell(text: str) -> str:
    """A text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


_METRICS_HEAD: Final = """\
# Metrics

Made from streams/runtime/metrics.py by `python -m deploy.reference`; not edited by hand.

Every process answers `/metrics` on its fixed port (`fanfare status` lists them); Prometheus reads them with
[prometheus/prometheus.yml](prometheus/prometheus.yml). The names below are all that an alert or a dashboard may use.
Labels are closed sets, never an id, a business or a number. A metric that nothing has touched yet is left out of a scrape, so a
rule that subtracts or divides needs `or vector(0)`. Counters begin at 0 when a process starts.
"""

_ROW: Final = "| `{name}` | {kind} | {unit} | {labels} | {meaning} |"


def metrics_page(families: Sequence[Family[Any]]) -> Iterator[str]:
    """Lines of the reference: one row a metric, then the labels with their values, then the buckets."""
    yield _METRICS_HEAD
    yield from ("| metric | kind | unit | labels | meaning |", "| --- | --- | --- | --- | --- |")
    for family in families:
        labels = ", ".join(f"[`{label.name}`](#{_anchor(label, families)})" for label in family.labels)
        yield _ROW.format(
            name=family.name, kind=family.kind, unit=family.unit, labels=labels or "none", meaning=family.meaning
        )
    yield "\n## Labels"
    for label in _labels(families):
        users = ", ".join(f"`{family.name}`" for family in families if label in family.labels)
        yield f"\n### {_title(label, families)}\n\n{_values(label)}\n\nUsed by {users}."
    yield "\n## Buckets\n\nUpper bounds of the histograms (label `le`), each with `_bucket`, `_sum` and `_count`.\n"
    for family in families:
        if isinstance(family, Histogram):
            yield f"- `{family.name}`: {', '.join(f'{bound:g}' for bound in family.bounds)}"


def _labels(families: Sequence[Family[Any]]) -> list[Label]:
    """Each label once, in the order of first use; two labels may have one name and different values."""
    found: dict[int, Label] = {}
    for family in families:
        for label in family.labels:
            found.setdefault(id(label), label)
    return list(found.values())


def _title(label: Label, families: Sequence[Family[Any]]) -> str:
    """The label's name, with a number if others are called the same."""
    alike = [each for each in _labels(families) if each.name == label.name]
    return label.name if len(alike) == 1 else f"{label.name} {alike.index(label) + 1}"


def _anchor(label: Label, families: Sequence[Family[Any]]) -> str:
    return _title(label, families).replace(" ", "-")


def _values(label: Label) -> str:
    if label is metrics.SHARD:
        return f"`0` to `{len(label.values) - 1}`, as many as the deployment has."
    return ", ".join(f"`{value}`" for value in label.values)


_SETTINGS_HEAD: Final = """\
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

_SETTINGS_FOOT: Final = """\

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
    yield _SETTINGS_HEAD
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
    yield _SETTINGS_FOOT.removesuffix("\n").replace("NEEDED", "\n".join(rows))


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


FOLDER: Final = Path(__file__).parents[2] / "deploy"
_ALERTS: Final = "prometheus/alerts.rules.yml"


def documents() -> dict[str, str]:
    """Every page by its place below ``deploy``."""
    families = metrics.catalogue()
    return {
        "METRICS.md": "\n".join(metrics_page(families)) + "\n",
        "SETTINGS.md": "\n".join(settings_page()) + "\n",
        "CLI.md": "\n".join(cli_page()) + "\n",
        "prometheus/dashboard.json": dashboard(families),
        "prometheus/prometheus.yml": scrape_config(),
        _ALERTS: alert_rules((FOLDER / _ALERTS).read_text("utf-8")),
    }
