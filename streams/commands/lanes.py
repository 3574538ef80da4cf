"""Finds the lane that an event belongs to, where nobody said it: it follows from the template, or from what an opt-in is for."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from broker.registry.fold import Registry
from schemas.ids import business_of
from schemas.lanes import LANE_WORDS, Category, Lane, lane_for
from schemas.request import NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.wire.text import nearest
from streams.client import Event

LaneOption = Annotated[
    str | None,
    typer.Option(
        metavar="LANE",
        help=f"{LANE_WORDS}; found from the registered template if not given.",
        show_default=False,
    ),
]
_OPTIN_LANE: Final = {"service": lane_for(Category.UTILITY), "marketing": lane_for(Category.MARKETING)}


def lane_named(word: str | None) -> Lane | None:
    """Returns the lane of a word, None for none; ``ValueError`` with the known ones for any other."""
    try:
        return None if word is None else Lane.of(word)
    except KeyError:
        raise ValueError(no_lane(word)) from None


def no_lane(word: object) -> str:
    """The sentence for a lane that is none."""
    return f"there is no lane {word!r}; there are: {', '.join(each.word for each in Lane)}"


def lane_of_template(registry: Registry, business: str, template: str) -> Lane:
    """Returns the lane that the template's category decides; ``ValueError`` if there is no such template."""
    found = registry.template_for(business, template)
    if found is None:
        near = nearest(template, registry.templates_of(business)) or "; `fanfare registry show template` lists them"
        raise ValueError(f"there is no template {template!r} for {business}{near}")
    return lane_for(Category[found.category.upper()])


def lane_of_event(event: Event, registry: Registry) -> Lane:
    """Returns the lane of an event; ``ValueError`` with what to say instead where it cannot be told."""
    data = event.get("data")
    content: Mapping[str, Any] = data if isinstance(data, dict) else {}
    named = f"the lane of {event.get('id')!r} cannot be told"
    match event.get("type"):
        case kind if kind == NOTIFICATION_TYPE:
            try:
                return lane_of_template(registry, business_of(str(event.get("source"))), str(content.get("template")))
            except ValueError as error:
                raise ValueError(f"{named}: {error}; or give --lane") from None
        case kind if kind == OPTIN_TYPE:
            if (lane := _OPTIN_LANE.get(str(content.get("purpose")))) is not None:
                return lane
            raise ValueError(
                f"{named}: an opt-in without data.purpose goes to --lane update for service, campaign for offers"
            )
        case _:
            raise ValueError(f"{named}: give --lane, that of the request which it is about")
