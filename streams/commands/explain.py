"""`fanfare explain SOURCE ID [RECIPIENT]`, NAME [RECIPIENT] or --recipient: what was decided about a request or a person."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from broker.explain.line import Line, doubt_text, next_steps, people_text, reason_of, reason_steps, reason_text
from broker.explain.person import Encounter
from broker.explain.timeline import Story
from schemas.ids import business_of, name_of, recipient_id, text_of
from schemas.lanes import DAY_MS, LANE_WORDS, Lane
from schemas.reasons import State, word_of
from streams.commands.console import BootstrapOption, run
from streams.commands.console import since_ms as since_ms_of
from streams.commands.lanes import no_lane
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.kafka.admin import describe
from streams.operate.explain import Event, Explainer
from streams.runtime import clock
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.settings import Settings, SettingsError, load, raw

_FEW: Final = 20
"""People about whom every record is told unasked."""


def page(story: Story, *, every: bool = True) -> list[str]:
    """A story as lines: how its people stand, what happened, then what can be done about each reason that came up.

    Unless ``every`` record is wanted, what happened to many is summed up.
    """
    counts, people = story.tally.counts(), story.tally.people()
    summed = not every and people > _FEW
    lines = story.general if summed else story.lines
    stage_width = max((len(line.stage) for line in lines), default=0)
    rows = [f"{time_text(line.at_ms)}  {line.stage:<{stage_width}}  {line.text}{_place(line)}" for line in lines]
    if summed:
        rows += [f"{count:>{len(f'{people:,}')},}  {why(word)}" for word, count in counts.items()]
        rows.append("every record: --all; whom it did not reach: --missed; one person: --recipient tel:+...")
    if story.voids:
        rows.append(f"{story.voids} records of former owners are void and left out")
    steps = reason_steps(counts) if summed else next_steps(story.lines)
    head = f"request {text_of(story.request)} in lane {story.lane.word}{_stands(story, people, counts)}"
    return [head, *rows, *(f"next step  {reason.word}: {step}" for reason, step in steps)]


def _stands(story: Story, people: int, counts: Mapping[str, int]) -> str:
    if story.person is not None:
        return f": {why(story.person)}" if story.person else ""
    if people:
        return f": {people_text(people)}: {_counted(counts)}"
    return ": nobody was on the list" if story.listed and story.tally.frozen else ""


def person_page(person: bytes, found: Sequence[Encounter], said: Sequence[Line], looked: str) -> list[str]:
    """Every request about a person as lines, after what they said themselves."""
    rows = [f"{time_text(line.at_ms)}  {line.text}{_place(line)}" for line in said]
    head = f"recipient {text_of(person)}: {len(found)} request{'' if len(found) == 1 else 's'} {looked}"
    for one in found:
        whom = f"list {one.list}" if one.list else "named"
        what = f"{one.terms.source} {one.terms.id}  {one.terms.template} ({whom})"
        rows.append(f"{time_text(one.at_ms)}  {one.lane.word:<8}  {_age_text(one):>10}  {what}: {why(one.state)}")
    if found:
        rows.append("the third column is how old the event was when the gateway took the message")
        last = found[-1]
        rows.append(
            f"everything about one: fanfare explain {last.terms.source} {last.terms.id} {text_of(person)} --lane {last.lane.word}"
        )
    return [head, *rows]


def story_row(story: Story, missed: Sequence[tuple[bytes, str]] | None) -> dict[str, Any]:
    """Returns a story as JSON: how its people stand, every record, what can be done, and whom it missed if that was asked."""
    steps = {reason.word: step for reason, step in next_steps(story.lines)}
    row = {
        "request": text_of(story.request),
        "lane": story.lane.word,
        "people": story.tally.people(),
        "counts": story.tally.counts(),
        "records": [_line_row(line) for line in story.lines],
        "next_steps": steps,
    }
    if missed is None:
        return row
    return row | {"missed": [{"recipient": text_of(whom), "state": word} for whom, word in missed]}


def person_row(person: bytes, found: Sequence[Encounter], said: Sequence[Line]) -> dict[str, Any]:
    """Returns everything about a person as JSON: what they said themselves, and every request."""
    requests = [
        {
            "at_ms": one.at_ms,
            "lane": one.lane.word,
            "source": one.terms.source,
            "id": one.terms.id,
            "template": one.terms.template,
            "list": one.list,
            "state": one.state,
            "handed_off_ms": one.handed_ms,
        }
        for one in found
    ]
    return {"recipient": text_of(person), "said": [_line_row(line) for line in said], "requests": requests}


def _age_text(one: Encounter) -> str:
    return f"{(one.handed_ms - one.terms.time_ms) / 1_000:,.1f} s" if one.handed_ms else "-"


def _line_row(line: Line) -> dict[str, Any]:
    reason = "" if line.reason is None else line.reason.word
    return {"at_ms": line.at_ms, "stage": line.stage, "text": line.text, "place": line.place, "reason": reason}


def missed_page(missed: Sequence[tuple[bytes, str]] | None) -> list[str]:
    """Whom a request did not reach, a line each, by the letters of a status; nothing if that was not asked (None)."""
    if missed is None:
        return []
    return [f"missed  {text_of(whom)}  {why(word)}" for whom, word in missed] or ["it reached everybody"]


def why(word: str) -> str:
    """A state as it is counted, with its sentence if it is a reason or in doubt."""
    reason = reason_of(word)
    if reason is not None:
        return reason_text(reason)
    return doubt_text(0) if word == word_of(State.IN_DOUBT) else word


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())


def _place(line: Line) -> str:
    return f"  [{line.place}]" if line.place else ""


def time_text(at_ms: int) -> str:
    """An instant as operators compare it with logs: ``2026-11-29 21:36:19.123``, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"


_ANSWER_S: Final = 10
_NOTHING_FOUND: Final = 1
_NAME_CHARS: Final = 26
_SOURCE_HELP: Final = (
    "The event's source, //<business>/<system>; or, instead of SOURCE and ID, the 26 letters of a request."
)
_ONE_HELP: Final = "Only this person: tel:+..., or the 26 letters of a status."

app = application()


@app.command()
def main(
    *,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help=_SOURCE_HELP, show_default=False)] = None,
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)] = None,
    recipient: Annotated[str | None, typer.Argument(metavar="RECIPIENT", help=_ONE_HELP, show_default=False)] = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--recipient", metavar="RECIPIENT", help="The same; without SOURCE, every request about this person."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every record, however many there are.")] = False,
    missed: Annotated[
        bool, typer.Option("--missed", help="Who was not delivered to, a line each: the 26 letters of the person, why.")
    ] = False,
    lane: Annotated[
        str | None, typer.Option(metavar="LANE", help=f"{LANE_WORDS}; all are looked in otherwise.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="How far back to look: 30m, 2h, 7d, or an RFC 3339 instant.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, metavar="N", help="The same in days; 0: as far as the logs go.")] = 7,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Tell what became of one request, or of everything about one person: what was decided, when, why, and what can be done.

    It reads the logs and nothing else: what was decided, not what somebody noted down. A request is named by its event's SOURCE
    and ID, or by the 26 letters that statuses and logs call it. Its story begins with how many people stand how; a request to
    more than 20 is summed up, a line a state.
    """
    try:
        settings = load(bootstrap=bootstrap)
        lanes, since_ms = _lanes(lane), _since(since, days)
        asked, one = _wanted(source, event_id, recipient or person, settings)
    except KeyError:
        refuse("explain", no_lane(lane))
    except (ValueError, SettingsError) as error:
        refuse("explain", str(error))
    explainer = Explainer(settings.kafka, shards=settings.shards, recipient=one, since_ms=since_ms)
    looked = f"since {time_text(since_ms)[:-4]}" if since_ms else "in the logs"
    if asked is None:
        assert one is not None
        raise typer.Exit(_tell_person(explainer, lanes, one, looked, output))
    stories = run("explain", _told(explainer, lanes, asked))
    if not stories:
        say(f"fanfare explain: nothing {looked} about {_called(asked)}; `fanfare dead-letters ls` lists the nameless")
        raise typer.Exit(_NOTHING_FOUND)
    for story in stories:
        whom = run("explain", explainer.missed(story)) if missed else None
        lines = [*page(story, every=every or one is not None), *missed_page(whom)]
        show(story_row(story, whom), output, "\n".join(lines))


def _tell_person(explainer: Explainer, lanes: list[Lane], person: bytes, looked: str, output: str) -> int:
    """Print everything about a person; the exit status."""
    found, said = run("explain", _met(explainer, lanes, person))
    show(person_row(person, found, said), output, "\n".join(person_page(person, found, said, looked)))
    return 0 if found else _NOTHING_FOUND


def _lanes(lane: str | None) -> list[Lane]:
    return [Lane.of(lane)] if lane else list(Lane)


def _since(since: str | None, days: float) -> int:
    if since is not None:
        return since_ms_of(since, clock.now_ms())
    return clock.now_ms() - int(days * DAY_MS) if days else 0


def _wanted(
    source: str | None, event_id: str | None, person: str | None, settings: Settings
) -> tuple[Event | bytes | None, bytes | None]:
    """The event, or the request's name, or neither; and the person. ``ValueError`` for anything else."""
    if source is None or source.startswith("tel:"):
        person = person if source is None else source
        if person is None:
            raise ValueError(
                "name a request (SOURCE ID, or its 26 letters) or a person (--recipient tel:+491701234567)"
            )
        return None, _person(person, settings)
    asked, person = _asked(source, event_id, person)
    return asked, None if person is None else _person(person, settings)


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


async def _told(explainer: Explainer, lanes: list[Lane], asked: Event | bytes) -> list[Story]:
    await describe(explainer.bootstrap, deadline_s=_ANSWER_S)
    if isinstance(asked, Event):
        return await explainer.stories(lanes, asked)
    event = await explainer.named(asked, lanes)
    if event is None:
        return []
    return [story for story in await explainer.stories(lanes, event) if story.request == asked]


async def _met(explainer: Explainer, lanes: list[Lane], person: bytes) -> tuple[list[Encounter], list[Line]]:
    await describe(explainer.bootstrap, deadline_s=_ANSWER_S)
    return await explainer.encounters(lanes, person)


def _person(text: str, settings: Settings) -> bytes:
    """The recipient id of an address or of its text; ``ValueError`` for neither."""
    if text.startswith("tel:"):
        settings = with_own_secrets("explain", settings)
        return recipient_id(raw(settings.pepper), text)
    if len(text) != _NAME_CHARS:
        raise ValueError("RECIPIENT is an address like tel:+491701234567, or the 26 letters of a recipient id")
    return name_of(text)
