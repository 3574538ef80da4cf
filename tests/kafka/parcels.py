"""Updates of the development shop, to people who are there."""

from typing import Any

from schemas.request import Notification
from streams.client import Head, notification, to_people
from streams.dev.sources.seeded_people import person


def parcel(number: int) -> dict[str, Any]:
    """Returns an update to one person; the same ``number`` is the same event."""
    content = Notification(
        "parcel_delivered",
        to_people(person(5, number).address),
        params={"parcel": f"PX-{number}", "event_time": "6:38 pm"},
    )
    return notification(Head(source="//shop-parcelo/parcels", id=f"px-{number}", lifetime_ms=3_600_000), content)
