"""Stories as lines for a terminal and as JSON: of one request, of one person, and of whom a request did not reach. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from broker.explain.line import Line, doubt_text, next_steps, people_text, reason_of, reason_steps, reason_text
from broker.explain.person import Encounter
from broker.explain.timeline import Story
from schemas.ids import text_of
from schemas.reasons import State, word_of

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
