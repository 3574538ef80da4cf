"""The command `fanfare`: a table of sub-commands, each imported only when it is called.

The table keeps `fanfare --help` quick (no Kafka, Faust or HTTP library is imported for it, nor typer) and makes a new
sub-command one line here. A row's module holds a typer application named `app`; ``streams/commands/group.py`` calls it.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from streams import __version__

GROUPS: Final[tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]] = (
    (
        "begin here",
        (
            ("demo", "streams.commands.demo", "a real storm day through the whole system, with the auditor's verdict"),
            ("dev", "streams.commands.dev", "run everything on this machine until Ctrl-C"),
            ("init", "streams.commands.init", "write a registry of your own: business, sender, template, list"),
            ("doctor", "streams.commands.doctor", "say what this machine and its Kafka lack, and how to get it"),
        ),
    ),
    (
        "publish, and see what becomes of it",
        (
            ("send", "streams.commands.send", "send one notification, and see what becomes of it"),
            ("publish", "streams.commands.publish", "publish events from a file and follow what becomes of them"),
            ("validate", "streams.commands.validate", "tell everything that is wrong with an event, without a Kafka"),
            ("follow", "streams.commands.follow", "follow a business's statuses and bill as they come"),
            (
                "campaign",
                "streams.commands.campaign",
                "list, show, pause, resume or cancel what a business has published",
            ),
            ("explain", "streams.commands.explain", "tell what was decided about one request, from the logs"),
            ("schema", "streams.commands.schema", "print the contract as JSON Schema, and what a change of it breaks"),
        ),
    ),
    (
        "operate a deployment",
        (
            ("provision", "streams.commands.provision", "make and check the topics"),
            ("registry", "streams.commands.registry", "register businesses, templates, prices and keys: apply, show"),
            (
                "control",
                "streams.commands.control",
                "the operators' switch: hold a business, a sender, a template or a lane",
            ),
            ("status", "streams.commands.status", "show processes, stages and lanes from their metrics"),
            ("top", "streams.commands.top", "watch the whole system live: stages, lanes, refusals, charges, phones"),
            ("ledger", "streams.commands.ledger", "keep the books of what was delivered, or show them"),
            ("audit", "streams.commands.audit", "close every account from topics, ledger and gateway logs"),
            ("backup", "streams.commands.backup", "write registry, people and charges to a folder"),
            ("restore", "streams.commands.restore", "put a backup into an empty Kafka"),
            (
                "dead-letters",
                "streams.commands.dead_letters",
                "see refused records that nobody was told of; send them again",
            ),
        ),
    ),
    (
        "processes of a deployment (and `ledger`)",
        (
            ("worker", "streams.commands.worker", "work for one lane: plan, deliver, settle"),
            ("webhook", "streams.commands.webhook", "take what the gateway reports"),
            ("intake", "streams.commands.intake", "take events over HTTP, from businesses without Kafka"),
            ("gateway", "streams.commands.gateway", "run the simulated gateway with its phones"),
        ),
    ),
    (
        "try things out",
        (
            ("kafka", "streams.commands.kafka", "run a real Apache Kafka on this machine: up, down, status"),
            ("restart", "streams.commands.restart", "restart what `dev` runs, slot by slot, without losing anything"),
            (
                "source",
                "streams.commands.source",
                "publish a day of flights, parcels or sign-ins, or single updates at a rate",
            ),
            ("record", "streams.commands.record", "write down what businesses publish, without codes"),
            ("replay", "streams.commands.replay", "publish a recording again, at a chosen pace, and measure"),
        ),
    ),
    (
        "this program",
        (
            (
                "completion",
                "streams.commands.completion",
                "print what makes bash, zsh or fish complete commands and options",
            ),
        ),
    ),
)
"""(title, rows of (name, module, help)), in the order in which a newcomer meets them."""

COMMANDS: Final = tuple(row for _, rows in GROUPS for row in rows)

_HELP_HEAD: Final = """\
Fanfare: notifications from Kafka topics to phones, with limits, receipts and bills that add up.

usage: fanfare COMMAND [OPTIONS]          fanfare help COMMAND explains one
"""

_HELP_FOOT: Final = """\
Kafka: --bootstrap HOST:PORT or FANFARE_KAFKA_BOOTSTRAP names yours; without either, development
commands start one on this machine. `fanfare --version` says which release this is.
"""

_ASK_HELP: Final = frozenset({"-h", "--help", "help"})


def main(argv: Sequence[str] | None = None) -> None:
    """Run one sub-command; exits with its status. Unknown names exit 2 with the known ones.

    Whoever reads the output may stop reading (``| head``): that ends the program with 1, without a word.
    """
    _hear_interrupts()
    try:
        try:
            _call(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter writes the rest when it ends
        sys.exit(1)


def _hear_interrupts() -> None:
    """Makes SIGINT raise ``KeyboardInterrupt``: a script's shell starts what stands before ``&`` with the signal ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _call(arguments: Sequence[str]) -> None:
    """Answers what needs no library at once, and hands all else to the group of commands."""
    first, *rest = arguments or ("help",)
    if first in _ASK_HELP and not rest:
        print(help_text())
    elif first == "--version":
        print(f"fanfare {__version__}")
    else:
        wanted = [*rest, "--help"] if first in _ASK_HELP else arguments
        importlib.import_module("streams.commands.group").call(wanted)


def help_text() -> str:
    """The overview: every command, with one line on what it is for."""
    width = max(len(name) for name, _, _ in COMMANDS)
    parts = [_HELP_HEAD]
    for title, rows in GROUPS:
        parts += [f"{title}:", *(f"  {name:<{width}}  {text}" for name, _, text in rows), ""]
    return "\n".join([*parts, _HELP_FOOT])


if __name__ == "__main__":
    main()
