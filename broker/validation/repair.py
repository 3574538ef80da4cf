"""Mends an event at the places that refusals carry, so that what stands behind them can be looked at."""

import base64
from typing import Any, Final

import msgspec

from broker.plan.addresses import market_of
from schemas.lanes import Lane
from schemas.reasons import Reason, Refusal
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.wire import timestamps

Path = tuple[str | int, ...]

_SEALED: Final = "key." + "A" * 80
_EVIDENCE: Final = {"method": "web_form", "wording": "Tell me.", "source": "here"}

_KINDS: Final = {
    OPTIN_TYPE: {"op", "members", "evidence"},
    CONTROL_TYPE: {"action", "of", "request"},
    NOTIFICATION_TYPE: {"template", "to"},
}
"""Each type, and the fields by which its data is known."""

_SPARE: Final = frozenset({Reason.UNKNOWN_FIELD, Reason.NOT_SUPPORTED})
"""Reasons why something should not be there at all."""

SOUND: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "1",
    "source": "//business/system",
    "time": timestamps.EXAMPLE,
    "expirytime": "2026-11-22T06:41:00.000Z",
    "subject": "subject",
    "data.template": "template",
    "data.facet": "facet",
    "data.version": 0,
    "data.to.list": "list",
    "data.list": "list",
    "data.op": "leave",
    "data.purpose": "service",
    "data.action": "resume",
    "data.request": "a" * 26,
    "data.of.id": "1",
    "data.subject": "subject",
    "data.evidence": _EVIDENCE,
    **{f"data.evidence.{field}": text for field, text in _EVIDENCE.items()},
}
"""Values that replace unsound ones, by place without positions; where there is none the field is left out instead."""


class Draft:
    """A copy of an event in structured mode and the lane it is for; ``mended`` are the places that are not its own any more."""

    def __init__(self, lane: Lane, event: dict[str, Any]) -> None:
        self.lane = lane
        self.event: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
        self.mended: set[Path] = set()
        self._strangers = 0
        self._unfold()

    def at(self, path: Path) -> Any:
        """Returns the value at a path; None if there is none."""
        here: Any = self.event
        for step in path:
            if isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            elif isinstance(here, dict):
                here = here.get(str(step))
            else:
                return None
        return here

    def mend(self, refusal: Refusal) -> bool:
        """Put something sound where a refusal points, or leave out what stands there; False if it points nowhere."""
        path = path_of(refusal.place, self.event)
        match path:
            case ():
                return False
            case ("data",) if self.event.pop("data_base64", None) is not None and self.event.get("data") is not None:
                return True
            case ("data_base64",):
                self._remove(path)
                path = ("data",)
            case _:
                pass
        value = None if refusal.reason in _SPARE else self._sound(path)
        if value is None:
            self._remove(path)
        else:
            self._put(path, value)
        return True

    def follows(self, place: str) -> bool:
        """Return whether a place was mended before, itself or as part of something: then a fault there is ours."""
        path = path_of(place, self.event)
        return any(path[:length] in self.mended for length in range(1, len(path) + 1))

    def _put(self, path: Path, value: Any) -> None:
        """Write a value there, and the objects on the way to it."""
        self.mended.add(path)
        here: Any = self.event
        for step in path[:-1]:
            if isinstance(here, dict) and not isinstance(here.get(str(step)), dict | list):
                here[str(step)] = {}
            here = here[step]
        here[path[-1]] = value

    def _remove(self, path: Path) -> None:
        self.mended.add(path)
        holder = self.at(path[:-1])
        if isinstance(holder, dict):
            holder.pop(path[-1], None)

    def stranger(self) -> dict[str, Any]:
        """A recipient with a valid number that stands nowhere else in the event."""
        held = msgspec.json.encode(self.event)
        while True:
            address = f"tel:+1202555{self._strangers:04d}"
            self._strangers += 1
            if address.encode() not in held and market_of(address) is not None:
                return {"address": address}

    def kind(self) -> str:
        """The event's type; of one that has none of ours, the type that its data looks like."""
        told, data = self.event.get("type"), self.event.get("data")
        if isinstance(told, str) and told in _KINDS:
            return told
        fields = data.keys() if isinstance(data, dict) else set()
        return next((kind for kind, marks in _KINDS.items() if marks & fields), NOTIFICATION_TYPE)

    def _sound(self, path: Path) -> Any:
        match path:
            case ("type",):
                value: Any = self.kind()
            case ("data",):
                value = {"action": "resume", "subject": "subject"} if self.kind() == CONTROL_TYPE else {}
            case ("data", "to"):
                value = {"list": "list"} if self.lane.rules.marketing else {"recipients": [self.stranger()]}
            case ("data", "to", "recipients") | ("data", "members"):
                value = [self.stranger()]
            case ("data", "to", "recipients", int()) | ("data", "members", int()):
                value = self.stranger()
            case (*_, "address"):
                value = self.stranger()["address"]
            case (*_, "params", _, "sealed"):
                value = _SEALED
            case (*_, "params", str()):
                value = {"sealed": _SEALED} if isinstance(self.at(path), dict) else ""
            case (*_, "labels", str()):
                value = "x"
            case _:
                value = SOUND.get(".".join(map(str, path)))
        return value

    def _unfold(self) -> None:
        """Take ``data_base64`` apart, so that there is one place for everything in it."""
        folded = self.event.get("data_base64")
        if not isinstance(folded, str) or "data" in self.event:
            return
        try:
            self.event["data"] = msgspec.json.decode(base64.b64decode(folded, validate=True))
        except ValueError:
            return
        del self.event["data_base64"]


def path_of(place: str, event: Any) -> Path:
    """Return the steps of a JSON pointer into an event; empty for the whole of it. Below an array a step is a position."""
    path: Path = ()
    here = event
    for step in place.split("/")[1:]:
        key: str | int = step.replace("~1", "/").replace("~0", "~")
        if isinstance(here, list):
            key = int(step)
            here = here[key] if key < len(here) else None
        else:
            here = here.get(key) if isinstance(here, dict) else None
        path = (*path, key)
    return path
