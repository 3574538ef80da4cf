"""`fanfare control ls|pause|resume`: the operators' switch for a business, a sender, a template or a lane."""

import getpass
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer

from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.lanes import Lane
from schemas.wire.timestamps import text_of as instant
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.lanes import no_lane
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.kafka.admin import describe
from streams.operate.control_words import Target, later_than, newest
from streams.operate.control_words import say as write
from streams.registry.read import read_registry
from streams.runtime import clock
from streams.runtime.kafka_access import Address

_ANSWER_S: Final = 10
_FRESH_MS: Final = 100

app = application(
    no_args_is_help=True,
    help="The kill switch: hold all hand-offs of a business, a sender, a template or a lane, and let them go on.",
)

BusinessOption = Annotated[str | None, typer.Option(metavar="ID", help="All of one business.", show_default=False)]
SenderOption = Annotated[
    str | None, typer.Option(metavar="ID", help="All from one sender: <business>/<name>.", show_default=False)
]
TemplateOption = Annotated[
    str | None, typer.Option(metavar="ID", help="All with one template, whoever sends it.", show_default=False)
]
LaneOption = Annotated[
    str | None,
    typer.Option(metavar="LANE", help="Alone: all of the lane. Otherwise: in this lane only.", show_default=False),
]


@app.command("ls")
def ls_command(*, output: OutputOption = "text", bootstrap: BootstrapOption = None) -> None:
    """List what is paused, by operators and by businesses: lane, scope, target, since when, and which event said so."""
    standing = sorted(run("control ls", _newest(bootstrap)).items())
    paused = [(target, word) for target, word in standing if word.action == ControlAction.PAUSE]
    if not paused and output == "text":
        say("nothing is paused")
    for (lane, scope, business, target), word in paused:
        whose = f" of {business}" if business else ""
        kind, since = ControlScope(scope).word, instant(word.evidence_ms)
        row = {
            "lane": lane.word,
            "scope": kind,
            "target": target,
            "business": business,
            "since": since,
            "by": word.by,
        }
        show(row, output, f"{lane.word:<8} {kind:<8} {target}{whose}  since {since}  by {word.by}")


@app.command("pause")
def pause_command(
    *,
    business: BusinessOption = None,
    sender: SenderOption = None,
    template: TemplateOption = None,
    lane: LaneOption = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Hold all hand-offs of one business, sender, template or lane. What is held waits until it expires; `resume` lets it go."""
    _switch(ControlAction.PAUSE, (business, sender, template, lane), bootstrap, output)


@app.command("resume")
def resume_command(
    *,
    business: BusinessOption = None,
    sender: SenderOption = None,
    template: TemplateOption = None,
    lane: LaneOption = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Let go on what `pause` with the same target holds. What businesses have paused themselves stays held."""
    _switch(ControlAction.RESUME, (business, sender, template, lane), bootstrap, output)


Given = tuple[str | None, str | None, str | None, str | None]
"""Business, sender, template, lane."""


def _switch(action: ControlAction, given: Given, bootstrap: str | None, output: str) -> None:
    scope, target = _target(action, given)
    word = given[-1]
    try:
        lanes = list(Lane) if word is None else [Lane.of(word)]
    except KeyError:
        _refuse(action, no_lane(word))
    said_ms = run(
        f"control {action.word}",
        _say(configured(f"control {action.word}", bootstrap).kafka, lanes, (scope, target), action),
    )
    bound_s, bounds = bound(lanes)
    effect = f"nothing is handed off later than {bounds} after" if action is ControlAction.PAUSE else "from"
    words = [lane.word for lane in lanes]
    row = {"action": action.word, "scope": scope.word, "target": target, "lanes": words, "since": instant(said_ms)}
    text = f"{action.word} {scope.word} {target or word} in {', '.join(words)}: {effect} {instant(said_ms)}"
    show(row | ({"bound_s": bound_s} if action is ControlAction.PAUSE else {}), output, text)


def bound(lanes: Sequence[Lane]) -> tuple[float, str]:
    """Returns within how many seconds a word holds in all of ``lanes``, and a text that names lanes that take longer.

    A frame lives as long as its lane lets it, and may be stamped by a view of the words that is a tenth of a second old.
    """
    seconds = {lane: (_FRESH_MS + lane.rules.windows.frame_ms) / 1000 for lane in lanes}
    least = min(seconds.values())
    longer = ", ".join(f"{lane.word}: {each_s:g} s" for lane, each_s in seconds.items() if each_s > least)
    return max(seconds.values()), f"{least:g} s ({longer})" if longer else f"{least:g} s"


def _target(action: ControlAction, given: Given) -> tuple[ControlScope, str]:
    """Returns the one target that was given."""
    *ids, word = given
    scopes = (ControlScope.BUSINESS, ControlScope.SENDER, ControlScope.TEMPLATE)
    chosen = [(scope, target) for scope, target in zip(scopes, ids, strict=True) if target is not None]
    if len(chosen) > 1 or (not chosen and word is None):
        _refuse(action, "say exactly one of --business, --sender, --template; or --lane alone")
    return chosen[0] if chosen else (ControlScope.LANE, "")


async def _say(address: Address, lanes: list[Lane], target: tuple[ControlScope, str], action: ControlAction) -> int:
    await describe(address, deadline_s=_ANSWER_S)
    await _demand_known(address, *target, action)
    standing = await newest(address)
    now_ms = clock.now_ms()
    words: list[tuple[Lane, ControlWord]] = []
    for lane in lanes:
        held = standing.get((lane, target[0], "", target[1]))
        at_ms = later_than([] if held is None else [held], now_ms)
        words.append(
            (lane, ControlWord(target[0], "", target[1], action, at_ms, now_ms, f"operator {getpass.getuser()}"))
        )
    return await write(address, words)


async def _demand_known(address: Address, scope: ControlScope, target: str, action: ControlAction) -> None:
    """Refuses a target that is not registered: a switch that is thrown for nobody looks like one that works."""
    registry = await read_registry(address)
    known = {
        ControlScope.BUSINESS: set(registry.businesses),
        ControlScope.SENDER: set(registry.senders),
        ControlScope.TEMPLATE: {template for _, template in registry.templates},
    }.get(scope)
    if known is not None and target not in known:
        _refuse(action, f"no {scope.word} {target!r} is registered; `fanfare registry show {scope.word}` lists them")


async def _newest(bootstrap: str | None) -> dict[Target, ControlWord]:
    address = configured("control", bootstrap).kafka
    await describe(address, deadline_s=_ANSWER_S)
    return await newest(address)


def _refuse(action: ControlAction, sentence: str) -> NoReturn:
    refuse(f"control {action.word}", sentence)
