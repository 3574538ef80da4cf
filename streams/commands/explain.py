"""`fanfare explain SOURCE ID [RECIPIENT]`, or NAME [RECIPIENT]: everything that was decided about one request, from the logs."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from broker.explain.line import next_steps
from broker.explain.story import Story
from schemas.names import Lane, business_of, name_of, recipient_id, text_of
from schemas.topics import DAY_MS
from streams import clock
from streams.commands.console import BootstrapOption, no_lane, refuse, run, say
from streams.explaining import Event, Explainer
from streams.kafka.readiness import describe
from streams.settings import Settings, SettingsError, load, raw

_ANSWER_S: Final = 10
_NOTHING_FOUND: Final = 1
_NAME_CHARS: Final = 26

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="The event's source, //<business>/<system>; or, instead of SOURCE and ID, the 26 letters of a request.",
            show_default=False,
        ),
    ],
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)] = None,
    recipient: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPIENT", help="Only this person: tel:+..., or the 26 letters of a status.", show_default=False
        ),
    ] = None,
    lane: Annotated[
        str | None, typer.Option(metavar="LANE", help="otp, update or campaign; all three are looked in otherwise.")
    ] = None,
    days: Annotated[
        float, typer.Option(min=0, metavar="N", help="How far back to look; 0: as far as the logs go.")
    ] = 7,
    bootstrap: BootstrapOption = None,
) -> None:
    """Tell what became of one request: each decision with reason, time and the record that holds it; then what can be done.

    It reads the logs themselves and nothing else: what it shows is what was decided, not what somebody noted down. A request
    is named by its event's SOURCE and ID, or by the 26 letters that statuses, logs and other stories call it.
    """
    try:
        asked, person = _asked(source, event_id, recipient)
        lanes = [Lane.of(lane)] if lane else list(Lane)
        settings = load(bootstrap=bootstrap)
        one = None if person is None else _person(person, settings)
    except KeyError:
        refuse("explain", no_lane(lane))
    except (ValueError, SettingsError) as error:
        refuse("explain", str(error))
    since_ms = clock.now_ms() - int(days * DAY_MS) if days else 0
    explainer = Explainer(settings.bootstrap, shards=settings.shards, recipient=one, since_ms=since_ms)
    stories = run("explain", _told(explainer, lanes, asked, bootstrap=settings.bootstrap))
    for story in stories:
        print("\n".join(page(story)))
    if not stories:
        looked = f"the last {days:g} days" if days else "the logs"
        say(
            f"fanfare explain: nothing in {looked} about {_called(asked)}; `fanfare dead-letters ls` lists the nameless"
        )
        raise typer.Exit(_NOTHING_FOUND)


def _asked(source: str, event_id: str | None, recipient: str | None) -> tuple[Event | bytes, str | None]:
    """The event, or the request's name, and the person; ``ValueError`` for anything else."""
    if not source.startswith("//") and len(source) == _NAME_CHARS:
        if recipient is not None:
            raise ValueError("a request's name stands for SOURCE and ID; only RECIPIENT may follow it")
        return name_of(source), event_id
    business_of(source)
    if event_id is None:
        raise ValueError(f"which event of {source}? Its id follows the source")
    return Event(source, event_id), recipient


def _called(asked: Event | bytes) -> str:
    return f"request {text_of(asked)}" if isinstance(asked, bytes) else f"{asked.id} of {asked.source}"


async def _told(explainer: Explainer, lanes: list[Lane], asked: Event | bytes, *, bootstrap: str) -> list[Story]:
    await describe(bootstrap, deadline_s=_ANSWER_S)
    if isinstance(asked, Event):
        return await explainer.stories(lanes, asked)
    event = await explainer.named(asked, lanes)
    if event is None:
        return []
    return [story for story in await explainer.stories(lanes, event) if story.request == asked]


def page(story: Story) -> list[str]:
    """A story as lines: what happened, then what can be done about each reason that came up."""
    head = f"request {text_of(story.request)} in lane {story.lane.word}"
    stage_width = max(len(line.stage) for line in story.lines)
    rows = [f"{_time(line.at_ms)}  {line.stage:<{stage_width}}  {line.text}  [{line.place}]" for line in story.lines]
    if story.voids:
        rows.append(f"{story.voids} records of former owners are void and left out")
    rows += [f"next step  {reason.word}: {step}" for reason, step in next_steps(story.lines)]
    return [head, *rows]


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"


def _person(text: str, settings: Settings) -> bytes:
    """The recipient id of an address or of its text; ``ValueError`` for neither."""
    if text.startswith("tel:"):
        return recipient_id(raw(settings.pepper), text)
    if len(text) != _NAME_CHARS:
        raise ValueError("RECIPIENT is an address like tel:+491701234567, or the 26 letters of a recipient id")
    return name_of(text)
