"""`fanfare dead-letters ls|show|redrive`: records that were refused and whose producer could not be told.

Owns the pages: the table, one letter whole, and a line for each record that is sent again.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from broker.letters import FIELDS, Letter, Wanted, attempt_of, wanted
from schemas import topics
from schemas.lanes import Lane
from schemas.wire.timestamps import text_of as instant
from streams.commands.console import BootstrapOption, run
from streams.commands.console import since_ms as instant_of
from streams.commands.statuses import next_step
from streams.commands.terminal import OutputOption, application, columns, refuse, say, show
from streams.kafka.admin import describe
from streams.kafka.scan import Record
from streams.operate.redrive import Outcome, Redriver, Told, is_original, read_letters, read_originals
from streams.runtime import clock, log
from streams.runtime.kafka_access import Address
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.settings import Settings, SettingsError, load

_ANSWER_S: Final = 10
_TOPICS_OF_CODES: Final = frozenset(topics.requests(lane) for lane in Lane if lane.rules.carries_codes)
_HEADS: Final = ("LETTER", "AT", "TOPIC", "PLACE", "BUSINESS", "REASON", "SENTENCE")

app = application(
    no_args_is_help=True,
    help="Look at records that were refused and whose producer could not be told, and send them again.",
)

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FIELD=VALUE",
        help=f"Only letters with this value; fields: {', '.join(FIELDS)}. One field twice: either value.",
        show_default=False,
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help="Only later ones: 30m, 6h, 2d (ago), or an RFC 3339 instant.", show_default=False
    ),
]


@app.command("ls")
def ls_command(
    *,
    reason: Annotated[str | None, typer.Option(metavar="REASON", help="Only this reason.", show_default=False)] = None,
    business: Annotated[
        str | None, typer.Option(metavar="BUSINESS", help="Only this business.", show_default=False)
    ] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Only records of this topic.", show_default=False)
    ] = None,
    where: WhereOption = None,
    since: SinceOption = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """List dead letters, oldest first: what each is called, where its record stands, and why it was refused."""
    given = {"reason": reason, "business": business, "topic": topic}
    conditions = [*(where or ()), *(f"{field}={value}" for field, value in given.items() if value is not None)]
    settings, choice = _asked("ls", conditions, since, bootstrap)
    letters = run("dead-letters ls", _letters(settings.kafka, choice))
    if output == "json":
        for letter in letters:
            show(letter_row(letter), output, "")
    elif letters:
        print(table(letters))
    say(f"{len(letters):,} dead letter{'' if len(letters) == 1 else 's'}")


@app.command("show")
def show_command(
    *,
    letter: Annotated[
        str, typer.Argument(metavar="LETTER", help="PARTITION@OFFSET as ls gives it; OFFSET if that is the only one.")
    ],
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Show one dead letter whole, and the record that it is about if that is still in its log.

    What was published to the otp lane is never shown, not even refused: its place, size and headers' names are.
    """
    if not re.fullmatch(r"(\d+@)?\d+", letter):
        refuse("dead-letters show", f"{letter!r} is no PARTITION@OFFSET")
    settings, everything = _asked("show", [], None, bootstrap)
    found, record = run("dead-letters show", _one(settings.kafka, everything, letter))
    if len(found) != 1:
        named = ", ".join(one.place for one in found)
        refuse("dead-letters show", f"say which: {named}" if named else f"there is no dead letter {letter}")
    lines = whole(found[0], record)
    show(letter_row(found[0]) | {"record": record is not None}, output, lines)


@app.command("redrive")
def redrive_command(
    *,
    where: WhereOption = None,
    since: SinceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    rate: Annotated[float, typer.Option(min=0.01, metavar="N", help="Records a second.")] = 50,
    most: Annotated[int, typer.Option("--max", min=1, metavar="N", help="Stop after so many were sent.")] = 100,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Send the records of dead letters again, oldest first, to the topic and partition where they stand.

    The record itself is sent, unchanged, from its own log, with the headers redrive-attempt and redrive-origin. Left out, with
    a line each: what plan would refuse again as things are now (time passes: most events become stale), what was sent again
    before, what has left its log, and what was tried five times. Whether a name was accepted before is known to plan alone; its
    answer then is duplicate, and nothing is done twice. Each record sent leaves a line of log, `redriven`, on standard error.
    """
    settings, choice = _asked("redrive", where or [], since, bootstrap, secrets=True)
    # At its own level: the record of what was done is not to be switched off.
    log.configure(kafka_prefix=settings.kafka.prefix, program="dead-letters")
    run(
        "dead-letters redrive",
        _redrive(settings, choice, Redriver(settings, dry=dry_run, rate=rate, most=most), output),
    )


def _asked(
    command: str, conditions: list[str], since: str | None, bootstrap: str | None, *, secrets: bool = False
) -> tuple[Settings, Wanted]:
    name = f"dead-letters {command}"
    try:
        settings = load(bootstrap=bootstrap)
        if secrets:
            with_own_secrets(name, settings)
        return settings, wanted(conditions, since_ms=since_ms(since, clock.now_ms()))
    except (SettingsError, ValueError) as error:
        refuse(name, str(error))


def since_ms(text: str | None, now_ms: int) -> int:
    """The instant that ``--since`` means; 0 without one. ``ValueError`` with a sentence."""
    if text is None:
        return 0
    try:
        return instant_of(text, now_ms, units="mhd")
    except ValueError as error:
        raise ValueError(f"--since {text}: give 30m, 6h, 2d, or an instant; {error}") from None


async def _letters(bootstrap: Address, choice: Wanted) -> list[Letter]:
    await describe(bootstrap, deadline_s=_ANSWER_S)
    return await read_letters(bootstrap, choice, unreadable=lambda place: say(f"{place} is no dead letter"))


async def _one(bootstrap: Address, everything: Wanted, name: str) -> tuple[list[Letter], Record | None]:
    letters = await _letters(bootstrap, everything)
    found = [one for one in letters if name in (one.place, str(one.offset))]
    record = (await read_originals(bootstrap, found)).get(found[0].source) if len(found) == 1 else None
    return found, record


async def _redrive(settings: Settings, choice: Wanted, redriver: Redriver, output: str) -> None:
    letters = await _letters(settings.kafka, choice)
    counts: Counter[Outcome] = Counter()
    async for told in redriver.run(letters):
        counts[told.outcome] += 1
        row = {"letter": told.letter.place, "outcome": told.outcome, "attempt": told.attempt, "detail": told.detail}
        show(row, output, line(told))
    sums = {"letters": len(letters), **{outcome.value: counts[outcome] for outcome in Outcome}}
    show(sums, output, summary(counts, len(letters)))


def table(letters: Sequence[Letter]) -> str:
    """The letters as rows under heads."""
    return "\n".join(columns([_HEADS, *(_cells(letter) for letter in letters)]))


def _cells(letter: Letter) -> tuple[str, ...]:
    body = letter.body
    at = instant(body.at_ms)
    return (
        letter.place,
        at,
        body.topic,
        f"{body.partition}@{body.offset}",
        body.business or "-",
        body.reason,
        body.detail,
    )


def line(told: Told) -> str:
    """Returns the line about a letter: its place and what became of it."""
    return (
        f"{told.outcome:<13}  {told.letter.place:<8}  attempt {told.attempt}  {told.letter.body.reason}  {told.detail}"
    )


def summary(counts: Counter[Outcome], letters: int) -> str:
    """Returns how many letters were wanted, and what became of them."""
    parts = [f"{counts[outcome]:,} {outcome}" for outcome in Outcome if counts[outcome]]
    if left := letters - counts.total():
        parts.append(f"{left:,} not looked at (--max)")
    return f"{letters:,} dead letter{'' if letters == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")


def letter_row(letter: Letter) -> dict[str, Any]:
    """Returns a letter as a row of JSON, with what to do about it; a payload of the otp lane is never in it."""
    row = {"letter": letter.place, **_shown(letter)}
    step = next_step(letter.body.reason)
    return row | {"next_step": step} if step else row


def _shown(letter: Letter) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(letter.body)
    if _hidden(letter):
        body.pop("payload", None)
    return body


def _hidden(letter: Letter) -> bool:
    return letter.body.topic in _TOPICS_OF_CODES


def whole(letter: Letter, record: Record | None) -> str:
    """Returns a letter as JSON, what to do about it, and its record; a payload of the otp lane is never in it."""
    head = f"dead letter {letter.place} of {instant(letter.body.at_ms)}"
    told = msgspec.json.format(msgspec.json.encode(_shown(letter)), indent=2).decode()
    step = next_step(letter.body.reason)
    steps = [f"next step: {step}"] if step else []
    return "\n".join([head, told, *steps, *_record_lines(letter, record, hidden=_hidden(letter))])


def _record_lines(letter: Letter, record: Record | None, *, hidden: bool) -> list[str]:
    if record is None:
        return [f"its record, {letter.source}, has left its log"]
    value = record.value or b""
    same = "the same bytes" if is_original(letter, record) else "NOT what was refused: its hash differs"
    attempt = attempt_of(letter.source, record.headers)
    head = (
        f"its record, {letter.source}: {len(value):,} bytes, {same}, attempt {attempt.number}, first at {attempt.first}"
    )
    if hidden:
        return [
            head,
            f"headers: {', '.join(name for name, _ in record.headers) or 'none'}; a payload of this lane is never shown",
        ]
    headers = [f"  {name}: {held.decode('utf-8', 'backslashreplace')}" for name, held in record.headers]
    key = "none" if record.key is None else record.key.decode("utf-8", "backslashreplace")
    return [
        head,
        f"key: {key}",
        "headers:" if headers else "headers: none",
        *headers,
        value.decode("utf-8", "backslashreplace"),
    ]
