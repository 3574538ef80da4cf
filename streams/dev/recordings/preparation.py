"""Prepares a recording for its replay: which events, each as one of now (source, times, codes), and when each is due. Pure.

Everything is a pure function of the entry and the shift. Without a run in ``source`` a replay would be taken for duplicates,
without moved times for stale events (PROTOCOL.md section 8), and without a run in the subject of a fact for old news of what
was told before; nor shall a replay make old news of what is told meanwhile.

What is due does not move when Kafka is slow, so that latency from the intended time is what a producer would have felt; a
closed loop would hide every pause but the first event's (coordinated omission).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from broker.letters import conditions_of
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.wire import timestamps
from streams.client import Event
from streams.dev.recordings.files import SEALED, Entry, each_holder


def spaced(at_ms: Sequence[int], *, speed: float, loops: int = 1) -> Iterator[tuple[int, int, int]]:
    """(loop, index, due) with the spacing of ``at_ms``, which ascends, divided by ``speed``.

    A loop begins one average gap after the end of the one before it.
    """
    if speed <= 0:
        raise ValueError("a speed is above 0")
    span = at_ms[-1] - at_ms[0] if at_ms else 0
    period = span + span / max(len(at_ms) - 1, 1)
    for loop in range(loops):
        for index, at in enumerate(at_ms):
            yield loop, index, round((loop * period + at - at_ms[0]) / speed)


def steady(count: int, *, rate: float, loops: int = 1) -> Iterator[tuple[int, int, int]]:
    """(loop, index, due) at ``rate`` events a second, whatever their own spacing was."""
    if rate <= 0:
        raise ValueError("a rate is above 0")
    for position in range(count * loops):
        loop, index = divmod(position, count)
        yield loop, index, round(position * 1000 / rate)


KEYS: Final = ("lane", "type", "template")

Wanted = Mapping[str, frozenset[str]]
"""The values wanted of each key; a key that is not named wants them all."""


def wanted_of(texts: Iterable[str]) -> Wanted:
    """Several values of one key are alternatives, several keys are conditions; ``ValueError`` for what is no filter."""
    return conditions_of(texts, KEYS)


def chosen(entry: Entry, wanted: Wanted) -> bool:
    """Returns whether the entry meets every condition."""
    body = entry.value.get("data")
    held = {
        "lane": entry.lane.word,
        "type": entry.value.get("type"),
        "template": body.get("template") if isinstance(body, dict) else None,
    }
    return all(held[key] in values for key, values in wanted.items())


_MARKS: Final = ("time", "expirytime")
_CODE_DIGITS: Final = 6
_REMEMBERED: Final = 100_000


class Rewritten(NamedTuple):
    """An event to publish, and the codes in clear that the client seals into it."""

    event: Event
    codes: Mapping[str, str]


class Shifts:
    """By how much each event of a loop is moved: to when it is due, and a repetition as far as what it repeats.

    A repetition has to stay one, byte for byte, or it would be refused as a conflict. So many names are remembered.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._known: OrderedDict[tuple[int, str, str], int] = OrderedDict()
        self._remembered = remembered

    def of(self, entry: Entry, loop: int, due_at_ms: int) -> int:
        """Milliseconds to add to the times of ``entry``, which is due at ``due_at_ms`` on the wall clock."""
        name = (loop, str(entry.value.get("source")), str(entry.value.get("id")))
        shift_ms = self._known.setdefault(name, due_at_ms - entry.at_ms)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return shift_ms


def rewritten(entry: Entry, *, run: str, shift_ms: int, test: bool) -> Rewritten:
    """The entry's event in ``run``, under its own id, its times moved by ``shift_ms``. Versions stay: they rise as they did."""
    event = {name: held for name, held in entry.value.items() if name != "traceparent"}
    event["source"] = f"{event['source']}/{run}"
    event |= {mark: _moved(event[mark], shift_ms) for mark in _MARKS if mark in event}
    body = event.get("data")
    if not isinstance(body, dict):
        return Rewritten(event, {})
    if event.get("type") == OPTIN_TYPE:
        return Rewritten({**event, "data": _optin(body, shift_ms)}, {})
    if event.get("type") == CONTROL_TYPE:
        return Rewritten({**event, "data": _control(body, run)}, {})
    if "version" in body and isinstance(event.get("subject"), str):
        event["subject"] = f"{event['subject']}/{run}"
    if test and event.get("type") == NOTIFICATION_TYPE:
        body = {**body, "test": True}
    body, names = _open_for_sealing(body)
    return Rewritten({**event, "data": body}, dict.fromkeys(sorted(names), dev_code(event["source"], event["id"])))


def dev_code(source: str, event_id: str) -> str:
    """Six digits that stand for the code of an event: the same for a repetition, because it has to be sealed the same."""
    drawn = int.from_bytes(hashlib.sha256(f"{source}\0{event_id}".encode()).digest()[:8], "big")
    return f"{drawn % 10**_CODE_DIGITS:0{_CODE_DIGITS}d}"


def _moved(text: Any, by_ms: int) -> Any:
    """The instant moved; what is none stays as it was, and is refused as it was."""
    try:
        return timestamps.text_of(timestamps.ms_of(text) + by_ms)
    except (TypeError, ValueError, OverflowError):
        return text


def _optin(body: dict[str, Any], by_ms: int) -> dict[str, Any]:
    members = body.get("members")
    if not isinstance(members, list):
        return body
    return {**body, "members": [_evidenced(one, by_ms) if isinstance(one, dict) else one for one in members]}


def _control(body: dict[str, Any], run: str) -> dict[str, Any]:
    """Renames the target of a control event as the run publishes it. A request's own name cannot be known here."""
    of = body.get("of")
    return {**body, "of": {**of, "source": f"{of.get('source')}/{run}"}} if isinstance(of, dict) else body


def _evidenced(member: dict[str, Any], by_ms: int) -> dict[str, Any]:
    evidence_ms = member.get("evidence_ms")
    return {**member, "evidence_ms": evidence_ms + by_ms} if type(evidence_ms) is int else member


def _open_for_sealing(body: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """``body`` without its sealed parameters, and their names."""
    names: set[str] = set()
    return each_holder(body, lambda holder: _unsealed(holder, names)), names


def _unsealed(holder: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """``holder`` without its sealed parameters, whose names are added to ``names``."""
    params = holder.get("params")
    if not isinstance(params, dict):
        return holder
    sealed = {name for name, held in params.items() if isinstance(held, dict) and SEALED in held}
    names |= sealed
    return {**holder, "params": {name: held for name, held in params.items() if name not in sealed}}
