"""`fanfare completion bash|zsh|fish`: a script for the shell; what it asks at each tab is answered here as well."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from schemas.lanes import Lane
from streams.cli import COMMANDS
from streams.commands.group import command_of
from streams.commands.terminal import FORMS, application

app = application()

_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "--lane": tuple(lane.word for lane in Lane),
    "--output": FORMS,
    "-o": FORMS,
}
"""Values that may stand behind an option, where they are a closed list."""


class Shell(StrEnum):
    """Lists the shells that a script can be made for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS: Final = {
    Shell.BASH: """\
_fanfare() {
    local IFS=$'\\n'
    COMPREPLY=( $(fanfare completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
}
complete -o default -F _fanfare fanfare
""",
    Shell.ZSH: """\
#compdef fanfare
_fanfare() {
    local -a found
    found=(${(f)"$(fanfare completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _fanfare fanfare
""",
    Shell.FISH: """\
function __fanfare
    fanfare completion fish -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c fanfare -f -n 'count (__fanfare) >/dev/null' -a '(__fanfare)'
""",
}

_INSTALL: Final = {
    Shell.BASH: 'eval "$(fanfare completion bash)" in ~/.bashrc',
    Shell.ZSH: 'eval "$(fanfare completion zsh)" in ~/.zshrc, after compinit',
    Shell.FISH: "fanfare completion fish >~/.config/fish/completions/fanfare.fish",
}


@app.command()
def main(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD...", help="Words typed so far: the script asks what the last may become.", hidden=True
        ),
    ] = None,
) -> None:
    """Print a script that makes SHELL complete commands, options and lanes with the tab key.

    bash: eval "$(fanfare completion bash)" in ~/.bashrc. zsh: eval "$(fanfare completion zsh)" in ~/.zshrc, after compinit.
    fish: fanfare completion fish >~/.config/fish/completions/fanfare.fish.
    """
    if words is None:
        print(f"# {_INSTALL[shell]}\n{_SCRIPTS[shell]}", end="")
        return
    for candidate in candidates(words):
        print(candidate)


def candidates(words: list[str]) -> Iterator[str]:
    """Yields what the last of ``words`` may become, as far as that is one of a known few; otherwise nothing."""
    *before, begun = words or [""]
    names = before[1:] if before[:1] == ["help"] else before
    if not names:
        found: list[str] = [*(name for name, _, _ in COMMANDS), "help"] if not begun.startswith("-") else ["--version"]
    elif before[-1] in _VALUES:
        found = list(_VALUES[before[-1]])
    else:
        found = _within(names, begun)
    yield from (each for each in found if each.startswith(begun))


def _within(names: list[str], begun: str) -> list[str]:
    """Returns the options, or the sub-commands, of the command that ``names`` lead to."""
    if names[0] not in {name for name, _, _ in COMMANDS}:
        return []
    command: Any = command_of(names[0])
    for name in names[1:]:
        command = getattr(command, "commands", {}).get(name, command)
    if begun.startswith("-"):
        return [
            "--help",
            *(option for each in command.params if not each.hidden for option in each.opts if option[0] == "-"),
        ]
    return [name for name, each in getattr(command, "commands", {}).items() if not each.hidden]
