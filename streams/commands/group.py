"""The group of all commands: each is imported when it is called, and what all of them share is added to it then."""

import difflib
import gc
import importlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from streams.cli import COMMANDS
from streams.commands.terminal import application, refuse, say
from streams.runtime.kafka_options import parsed
from streams.runtime.settings import SettingsError, load, put
from streams.runtime.untyped_json import json_bytes

_WITHOUT_SETTINGS: Final = frozenset({"completion", "init", "schema", "validate"})
_LOCAL: Final = frozenset({"demo", "dev", "kafka", "restart"})
"""Commands that run a stack on this machine; the others that the base installation leaves out are of a server."""
_MODULES: Final = {name: module for name, module, _ in COMMANDS}


class LazyGroup(TyperGroup):
    """Finds a command in the table of ``streams/cli.py`` and imports its module."""

    def list_commands(self, _ctx: Any) -> list[str]:
        """Returns the names in the order of the table."""
        return list(_MODULES)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """Returns the command of that name; ends the program with status 2 and the known ones if there is none."""
        if cmd_name not in _MODULES:
            say(f"fanfare: there is no command {cmd_name!r}; {_known(cmd_name)}.")
            raise typer.Exit(2)
        return command_of(cmd_name)


app = application(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """Holds the commands; the overview is printed by ``streams/cli.py``."""


def _profile(name: str | None) -> str | None:
    if name is not None:
        put(profile=name)
    return name


def _options(context: typer.Context, pairs: list[str] | None) -> list[str] | None:
    try:
        fields, tuning = parsed(pairs or ())
        if tuning:
            fields["kafka_options"] = json_bytes(load().kafka_options | tuning).decode()
    except (ValueError, SettingsError) as error:
        say(f"{context.command_path}: {error}")
        raise typer.Exit(1) from None
    put(**fields)
    return pairs


_shared = typer.Typer(add_completion=False)
"""Holds the options of all commands that look at settings; the values go where settings are read."""


@_shared.command()
def shared(
    _profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            callback=_profile,
            expose_value=False,
            is_eager=True,
            help="Take the settings of [profile.NAME] in fanfare.toml, or in the file that FANFARE_CONFIG names.",
            show_default=False,
        ),
    ] = None,
    _options: Annotated[
        list[str] | None,
        typer.Option(
            "-X",
            metavar="KEY=VALUE",
            callback=_options,
            expose_value=False,
            help="An option of the Kafka client, by Kafka's name: security.protocol, sasl.username, request.timeout.ms, ...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Takes options; does nothing."""


def call(arguments: Sequence[str]) -> None:
    """Runs one command with its arguments; exits with its status."""
    app(args=list(arguments), prog_name="fanfare")


def command_of(name: str) -> Any:
    """Returns a command with all that it needs: a hundred thousand objects that stay, so nobody looks for garbage among them."""
    gc.disable()
    try:
        module = importlib.import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        _demand_extra(name, error)
        raise
    gc.freeze()
    gc.enable()
    command = typer.main.get_command(module.app)
    if name not in _WITHOUT_SETTINGS:
        _share(command)
    return command


def _demand_extra(name: str, error: ModuleNotFoundError) -> None:
    """Ends the program with the extra that a command lacks; returns if it is a module of ours that is missing."""
    missing = (error.name or "").partition(".")[0]
    if missing in {"broker", "schemas", "streams"}:
        return
    extra = "local" if name in _LOCAL else "server"
    refuse(
        name,
        f"this installation has not all that it needs ({missing} is missing): pip install 'fanfare-broker[{extra}]'",
    )


def _share(command: Any) -> None:
    """Adds what every command takes that looks at settings, but for a name that it uses itself (`dev --profile real`)."""
    within = getattr(command, "commands", {})
    for each in within.values():
        _share(each)
    if not within or command.invoke_without_command:
        taken = {option for each in command.params for option in each.opts}
        shared_ones = typer.main.get_command(_shared).params
        command.params = [*command.params, *(each for each in shared_ones if not taken & set(each.opts))]


def _known(name: str) -> str:
    near = difflib.get_close_matches(name, _MODULES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}There are: {', '.join(_MODULES)}"
