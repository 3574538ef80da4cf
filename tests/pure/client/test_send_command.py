"""`fanfare send` and the lanes that nobody has to name: what follows from the registry, and what to say where nothing does."""

from pathlib import Path
from typing import Any

import pytest

from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE, Notification, To
from streams.commands.event_file import codes_of
from streams.commands.lanes import lane_of_event
from streams.commands.send import Wanted, business_for, event_of
from streams.registry.apply import changes, read_files
from streams.registry.development import DEVELOPMENT


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The development registry, and a bakery with a template of its own."""
    found = Registry()
    changes(read_files([DEVELOPMENT, DEVELOPMENT / "examples" / "bakery.yaml"]), found)
    return found


def wanted(template: str, business: str | None = None) -> Wanted:
    """What is to be said to a list."""
    return Wanted(Notification(template, To(list="l")), business, "1", None, None, {})


@pytest.mark.parametrize(
    ("template", "business", "lane"),
    [
        ("order_ready", None, Lane.UPDATE),
        ("parcel_delivered", "shop-parcelo", Lane.UPDATE),
        ("login_code", "bank-meridian", Lane.OTP),
        ("offer", "airline-ua", Lane.CAMPAIGN),
    ],
)
def test_the_template_decides_the_lane(registry: Registry, template: str, business: str | None, lane: Lane) -> None:
    """And who sends, if it is one's alone; what is sent has an expiry that its lane can keep."""
    found, event = event_of(wanted(template, business), registry)
    assert found is lane
    assert event["source"] == f"//{business or 'bakery'}/fanfare-send"
    assert event["expirytime"] > event["time"]


def test_a_template_of_everybody_needs_a_business(registry: Registry) -> None:
    """Unless there is only one."""
    with pytest.raises(ValueError, match=r"which business\? .*shop-parcelo"):
        business_for(registry, "parcel_delivered")
    alone = Registry()
    alone.add(registry.businesses["bakery"])
    assert business_for(alone, "parcel_delivered") == "bakery"


def event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """An event of the shop."""
    return {"type": kind, "source": "//shop-parcelo/x", "id": "7", "data": data}


LANES: dict[str, tuple[dict[str, Any], Lane | str]] = {
    "a notification": (event(NOTIFICATION_TYPE, {"template": "offer"}), Lane.CAMPAIGN),
    "a misspelt template": (
        event(NOTIFICATION_TYPE, {"template": "parcel_deliverd"}),
        "did you mean `parcel_delivered`",
    ),
    "an opt-in for service": (event(OPTIN_TYPE, {"purpose": "service"}), Lane.UPDATE),
    "an opt-in for offers": (event(OPTIN_TYPE, {"purpose": "marketing"}), Lane.CAMPAIGN),
    "an opt-in for anything": (event(OPTIN_TYPE, {}), "--lane update for service, campaign for offers"),
    "a control event": (event(CONTROL_TYPE, {}), "give --lane, that of the request"),
    "no event": ({}, "give --lane"),
}


@pytest.mark.parametrize(("event", "lane"), LANES.values(), ids=LANES.keys())
def test_the_lane_of_an_event_is_found(registry: Registry, event: dict[str, Any], lane: Lane | str) -> None:
    """Or it is said what to give."""
    if isinstance(lane, Lane):
        assert lane_of_event(event, registry) is lane
    else:
        with pytest.raises(ValueError, match=lane):
            lane_of_event(event, registry)


def test_a_code_may_stand_in_a_file(tmp_path: Path) -> None:
    """So that the list of processes does not show it."""
    file = tmp_path / "code"
    file.write_text("493027\nmore\n", "utf-8")
    assert codes_of([f"code=@{file}", "other=1"]) == {"code": "493027", "other": "1"}
    file.write_text("\n", "utf-8")
    with pytest.raises(ValueError, match="holds no code in its first line"):
        codes_of([f"code=@{file}"])
