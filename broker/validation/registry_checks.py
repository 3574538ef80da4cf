"""Checks an event of sound form as plan would: its time, its sender, its template, and the values of its parameters.

Each check is plan's own (``window``, ``parties``, ``params``). After an objection the event, or the copy of the registry, is
changed so that the next check can be made.
"""

import re
from collections.abc import Generator, Iterator
from typing import Final

import msgspec

from broker.plan.authorize import expiry_of, fill, parties_of, suspended, unknown_business, untimely
from broker.plan.decode import Control, Membership, Misrouted, Notice
from broker.plan.validate import Content
from broker.registry.fold import SEAL, Registry
from broker.validation.repair import Draft, Path, path_of, pointer_of
from schemas.ids import Lane
from schemas.reasons import Fault, Reason, Refusal
from schemas.registry import CATEGORY_LANE, Business, Category, Key, PriceCard, Sender, Template
from schemas.request import CloudEvent, Params, Sealed
from schemas.topics import WINDOWS
from schemas.wire.text import echo

# The parameters of a request against the slots of its template, being mended: plan's own check is asked until it is content.

_SLOT: Final = re.compile(r"(\S+?params)(?:, slot |: the template has no slot )(?=`)")
_QUOTED: Final = re.compile(r"`(.*?)`")
_SPARE: Final = Key("key", SEAL, "")


class Slots:
    """Holds the parameters, for all and for each recipient; :meth:`mend` makes good one refusal after another."""

    def __init__(self, content: Content, template: Template, registry: Registry) -> None:
        self._people = content.people
        self._template = template
        self._common: Params = dict(content.body.params)
        self._own: dict[int, Params] = {person.position: dict(person.params) for person in content.people}
        self._sealed = {slot.name: slot.sealed for slot in template.parameters}
        self._keys = {kid: key for kid, key in registry.keys.items() if key.use == SEAL}

    def refusal(self) -> Refusal | None:
        """The first thing that plan would not take."""
        people = [msgspec.structs.replace(person, params=self._own[person.position]) for person in self._people]
        filled = fill(self._template, self._common, people, seal_keys=self._keys)
        return filled if isinstance(filled, Refusal) else None

    def mend(self, refusal: Refusal) -> Path | None:
        """Make good what is refused, and say where it stood; None if it is not known how."""
        if match := _SLOT.match(refusal.detail):
            return self._slot(path_of(match[1]), refusal.detail[match.end() :])
        if refusal.reason is Reason.MISSING_PARAMETER:
            for name in _QUOTED.findall(refusal.detail)[1:]:
                self._fill(name)
            return ("data", "params")
        shared = next((name for name, value in self._common.items() if isinstance(value, Sealed)), None)
        if shared is None:
            return None
        del self._common[shared]
        if shared in self._sealed:
            self._fill(shared)
        return ("data", "params", shared)

    def _slot(self, place: Path, told: str) -> Path:
        """Returns the place of a value that does not fit, from the parameter's name in the sentence, which may have been cut."""
        params = self._common if len(place) == 2 else self._own[int(place[3])]
        name = max((name for name in params if told.startswith(echo(name))), key=len)
        del params[name]
        if name in self._sealed:
            self._fill(name, only=None if len(place) == 2 else params)
        return (*place, name)

    def _fill(self, name: str, only: Params | None = None) -> None:
        """Something that fits, for all who lack it, or in ``only`` these parameters."""
        if not self._keys:
            self._keys = {_SPARE.id: _SPARE}
        sealed = self._sealed[name]
        value = Sealed(f"{next(iter(self._keys))}.") if sealed else ""
        every = self._own.values() if sealed and self._people else (self._common,)
        for params in every if only is None else (only,):
            params.setdefault(name, value)


_SENDER: Final = "validate"
_FREE: Final = {category.word: {"*": 0} for category in Category}
_TRIES: Final = 4
_HOLDERS: Final = frozenset({"data", "params", "to", "recipients"})
"""Fields that hold parameters: once one was mended, a missing parameter is no fault of the event."""


def verdicts(
    draft: Draft, admitted: Notice | Membership | Control | Misrouted, *, registry: Registry | None, now_ms: int | None
) -> Iterator[Fault]:
    """Every objection to a draft of sound form. What was mended for its form is not objected to again."""
    lane = draft.lane
    if registry is not None and not isinstance(admitted, Misrouted) and ("source",) not in draft.mended:
        yield from _known(admitted.named.business, registry)
        if isinstance(admitted, Notice):
            if not _sound(admitted, registry, lane):
                lane = yield from _parties(draft, admitted, _with(registry, admitted.named.business))
            yield from _parameters(draft, admitted, registry)
    if now_ms is not None and ("time",) not in draft.mended:
        yield from _timely(draft, admitted, lane, now_ms)


def _known(business: str, registry: Registry) -> Iterator[Fault]:
    known = registry.businesses.get(business)
    if known is None or not known.active:
        yield _fault(("source",), unknown_business() if known is None else suspended())


def _sound(notice: Notice, registry: Registry, lane: Lane) -> bool:
    """Returns whether nobody has to be added to a copy of the registry, which costs as much as it is large."""
    return notice.named.business in registry.businesses and not isinstance(parties_of(notice, registry, lane), Refusal)


def _timely(
    draft: Draft, admitted: Notice | Membership | Control | Misrouted, lane: Lane, now_ms: int
) -> Iterator[Fault]:
    """Objections to the times of an event whose ``time`` is its own."""
    if isinstance(admitted, Notice) and ("expirytime",) not in draft.mended:
        yield from _times(admitted.event, lane, now_ms)
    elif isinstance(admitted, Control):
        refusal = untimely(admitted.event, WINDOWS[lane], now_ms)
        if refusal is not None:
            yield _fault(("time",), refusal)


def _times(event: CloudEvent, lane: Lane, now_ms: int) -> Iterator[Fault]:
    """When it happened, then how long it may live, as if it had happened now."""
    windows = WINDOWS[lane]
    refusal = expiry_of(event, windows, now_ms)
    if isinstance(refusal, Refusal) and refusal.reason in (Reason.STALE, Reason.FROM_THE_FUTURE):
        yield _fault(("time",), refusal)
        lives = None if event.expires_ms is None else event.expires_ms + now_ms - event.time_ms
        refusal = expiry_of(msgspec.structs.replace(event, time_ms=now_ms, expires_ms=lives), windows, now_ms)
        if isinstance(refusal, Refusal) and refusal.reason is Reason.REQUEST_EXPIRED:
            return
    if isinstance(refusal, Refusal):
        yield _fault(("expirytime",), refusal)


def _parties(draft: Draft, notice: Notice, registry: Registry) -> Generator[Fault, None, Lane]:
    """Sender, template, lane, price, and whether it may go to people: each objection once. Returns the lane it belongs to."""
    business, body = notice.named.business, notice.content.body
    lane = draft.lane
    for _ in range(_TRIES):
        told = msgspec.structs.replace(notice, content=msgspec.structs.replace(notice.content, body=body))
        refusal = parties_of(told, registry, lane)
        if not isinstance(refusal, Refusal):
            break
        path = _place_of(refusal, body.sender)
        if path not in draft.mended:
            yield _fault(path, refusal)
        match refusal.reason:
            case Reason.UNKNOWN_SENDER | Reason.SENDER_SUSPENDED:
                sender = f"{business}/{_SENDER}"
                registry.add(Sender(sender, business, ""))
                body = msgspec.structs.replace(body, sender=sender)
            case Reason.WRONG_LANE:
                lane = _lane_of(registry, business, body.template)
            case Reason.NOT_SUPPORTED:
                registry.add(PriceCard(max(registry.cards, default=0) + 1, "", _FREE))
            case _:
                break
    return lane


def _place_of(refusal: Refusal, sender: str | None) -> Path:
    match refusal.reason:
        case Reason.UNKNOWN_SENDER | Reason.SENDER_SUSPENDED:
            return ("data",) if sender is None else ("data", "sender")
        case Reason.INVALID_FIELD:
            return ("data", "to", "recipients")
        case Reason.INVALID_RECIPIENT:
            return ("data", "to")
        case _:
            return ("data", "template")


def _lane_of(registry: Registry, business: str, template: str) -> Lane:
    found = registry.template_for(business, template)
    return CATEGORY_LANE[Category[found.category.upper()]] if found is not None else Lane.UPDATE


def _parameters(draft: Draft, notice: Notice, registry: Registry) -> Iterator[Fault]:
    """Each slot that is missing, unknown, or holds what it may not."""
    content = notice.content
    template = registry.template_for(notice.named.business, content.body.template)
    if template is None or not template.active:
        return
    slots = Slots(content, template, registry)
    stood_in = any(isinstance(path[-1], int) or path[-1] in _HOLDERS for path in draft.mended)
    while (refusal := slots.refusal()) is not None:
        path = slots.mend(refusal)
        if path is None:
            yield _fault((), refusal)
            return
        follows = stood_in if refusal.reason is Reason.MISSING_PARAMETER else path in draft.mended
        if not follows:
            yield _fault(path, refusal)


def _with(registry: Registry, business: str) -> Registry:
    """A copy in which the business is registered and active; one that was not known has a sender, too."""
    copy = Registry()
    for entry in registry.entries():
        copy.add(entry)
    if business not in copy.businesses:
        copy.add(Sender(f"{business}/{_SENDER}", business, ""))
    copy.add(Business(business, business))
    return copy


def _fault(path: Path, refusal: Refusal) -> Fault:
    return Fault(pointer_of(path), refusal.reason, refusal.detail)
