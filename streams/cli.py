"""The command `fanfare`: a table of sub-commands, each imported only when it is called.

The table keeps `fanfare --help` quick (no Kafka, Faust or HTTP library is imported for it) and
makes a new sub-command one line here. A row's module holds a typer application named `app`.
"""

import difflib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("demo", "streams.commands.demo", "a real storm day through the whole system, with the auditor's verdict"),
    ("dev", "streams.commands.dev", "run everything on this machine until Ctrl-C"),
    ("restart", "streams.commands.restart", "restart what `dev` runs, slot by slot, without losing anything"),
    ("kafka", "streams.commands.kafka", "run a real Apache Kafka on this machine: up, down, status"),
    ("doctor", "streams.commands.doctor", "say what this machine and its Kafka lack, and how to get it"),
    ("provision", "streams.commands.provision", "make and check the topics"),
    ("registry", "streams.commands.registry", "register businesses, templates, prices and keys: apply, show"),
    ("worker", "streams.commands.worker", "work for one lane: plan, deliver, settle"),
    ("gateway", "streams.commands.gateway", "run the simulated gateway with its phones"),
    ("webhook", "streams.commands.webhook", "take what the gateway reports"),
    ("intake", "streams.commands.intake", "take events over HTTP, from businesses without Kafka"),
    ("ledger", "streams.commands.ledger", "keep the books of what was delivered, or show them"),
    ("schema", "streams.commands.schema", "print the contract as JSON Schema, and what a change of it breaks"),
    ("validate", "streams.commands.validate", "tell everything that is wrong with an event, without a Kafka"),
    ("publish", "streams.commands.publish", "publish events from a file and follow what becomes of them"),
    ("campaign", "streams.commands.campaign", "list, show, pause, resume or cancel what a business has published"),
    ("explain", "streams.commands.explain", "tell what was decided about one request, from the logs"),
    ("dead-letters", "streams.commands.dead_letters", "see refused records that nobody was told of; send them again"),
    ("audit", "streams.commands.audit", "close every account from topics, ledger and gateway logs"),
    ("control", "streams.commands.control", "the operators' switch: hold a business, a sender, a template or a lane"),
    ("status", "streams.commands.status", "show processes, stages and lanes from their metrics"),
    ("top", "streams.commands.top", "watch the whole system live: stages, lanes, refusals, charges, phones"),
    ("source", "streams.commands.source", "publish a day of flights, parcels or sign-ins, or single updates at a rate"),
    ("record", "streams.commands.record", "write down what businesses publish, without codes"),
    ("replay", "streams.commands.replay", "publish a recording again, at a chosen pace, and measure"),
)
"""(name, module, help), in the order in which a newcomer meets them."""

_HELP_HEAD: Final = """\
Fanfare: notifications from Kafka topics to phones, with limits, receipts and bills that add up.

usage: fanfare COMMAND [OPTIONS]          fanfare COMMAND --help explains one
"""

_HELP_FOOT: Final = """\
Kafka: --bootstrap HOST:PORT or FANFARE_KAFKA_BOOTSTRAP names yours; without either, development
commands start one on this machine.
"""


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
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(help_text())
        return
    name, *rest = arguments
    for known, module, _ in COMMANDS:
        if known == name:
            _imported(module).app(args=rest, prog_name=f"fanfare {name}")
            return
    print(f"fanfare: there is no command {name!r}; {_known(name)}.", file=sys.stderr)
    sys.exit(2)


def _imported(module: str) -> ModuleType:
    """A command with all that it needs: a hundred thousand objects that stay, so nobody looks for garbage among them."""
    gc.disable()
    imported = importlib.import_module(module)
    gc.freeze()
    gc.enable()
    return imported


def help_text() -> str:
    """The overview: every command, with one line on what it is for."""
    width = max(len(name) for name, _, _ in COMMANDS)
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, _, text in COMMANDS)
    return f"{_HELP_HEAD}\ncommands:\n{rows}\n\n{_HELP_FOOT}"


def _known(name: str) -> str:
    names = [row[0] for row in COMMANDS]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}There are: {', '.join(names)}"


if __name__ == "__main__":
    main()
