"""The group of all commands: each is imported when it is called, and what all of them share is added to it then."""

import difflib
import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

from streams.cli import COMMANDS

_MODULES: Final = {name: module for name, module, _ in COMMANDS}


class LazyGroup(TyperGroup):
    """Finds a command in the table of ``streams/cli.py`` and imports its module."""

    def list_commands(self, _ctx: Any) -> list[str]:
        """Returns the names in the order of the table."""
        return list(_MODULES)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """Returns the command of that name; ends the program with status 2 and the known ones if there is none."""
        if cmd_name not in _MODULES:
            print(f"fanfare: there is no command {cmd_name!r}; {_known(cmd_name)}.", file=sys.stderr)
            raise typer.Exit(2)
        return command_of(cmd_name)


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """Holds the commands; the overview is printed by ``streams/cli.py``."""


def call(arguments: Sequence[str]) -> None:
    """Runs one command with its arguments; exits with its status."""
    app(args=list(arguments), prog_name="fanfare")


def command_of(name: str) -> Any:
    """Returns a command with all that it needs: a hundred thousand objects that stay, so nobody looks for garbage among them."""
    gc.disable()
    module = importlib.import_module(_MODULES[name])
    gc.freeze()
    gc.enable()
    return typer.main.get_command(module.app)


def _known(name: str) -> str:
    near = difflib.get_close_matches(name, _MODULES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}There are: {', '.join(_MODULES)}"
