"""`fanfare campaign ls|show|pause|resume|cancel`: what a business does about requests that it has published."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from schemas.ids import business_of, request_name, text_of
from schemas.lanes import DAY_MS, Lane
from schemas.request import Control, EventName
from schemas.status import Status
from schemas.wire.timestamps import text_of as instant
from streams.client import Client, Event, Head, control
from streams.client.progress import CLOSED, REFUSED, Numbers, numbers_of
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.lanes import lane_named
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.kafka.admin import describe
from streams.operate.control_requests import STABLE_S, Accepted, accepted, statuses_of, watched
from streams.runtime import clock
from streams.runtime.kafka_access import Address

_ANSWER_S: Final = 10
_SYSTEM: Final = "fanfare-campaign"
"""The system in the ``source`` of the control events that this command publishes."""
_NAME_CHARS: Final = 26
_DONE: Final = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}
_NOT_QUIET: Final = 3

app = application(
    no_args_is_help=True,
    help="List, show, pause, resume or cancel what a business has published, with exact numbers.",
)

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        help="A request, by its 26 letters; or the source of its event, with ID after it.",
        show_default=False,
    ),
]
IdArgument = Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)]
SubjectOption = Annotated[
    str | None, typer.Option(metavar="SUBJECT", help="Instead: all of --business about it.", show_default=False)
]
BusinessOption = Annotated[str | None, typer.Option(metavar="ID", help="Whose; with --subject.", show_default=False)]
LaneOption = Annotated[
    str | None, typer.Option(metavar="LANE", help="Where it was published.", show_default="any of a named request")
]
DaysOption = Annotated[float, typer.Option(min=0, metavar="N", help="How far back to look; 0: as far as the logs go.")]
WaitOption = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until the numbers stand still.")
]


class Asked(NamedTuple):
    """Names what was asked for. Either ``names`` or ``subject`` with ``business``."""

    lanes: tuple[Lane, ...]
    names: tuple[str, ...] = ()
    """The request's name in each of the lanes."""
    subject: str = ""
    business: str = ""


class Row(msgspec.Struct, frozen=True):
    """Shows one request as it is printed."""

    request: str
    lane: str
    business: str
    source: str
    id: str
    subject: str
    list: str
    state: str
    expires: str
    numbers: Numbers

    @classmethod
    def of(cls, known: Accepted, status: Status | None) -> "Row":
        """Returns the row of an accepted request; ``status`` is None if nothing was said about it."""
        numbers = numbers_of({} if status is None else status.counts, known.people)
        return cls(
            request=known.request,
            lane=known.lane.word,
            business=known.business,
            source=known.source,
            id=known.id,
            subject=known.subject,
            list=known.list,
            state="accepted" if status is None else "paused" if numbers.held else status.state,
            expires=instant(known.expires_ms),
            numbers=numbers,
        )


@app.command("ls")
def ls_command(
    *,
    business: Annotated[
        str | None, typer.Option(metavar="BUSINESS", help="Only this one's.", show_default=False)
    ] = None,
    lane: LaneOption = None,
    days: DaysOption = 7,
    every: Annotated[bool, typer.Option("--all", help="Those that are closed, too.")] = False,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """List the requests that are not closed, of all lanes or one, oldest first: messages handed off, held, cancelled."""
    chosen = _lane("ls", lane)
    address = configured("campaign ls", bootstrap).kafka
    lanes = list(Lane) if chosen is None else [chosen]
    for row in run("campaign ls", _listed(address, lanes, business, _since_ms(days))):
        if every or row.state != CLOSED:
            _print(row, output)


@app.command("show")
def show_command(
    *,
    source: SourceArgument = None,
    event_id: IdArgument = None,
    subject: SubjectOption = None,
    business: BusinessOption = None,
    lane: LaneOption = None,
    days: DaysOption = 7,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Show how many messages of a request, or of all requests about a subject, are handed off, held, cancelled."""
    asked = _asked("show", _lane("show", lane), (source, event_id, subject, business))
    address = configured("campaign show", bootstrap).kafka
    targets, statuses = run("campaign show", _shown(address, asked, _since_ms(days)))
    for target in targets:
        _print(Row.of(target, statuses.get(target.request)), output)


def _acting(action: str, sentence: str) -> None:
    """Makes the command of one action: they differ in their names and in what is waited for."""

    def command(
        *,
        source: SourceArgument = None,
        event_id: IdArgument = None,
        subject: SubjectOption = None,
        business: BusinessOption = None,
        lane: LaneOption = None,
        days: DaysOption = 7,
        wait: WaitOption = 15,
        output: OutputOption = "text",
        bootstrap: BootstrapOption = None,
    ) -> None:
        asked = _asked(action, _lane(action, lane), (source, event_id, subject, business))
        address = configured(f"campaign {action}", bootstrap).kafka
        raise typer.Exit(run(f"campaign {action}", _act(address, asked, action, (_since_ms(days), wait, output))))

    command.__doc__ = sentence
    app.command(action)(command)


_acting(
    "pause",
    "Pause: hand off nothing more, 1.1 s (otp: 5.1 s) after Fanfare has answered at the latest; what is held waits until it "
    "expires.\n\n"
    "Exit status: 0 done, 1 refused, 3 the numbers still moved after --wait.",
)
_acting(
    "resume",
    "Resume: go on with what is held, at the pace of its number.\n\nExit status: 0 done, 1 refused, 3 still held after --wait.",
)
_acting(
    "cancel",
    "Cancel: end for good what is not handed off, 1.1 s (otp: 5.1 s) after Fanfare has answered at the latest.\n\n"
    "Exit status: 0 done, 1 refused, 3 the numbers still moved after --wait.",
)


async def _listed(address: Address, lanes: Sequence[Lane], business: str | None, since_ms: int) -> list[Row]:
    await describe(address, deadline_s=_ANSWER_S)
    found = [each for lane in lanes for each in (await accepted(address, lane, since_ms=since_ms)).values()]
    known = sorted((each for each in found if _visible(each, business)), key=lambda each: each.decided_ms)
    statuses: dict[str, Status] = {}
    for owner in sorted({each.business for each in known}):
        statuses |= await statuses_of(address, owner, since_ms=since_ms)
    return [Row.of(each, statuses.get(each.request)) for each in known]


def _visible(known: Accepted, business: str | None) -> bool:
    """Returns whether a request is one of ``business``, or of anybody but Fanfare itself, whose heartbeats nobody controls."""
    return known.business == business if business is not None else not known.business.startswith("fanfare-")


async def _shown(address: Address, asked: Asked, since_ms: int) -> tuple[list[Accepted], Mapping[str, Status]]:
    targets = await _targets(address, asked, since_ms)
    owner = targets[0].business if targets else asked.business
    return targets, await statuses_of(address, owner, since_ms=since_ms)


async def _targets(address: Address, asked: Asked, since_ms: int) -> list[Accepted]:
    await describe(address, deadline_s=_ANSWER_S)
    found: list[Accepted] = []
    for lane in asked.lanes:
        known = (await accepted(address, lane, since_ms=since_ms)).values()
        if asked.subject:
            return [each for each in known if (each.business, each.subject) == (asked.business, asked.subject)]
        if found := [each for each in known if each.request in asked.names]:
            break  # the others are not read: whoever pauses is in a hurry
    if not found:
        words = ", ".join(lane.word for lane in asked.lanes)
        refuse("campaign", f"no request {asked.names[0]} was accepted in {words}; --lane, --days look elsewhere")
    return found


async def _act(address: Address, asked: Asked, action: str, how: tuple[int, float, str]) -> int:
    since_ms, wait_s, output = how
    targets = await _targets(address, asked, since_ms)
    lane, event = _order(asked, action, targets)
    async with Client(address) as client:
        answer = await client.wait(await client.publish(lane, event), until="answered")
    if answer.state == REFUSED:
        say(f"fanfare campaign {action}: {answer.reason}: {answer.detail}")
        return 1
    say(f"{action} is in force since {instant(answer.at_ms)}")
    stable_s = 0.0 if action == "resume" else STABLE_S
    statuses = await watched(
        address, targets, lambda newest: _stands(action, newest), stable_s=stable_s, timeout_s=wait_s
    )
    for target in targets:
        row = Row.of(target, statuses.get(target.request))
        _print(msgspec.structs.replace(row, state=_DONE[action]) if row.state != CLOSED else row, output)
    if targets:
        return 0 if _stands(action, statuses) else _NOT_QUIET
    say(f"no request about {asked.subject} yet: it holds for those to come")
    return 0


def _order(asked: Asked, action: str, targets: list[Accepted]) -> tuple[Lane, Event]:
    """Returns the control event, and the lane that it goes to."""
    head = Head(source=f"//{targets[0].business if targets else asked.business}/{_SYSTEM}", id=str(uuid.uuid4()))
    if asked.subject:
        return asked.lanes[0], control(head, Control(action, subject=asked.subject))
    return targets[0].lane, control(head, Control(action, of=EventName(targets[0].source, targets[0].id)))


def _stands(action: str, statuses: Mapping[str, Status]) -> bool:
    """Returns whether the numbers say what was asked for: nothing under way when paused or cancelled, nothing held otherwise."""
    numbers = [numbers_of(status.counts) for status in statuses.values()]
    if action == "resume":
        return not any(each.held for each in numbers)
    return all(each.quiet and (action == "pause" or not each.held) for each in numbers)


def _asked(action: str, lane: Lane | None, given: tuple[str | None, str | None, str | None, str | None]) -> Asked:
    source, event_id, subject, business = given
    if subject is not None:
        if source is not None or business is None:
            refuse(f"campaign {action}", "--subject goes with --business, and without TARGET")
        return Asked((Lane.CAMPAIGN if lane is None else lane,), subject=subject, business=business)
    if source is None:
        refuse(f"campaign {action}", "which request? Its 26 letters, or SOURCE and ID; or --subject with --business")
    return _request(action, tuple(reversed(Lane)) if lane is None else (lane,), source, event_id)


def _request(action: str, lanes: tuple[Lane, ...], source: str, event_id: str | None) -> Asked:
    if event_id is None:
        if len(source) != _NAME_CHARS:
            refuse(f"campaign {action}", f"{source} is no request of 26 letters; an event's ID follows its SOURCE")
        return Asked(lanes, (source.lower(),))
    try:
        owner = business_of(source)
    except ValueError as error:
        refuse(f"campaign {action}", str(error))
    return Asked(lanes, tuple(text_of(request_name(each, source, event_id)) for each in lanes), business=owner)


def _lane(action: str, word: str | None) -> Lane | None:
    try:
        return lane_named(word)
    except ValueError as error:
        refuse(f"campaign {action}", str(error))


def _since_ms(days: float) -> int:
    return clock.now_ms() - int(days * DAY_MS) if days else 0


def _print(row: Row, output: str) -> None:
    about = f" about {row.subject}" if row.subject else ""
    to = f" to {row.list}" if row.list else ""
    head = f"{row.state:<10} {row.id} of {row.source}{about}{to}, until {row.expires}  [{row.request}]"
    parts = msgspec.structs.asdict(row.numbers)
    people = parts.pop("people")
    said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items())
    show(row, output, f"{head}\n           {said}; {people:,} in all")
