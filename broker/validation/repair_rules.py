"""Where in the event a refusal of its form points to, and what to write there so that plan gets to the next one.

A table of the sentences that plan says about form, in ``schemas/wire`` and ``broker/plan``: tests hold every one of them against
it. A sentence that is not in the table ends the search, with the whole event for its place.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from broker.validation.repair import SOUND, Draft, Path, path_of
from schemas.ids import Lane
from schemas.reasons import Reason, Refusal
from schemas.request import MAX_LABELS, MAX_PARAM_CHARS, MAX_PARAMS, MAX_RECIPIENTS
from schemas.wire import timestamps
from schemas.wire.sealed import looks_sealed
from schemas.wire.text import echo, unsafe

_ENVELOPE: Final = frozenset({"specversion", "id", "source", "type", "time"})
"""Attributes of an envelope. A document with none of these is no event at all."""

_Mend = Callable[[Draft, re.Match[str]], Path]


def mend_form(draft: Draft, refusal: Refusal) -> Path | None:
    """The place that ``refusal`` is about, mended; None if nothing more can be found out about this event."""
    if refusal.reason is Reason.NOT_A_CLOUD_EVENT:
        if not _ENVELOPE & draft.event.keys():
            return None
        draft.mend(("specversion",))
        return ("specversion",)
    if refusal.reason is Reason.UNKNOWN_TYPE:
        draft.mend(("type",))
        return ("type",)
    for pattern, mend in _RULES:
        if match := pattern.match(refusal.detail):
            return mend(draft, match)
    return None


def _unknown(draft: Draft, match: re.Match[str]) -> Path:
    holder = _some(draft, path_of(match["place"]))
    held = draft.at(holder)
    told = match.string[match.start("name") :]
    keys = [key for key in held if told.startswith(echo(key))] if isinstance(held, dict) else []
    path = (*holder, max(keys, key=len, default="..."))
    draft.remove(path)
    return path


def _here(draft: Draft, match: re.Match[str]) -> Path:
    path = _some(draft, path_of(match[1]))
    draft.mend(path)
    return path


def _some(draft: Draft, path: Path) -> Path:
    """The path with the key in place of ``...``: msgspec does not say which value of an object it means."""
    if "..." not in path:
        return path
    at = path.index("...")
    held = draft.at(path[:at])
    values = held if isinstance(held, dict) else {}
    bad = _no_text if path[at - 1] == "labels" else _no_parameter
    key = next((key for key, value in values.items() if bad(value)), "...")
    return (*path[:at], key, *path[at + 1 :])


def _no_text(value: Any) -> bool:
    return not isinstance(value, str)


def _no_parameter(value: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() != {"sealed"} or not isinstance(value["sealed"], str)
    return not isinstance(value, str)


def _unsound_parameter(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value["sealed"]) > 2 * MAX_PARAM_CHARS or not looks_sealed(value["sealed"])
    return len(value) > MAX_PARAM_CHARS or unsafe(value)


def _time(draft: Draft, _: re.Match[str]) -> Path:
    path: Path = ("expirytime",) if _is_instant(draft.event.get("time")) else ("time",)
    draft.mend(path)
    return path


def _is_instant(text: object) -> bool:
    try:
        timestamps.ms_of(str(text))
    except ValueError:
        return False
    return True


def _no_data(draft: Draft, _: re.Match[str]) -> Path:
    if draft.event.pop("data_base64", None) is None or draft.event.get("data") is None:
        draft.mend(("data",))
    return ("data",)


def _base64(draft: Draft, _: re.Match[str]) -> Path:
    del draft.event["data_base64"]
    draft.mend(("data",))
    return ("data_base64",)


def _addressees(draft: Draft, _: re.Match[str]) -> Path:
    path = ("data", "to")
    to = draft.at(path)
    if to.get("recipients"):
        to.pop("list")
    else:
        draft.mend(path)
    return path


def _list_of_codes(draft: Draft, _: re.Match[str]) -> Path:
    draft.put(("data", "to", "recipients"), [draft.stranger()])
    draft.remove(("data", "to", "list"))
    return ("data", "to", "list")


def _no_fact(draft: Draft, _: re.Match[str]) -> Path:
    fields = [field for field in ("facet", "version") if draft.event["data"].pop(field, None) is not None]
    return ("data", fields[0])


def _too_many(draft: Draft, match: re.Match[str]) -> Path:
    path = path_of(match[1])
    held, most = draft.at(path), MAX_LABELS if match[1].endswith("labels") else MAX_PARAMS
    for key in list(held)[most:]:
        del held[key]
    return path


def _crowd(draft: Draft, _: re.Match[str]) -> Path:
    path = ("data", "to", "recipients")
    del draft.at(path)[MAX_RECIPIENTS:]
    return path


def _members(draft: Draft, _: re.Match[str]) -> Path:
    path = ("data", "members")
    del draft.at(path)[MAX_RECIPIENTS:]
    if not draft.at(path):
        draft.mend(path)
    return path


def _evidence_ms(draft: Draft, _: re.Match[str]) -> Path:
    members = draft.at(("data", "members"))
    position = next(place for place, member in enumerate(members) if (member.get("evidence_ms") or 0) < 0)
    path = ("data", "members", position, "evidence_ms")
    draft.remove(path)
    return path


def _twin(draft: Draft, match: re.Match[str]) -> Path:
    path = path_of(match[1])
    draft.mend((*path, "address"))
    return path


def _parameter(draft: Draft, match: re.Match[str]) -> Path:
    params = path_of(match[1])
    path = (*params, next(key for key, value in draft.at(params).items() if _unsound_parameter(value)))
    draft.mend(path)
    return path


def _labels(draft: Draft, _: re.Match[str]) -> Path:
    path = ("data", "labels")
    draft.remove(path)
    return path


def _lane(draft: Draft, _: re.Match[str]) -> Path:
    draft.lane = Lane.CAMPAIGN
    return ("type",)


def _target(draft: Draft, _: re.Match[str]) -> Path:
    for field in ("of", "request"):
        draft.remove(("data", field))
    draft.put(("data", "subject"), SOUND["data.subject"])
    return ("data",)


def _foreign(draft: Draft, _: re.Match[str]) -> Path:
    _target(draft, _)
    return ("data", "of", "source")


def _ours(draft: Draft, _: re.Match[str]) -> Path:
    draft.mend(("source",))
    return ("source",)


_RULES: Final[tuple[tuple[re.Pattern[str], _Mend], ...]] = tuple(
    (re.compile(pattern), mend)
    for pattern, mend in (
        (r"(?P<place>.+?) has no field (?P<name>`)", _unknown),
        (r"(?P<name>`).*` in (?P<place>data\S*|the event) is reserved", _unknown),
        (r"data is missing, or", _no_data),
        (r"data_base64 is not", _base64),
        (r"time and expirytime must", _time),
        (r"data\.to must hold", _addressees),
        (r"data\.to\.list: a one-time code", _list_of_codes),
        (r"data\.facet and data\.version belong", _no_fact),
        (r"data must hold exactly one", _target),
        (r"data\.of\.source (?:names|must)", _foreign),
        (r"data\.members has \d", _members),
        (r"data\.members: evidence_ms", _evidence_ms),
        (r"data\.labels: ", _labels),
        (r"(\S+) has \d+ (?:labels|parameters);", _too_many),
        (r"\d+ recipients;", _crowd),
        (r"(\S+\]) is the same person", _twin),
        (r"(\S+params): ", _parameter),
        (r"Opt-ins may be large", _lane),
        (r"Businesses of Fanfare's own", _ours),
        (r"(\S+) (?:is missing|has the wrong type|must|is no valid)\b", _here),
    )
)
