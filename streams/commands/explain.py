"""`fanfare explain SOURCE ID [RECIPIENT]`: everything that was decided about one request, from the logs."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from broker.explain.story import Story
from schemas.names import Lane, business_of, name_of, recipient_id, text_of
from schemas.topics import DAY_MS
from streams import clock
from streams.commands.console import BootstrapOption, refuse, run, say
from streams.explaining import Explainer
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
        str, typer.Argument(metavar="SOURCE", help="The event's source: //<business>/<system>.", show_default=False)
    ],
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.", show_default=False)],
    recipient: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPIENT", help="Only this person: tel:+..., or the 26 letters of a status.", show_default=False
        ),
    ] = None,
    lane: Annotated[
        str | None, typer.Option(metavar="LANE", help="otp, update or campaign; all three are looked in otherwise.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, help="How far back to look; 0: as far as the logs go.")] = 7,
    bootstrap: BootstrapOption = None,
) -> None:
    """Tell what became of one request: each decision with reason, time and the record that holds it.

    It reads the logs themselves and nothing else: what it shows is what was decided, not what somebody noted down.
    """
    try:
        business_of(source)
        lanes = [Lane.of(lane)] if lane else list(Lane)
        settings = load(bootstrap=bootstrap)
        person = None if recipient is None else _person(recipient, settings)
    except KeyError:
        refuse("explain", f"there is no lane {lane!r}; there are: {', '.join(each.word for each in Lane)}")
    except (ValueError, SettingsError) as error:
        refuse("explain", str(error))
    since_ms = clock.now_ms() - int(days * DAY_MS) if days else 0
    explainer = Explainer(settings.bootstrap, shards=settings.shards, recipient=person, since_ms=since_ms)
    found = run("explain", _tell(explainer, lanes, (source, event_id), bootstrap=settings.bootstrap))
    if not found:
        looked = f"the last {days:g} days" if days else "the logs"
        say(f"fanfare explain: nothing in {looked} about {event_id} of {source}")
        raise typer.Exit(_NOTHING_FOUND)


async def _tell(explainer: Explainer, lanes: list[Lane], event: tuple[str, str], *, bootstrap: str) -> bool:
    await describe(bootstrap, deadline_s=_ANSWER_S)
    found = False
    for lane in lanes:
        story = await explainer.story(lane, *event)
        if story.lines:
            found = True
            print("\n".join(_page(story)))
    return found


def _page(story: Story) -> list[str]:
    head = f"request {text_of(story.request)} in lane {story.lane.word}"
    stage_width = max(len(line.stage) for line in story.lines)
    rows = [f"{_time(line.at_ms)}  {line.stage:<{stage_width}}  {line.text}  [{line.place}]" for line in story.lines]
    if story.voids:
        rows.append(f"{story.voids} records of former owners are void and left out")
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
