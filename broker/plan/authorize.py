"""Authorizes a content: whether its business may speak, with which parties, with this in its slots, and at this time."""

import unicodedata
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

import msgspec

from broker.heartbeat import is_heartbeat
from broker.plan.addresses import RECIPIENTS
from broker.plan.control_events import Command, unknown_request
from broker.plan.decode import Named
from broker.plan.opt_in import Membership
from broker.plan.parties import Lookup, Parties
from broker.plan.policy import PlanPolicy
from broker.plan.state import Known
from broker.plan.validate import Content, Request
from schemas.lanes import CLOCK_SLACK_MS, HOUR_MS, MINUTE_MS, Category, Lane, Windows
from schemas.reasons import MAX_FAULTS, Reason, Refusal
from schemas.registry import Business
from schemas.request import CloudEvent, Params, Sealed
from schemas.wire.strict_json import DATA, Place
from schemas.wire.text import echo, suggestion
from schemas.wire.timestamps import text_of as instant

_EXPIRY: Final = "/expirytime"
_PARAMS: Final = DATA.field("params")


class Refused(msgspec.Struct, frozen=True):
    """Refuses an event, without an entry in the journal: it is judged again whenever it is read."""

    refusal: Refusal
    named: Named


class Rejected(msgspec.Struct, frozen=True):
    """Refuses a request by what depends on registry and clock: the verdict is appended, so that it stands."""

    request: Request
    refusal: Refusal


class Authority(msgspec.Struct, frozen=True):
    """Holds what a request may use: its parties, the texts of its slots, and until when it is worth something."""

    request: Request
    parties: Parties
    common: dict[str, str]
    """Texts and sealed texts by slot, the same for all recipients."""
    own: tuple[dict[str, str], ...]
    """Those of each recipient on top."""
    expires_ms: int
    """When the messages become worthless, ms since the epoch."""


Authorized: TypeAlias = Authority | Membership | Command


def authorize(
    content: Content, found: Lookup, known: Known | None, policy: PlanPolicy, now_ms: int
) -> Authorized | Rejected | Refused:
    """Return what a content may use, or why it may not. ``known`` is the decision about the request that a command names."""
    business = found.business
    if business is None:
        return Refused(_unknown_business(), content.named)
    if isinstance(content, Request):
        granted = next(read(content, found, policy.windows, now_ms))
        return Rejected(content, granted) if isinstance(granted, Refusal) else granted
    refusal = barred(business)
    if refusal is None and isinstance(content, Command):
        refusal = untimely(content.cloud, policy.windows, now_ms) or _foreign(content, known, policy.lane)
    return content if refusal is None else Refused(refusal, content.named)


def read(request: Request, found: Lookup, windows: Windows, now_ms: int) -> Iterator[Refusal | Authority]:
    """Yield everything that forbids a request, then what it may use. The windows are those of the lane it was sent to."""
    business, parties = found.business, found.parties
    if (refusal := barred(business)) is not None:
        yield refusal
    yield from found.faults
    common: dict[str, str] = {}
    own: tuple[dict[str, str], ...] = ()
    if parties is not None:
        refusal = _rehearsed(request, business) if request.body.test else _unasked(request, parties.category)
        if refusal is not None:
            yield refusal
        # Before time is looked at: whoever sent a code in clear must hear that it is burnt, however long it was to live.
        common, own, unfit = _filled(request, parties)
        yield from unfit
        # By the lane where it belongs: whoever moves it there should not hear of its times only then.
        windows = parties.elsewhere or windows
    for expires_ms in read_times(request.cloud, windows, now_ms):
        if isinstance(expires_ms, Refusal):
            yield expires_ms
        elif parties is not None:
            yield Authority(request, parties, common, own, expires_ms)


def barred(business: Business | None) -> Refusal | None:
    """Return why a business may not speak: nobody has registered it, or it is switched off."""
    if business is None:
        return _unknown_business()
    if not business.active:
        return Refusal(Reason.BUSINESS_SUSPENDED, "The business is suspended: ask the operator.", place="/source")
    return None


def _unknown_business() -> Refusal:
    """Return the refusal of a business that nobody has registered."""
    sentence = (
        "The business in source is not registered: correct source, or have it registered (`fanfare registry apply`)."
    )
    return Refusal(Reason.UNKNOWN_BUSINESS, sentence, place="/source")


def _foreign(command: Command, known: Known | None, lane: Lane) -> Refusal | None:
    """Return the refusal of a command about a request that was not accepted from this business, or is over for long."""
    if command.request is None:
        return None
    owned = known is not None and known.business == command.named.business
    return None if owned else unknown_request(lane)


def _unasked(request: Request, category: Category) -> Refusal | None:
    """Return the refusal of an offer to people by number: only a list proves that they asked. Heartbeats reach nobody."""
    if category is not Category.MARKETING or not request.people or is_heartbeat(request.named.business):
        return None
    sentence = (
        "data.to.recipients: an offer goes to people who opted in; publish a fanfare.optin.v1 event about them and name its "
        "list in data.to.list."
    )
    return Refusal(Reason.INVALID_FIELD, sentence, place=RECIPIENTS.pointer)


def _rehearsed(request: Request, business: Business | None) -> Refusal | None:
    """Return the refusal of a test that would reach anybody but the business's test numbers. Heartbeats reach nobody.

    Tests are never billed, so whoever could send them to anybody would deliver for nothing.
    """
    if business is None or is_heartbeat(business.id):
        return None
    if request.body.to.list is not None:
        sentence = (
            "data.to.list: a test reaches registered test numbers only; name them in data.to.recipients, or leave data.test "
            "out."
        )
        return Refusal(Reason.INVALID_RECIPIENT, sentence, place="/data/to")
    known = {f"tel:{number}" for number in business.test_numbers}
    stranger = next((person for person in request.people if person.address not in known), None)
    if stranger is None:
        return None
    sentence = (
        f"{RECIPIENTS.item(stranger.position)} is no test number of the business: leave data.test out, or have the number "
        "registered in its test_numbers."
    )
    return Refusal(Reason.INVALID_RECIPIENT, sentence, place="/data/to")


# Parameters of a request against the slots of its template: complete, none unknown, sealed where the slot is.
#
# A value in clear for a sealed slot is never repeated: not in the sentence, not in a dead letter. It does stand in the request
# topic, so the sentence says that the code is burnt (PROTOCOL.md section 6).


def _filled(request: Request, parties: Parties) -> tuple[dict[str, str], tuple[dict[str, str], ...], list[Refusal]]:
    """Return the texts of all, those of each recipient, and everything that does not fit the template."""
    params, people, slots, keys = request.body.params, request.people, parties.slots, parties.seal_keys
    faults = [] if len(people) < 2 else [_shared(name) for name, held in params.items() if isinstance(held, Sealed)]
    common = _texts(_PARAMS, params, slots, keys, faults)
    if not people and not params.keys() >= slots.keys():
        faults.append(_incomplete(parties, params.keys()))
    own: list[dict[str, str]] = []
    missing = False
    for person in people:
        if len(faults) >= MAX_FAULTS:
            break  # nobody is told of more, and a thousand people with a mistake each would cost more than sound ones
        texts: dict[str, str] = {}
        if person.params:
            texts = _texts(RECIPIENTS.item(person.position).field("params"), person.params, slots, keys, faults)
        if not missing and not params.keys() | person.params.keys() >= slots.keys():
            faults.append(_incomplete(parties, params.keys() | person.params.keys()))
            missing = True
        own.append(texts)
    return common, tuple(own), faults


def _shared(name: str) -> Refusal:
    """Return the refusal of a sealed value for several people: it is bound to one address (``schemas/wire/sealed.py``)."""
    sentence = "data.params: a sealed value opens for one recipient only; put it into that recipient's params."
    return Refusal(Reason.INVALID_FIELD, sentence, place=_PARAMS.named(name).pointer)


def _incomplete(parties: Parties, held: AbstractSet[str]) -> Refusal:
    missing = ", ".join(f"`{name}`" for name in sorted(parties.slots.keys() - held))
    sentence = f"Template {echo(parties.template.id)} needs {missing} for every recipient."
    return Refusal(Reason.MISSING_PARAMETER, sentence, place=_PARAMS.pointer)


def _texts(
    place: Place, params: Params, slots: Mapping[str, bool], keys: AbstractSet[str], faults: list[Refusal]
) -> dict[str, str]:
    """Return the texts of parameters that fit; what does not is added to ``faults``."""
    texts: dict[str, str] = {}
    for name, value in params.items():
        sealed = slots.get(name)
        if sealed is None:
            sentence = f"{place}: the template has no slot {echo(name)}{suggestion(name, slots)}"
            faults.append(Refusal(Reason.UNKNOWN_PARAMETER, sentence, place=place.named(name).pointer))
        elif isinstance(value, Sealed):
            faults += _unsealable(place, name, value, keys, sealed=sealed)
            texts[name] = value.sealed
        elif sealed:
            sentence = (
                "takes sealed values only. What was sent in clear is burnt: make a new code, seal it, use a new id."
            )
            faults.append(_unfit(Reason.NOT_SEALED, place, name, sentence))
        else:
            texts[name] = unicodedata.normalize("NFC", value)
    return texts


def _unsealable(place: Place, name: str, value: Sealed, keys: AbstractSet[str], *, sealed: bool) -> Iterator[Refusal]:
    if not sealed:
        sentence = "takes text: nobody but the gateway could read a sealed value."
        yield _unfit(Reason.INVALID_FIELD, place, name, sentence)
    elif value.sealed.partition(".")[0] not in keys:
        known = ", ".join(echo(kid) for kid in sorted(keys)) or "none"
        yield _unfit(Reason.NOT_SEALED, place, name, f"is sealed to a key that is not registered; registered: {known}.")


def _unfit(reason: Reason, place: Place, name: str, what: str) -> Refusal:
    return Refusal(reason, f"{place}, slot {echo(name)} {what}", place=place.named(name).pointer)


# Whether it is the time for an event: not stale, not from the future, not expired, and not meant to live too long.
#
# A window that forgets names and a bound on ``time`` together make "once" exact for ever in bounded memory: an event is known
# until it is refused as stale (PROTOCOL.md section 1.3, 4).


def read_times(cloud: CloudEvent, windows: Windows, now_ms: int) -> Iterator[Refusal | int]:
    """Yield why this is not the time for a request, then when its messages become worthless (ms since the epoch)."""
    expires_ms = cloud.time_ms + windows.lifetime_max_ms if cloud.expires_ms is None else cloud.expires_ms
    late = untimely(cloud, windows, now_ms)
    if late is not None:
        yield late
    if expires_ms <= now_ms and late is None:
        sentence = (
            f"expirytime {instant(expires_ms)} had passed {_ago(now_ms - expires_ms)} before the event was judged "
            f"({instant(now_ms)}): publish earlier, or let it live longer."
        )
        yield Refusal(Reason.REQUEST_EXPIRED, sentence, place=_EXPIRY)
    elif expires_ms <= cloud.time_ms:
        sentence = "expirytime lies before time: it must lie after it."
        yield Refusal(Reason.INVALID_FIELD, sentence, place=_EXPIRY)
    elif expires_ms - cloud.time_ms > windows.lifetime_max_ms:
        most = _span(windows.lifetime_max_ms)
        sentence = f"expirytime lies more than {most} after time, the most this lane allows: shorten it."
        yield Refusal(Reason.LIFETIME_TOO_LONG, sentence, place=_EXPIRY)
    yield expires_ms


def untimely(cloud: CloudEvent, windows: Windows, now_ms: int) -> Refusal | None:
    """Return the refusal of an event that is stale, or whose ``time`` lies in the future."""
    if now_ms - cloud.time_ms >= windows.stale_ms:
        sentence = (
            f"time is older than {_span(windows.stale_ms)}: a repetition could not be told any more. If it still matters, "
            "publish it as a new event."
        )
        return Refusal(Reason.STALE, sentence, place="/time")
    if cloud.time_ms - now_ms > CLOCK_SLACK_MS:
        sentence = f"time lies more than {_span(CLOCK_SLACK_MS)} ahead of {instant(now_ms)}: set the producer's clock."
        return Refusal(Reason.FROM_THE_FUTURE, sentence, cloud.time_ms - CLOCK_SLACK_MS, "/time")
    return None


def _ago(span_ms: int) -> str:
    """Convert how long something is over to words: ``10 h 26 min``, ``4 s``."""
    return _span(span_ms) or f"{span_ms // 1_000} s"


def _span(span_ms: int) -> str:
    """Convert a span to words: ``47 h 55 min``."""
    hours, minutes = span_ms // HOUR_MS, span_ms % HOUR_MS // MINUTE_MS
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)
