"""Checks a request against the registry: which sender speaks, which template, and by which price card it is charged.

The lane follows from the template's category: marketing cannot travel on another lane, and a code on none but its own
(PROTOCOL.md section 2). Senders and templates of other businesses are as unknown as those that nobody has.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from broker.heartbeat import is_heartbeat
from broker.plan.addresses import Person
from broker.plan.decode import Notice
from broker.registry.fold import Registry
from broker.registry.rates import share_of
from schemas import topics
from schemas.ids import Lane
from schemas.reasons import Reason, Refusal
from schemas.registry import CATEGORY_LANE, Business, Category, Key, PriceCard, Sender, Template
from schemas.request import CloudEvent, Params, Sealed
from schemas.topics import CLOCK_SLACK_MS, HOUR_MS, MINUTE_MS, Windows
from schemas.wire.text import echo, nearest, suggestion
from schemas.wire.timestamps import text_of as instant


class Parties(msgspec.Struct, frozen=True):
    """Who speaks, what is said, and by which card."""

    sender: Sender
    template: Template
    category: Category
    card: int


def parties_of(notice: Notice, registry: Registry, lane: Lane) -> Parties | Refusal:
    """The parties to a request of a registered business, or the first that may not take part."""
    body, business = notice.content.body, notice.named.business
    if not registry.businesses[business].active:
        return suspended()
    sender = _sender(registry, business, body.sender)
    if isinstance(sender, Refusal):
        return sender
    template = _template(registry, business, body.template)
    if isinstance(template, Refusal):
        return template
    category = Category[template.category.upper()]
    card = _card(template, category, lane, registry.newest_card())
    if isinstance(card, Refusal):
        return card
    # After the lane: who published to the wrong one should hear that, and not of a share that is not needed.
    if not share_of(sender, lane):
        return _no_share(sender, lane)
    refusal = _rehearsed(notice, registry.businesses[business]) if body.test else _unasked(notice, category)
    return refusal or Parties(sender, template, category, card)


def unknown_business() -> Refusal:
    """The refusal of a business that nobody has registered."""
    return Refusal(
        Reason.UNKNOWN_BUSINESS,
        "The business in source is not registered: correct source, or have it registered (`fanfare registry apply`).",
    )


def suspended() -> Refusal:
    """The refusal of a business that is registered and switched off."""
    return Refusal(Reason.BUSINESS_SUSPENDED, "The business is suspended: ask the operator.")


def _sender(registry: Registry, business: str, asked: str | None) -> Sender | Refusal:
    sender = registry.sender_for(business, asked)
    if sender is None:
        if asked is None:
            return Refusal(Reason.UNKNOWN_SENDER, "The business has no default sender: name one in data.sender.")
        rest = suggestion(asked, registry.senders_of(business))
        return Refusal(Reason.UNKNOWN_SENDER, f"The business has no sender {echo(asked)}{rest}")
    if not sender.active:
        return Refusal(Reason.SENDER_SUSPENDED, f"Sender {echo(sender.id)} is suspended: ask the operator.")
    return sender


def _no_share(sender: Sender, lane: Lane) -> Refusal:
    rest = "name another, or ask the operator for a share."
    return Refusal(Reason.UNKNOWN_SENDER, f"Sender {echo(sender.id)} has no share of the {lane.word} lane: {rest}")


def _template(registry: Registry, business: str, asked: str) -> Template | Refusal:
    template = registry.template_for(business, asked)
    if template is not None and template.active:
        return template
    if template is not None:
        rest = ": it is switched off; name another."
    else:
        near = nearest(asked, registry.templates_of(business))
        rest = near or ": correct its name, or have it registered (`fanfare registry apply`)."
    return Refusal(Reason.UNKNOWN_TEMPLATE, f"There is no active template {echo(asked)}{rest}")


def _unasked(notice: Notice, category: Category) -> Refusal | None:
    """Offers go to people who asked for them, and only a list holds the proof of it. Heartbeats reach nobody."""
    if category is not Category.MARKETING or not notice.content.people or is_heartbeat(notice.named.business):
        return None
    return Refusal(
        Reason.INVALID_FIELD,
        "data.to.recipients: an offer goes to people who opted in; publish a fanfare.optin.v1 event about them and name its "
        "list in data.to.list.",
    )


def _rehearsed(notice: Notice, business: Business) -> Refusal | None:
    """Returns the refusal of a test that would reach anybody but the business's test numbers. Heartbeats reach nobody.

    Tests are never billed, so whoever could send them to anybody would deliver for nothing.
    """
    if is_heartbeat(business.id):
        return None
    to = notice.content.body.to
    if to.list is not None:
        return Refusal(
            Reason.INVALID_RECIPIENT,
            "data.to.list: a test reaches registered test numbers only; name them in data.to.recipients, or leave data.test out.",
        )
    known = {f"tel:{number}" for number in business.test_numbers}
    stranger = next((person for person in notice.content.people if person.address not in known), None)
    if stranger is None:
        return None
    return Refusal(
        Reason.INVALID_RECIPIENT,
        f"data.to.recipients[{stranger.position}] is no test number of the business: leave data.test out, or have the number "
        "registered in its test_numbers.",
    )


def _card(template: Template, category: Category, lane: Lane, newest: PriceCard | None) -> int | Refusal:
    """The card, if the template is of this lane and the card has a price for it."""
    if CATEGORY_LANE[category] is not lane:
        right = topics.requests(CATEGORY_LANE[category])
        return Refusal(Reason.WRONG_LANE, f"Template {echo(template.id)} is {category.word}: publish it to {right}.")
    if newest is None or category.word not in newest.prices_micro:
        return Refusal(
            Reason.NOT_SUPPORTED,
            f"No price is registered for {category.word} messages: the operator must apply a price card.",
        )
    return newest.id


# Parameters of a request against the slots of its template: complete, none unknown, sealed where the slot is.
#
# A value in clear for a sealed slot is never repeated: not in the sentence, not in a dead letter. It does stand in the request
# topic, so the sentence says that the code is burnt (PROTOCOL.md section 6).


class Filled(msgspec.Struct, frozen=True):
    """Texts and sealed texts by slot: those common to all, and those of each recipient on top."""

    common: dict[str, str]
    own: tuple[dict[str, str], ...]


def fill(
    template: Template, common: Params, people: Sequence[Person], *, seal_keys: Mapping[str, Key]
) -> Filled | Refusal:
    """The parameters of a request, or the first that does not fit the template."""
    slots = {slot.name: slot.sealed for slot in template.parameters}
    texts = _shared(common, len(people)) or _texts("data.params", common, slots, seal_keys)
    if isinstance(texts, Refusal):
        return texts
    if not people:
        return _complete(template, texts.keys(), slots.keys()) or Filled(texts, ())
    own: list[dict[str, str]] = []
    for person in people:
        place = f"data.to.recipients[{person.position}].params"
        texts_here = _texts(place, person.params, slots, seal_keys)
        if isinstance(texts_here, Refusal):
            return texts_here
        if refusal := _complete(template, texts.keys() | texts_here.keys(), slots.keys()):
            return refusal
        own.append(texts_here)
    return Filled(texts, tuple(own))


def _shared(common: Params, people: int) -> Refusal | None:
    """A sealed value is bound to the address of one person (``schemas/wire/sealed.py``)."""
    if people <= 1 or not any(isinstance(value, Sealed) for value in common.values()):
        return None
    return Refusal(
        Reason.INVALID_FIELD,
        "data.params: a sealed value opens for one recipient only; put it into that recipient's params.",
    )


def _complete(template: Template, held: AbstractSet[str], slots: AbstractSet[str]) -> Refusal | None:
    if held >= slots:
        return None
    missing = ", ".join(f"`{name}`" for name in sorted(slots - held))
    return Refusal(Reason.MISSING_PARAMETER, f"Template {echo(template.id)} needs {missing} for every recipient.")


def _texts(
    place: str, params: Params, slots: Mapping[str, bool], seal_keys: Mapping[str, Key]
) -> dict[str, str] | Refusal:
    texts: dict[str, str] = {}
    for name, value in params.items():
        if name not in slots:
            return Refusal(
                Reason.UNKNOWN_PARAMETER, f"{place}: the template has no slot {echo(name)}{suggestion(name, slots)}"
            )
        if refusal := _unsuitable(f"{place}, slot {echo(name)}", value, seal_keys, sealed=slots[name]):
            return refusal
        texts[name] = value.sealed if isinstance(value, Sealed) else unicodedata.normalize("NFC", value)
    return texts


def _unsuitable(place: str, value: str | Sealed, seal_keys: Mapping[str, Key], *, sealed: bool) -> Refusal | None:
    if not isinstance(value, Sealed):
        if not sealed:
            return None
        return Refusal(
            Reason.NOT_SEALED,
            f"{place} takes sealed values only. What was sent in clear is burnt: make a new code, seal it, use a new id.",
        )
    if not sealed:
        return Refusal(Reason.INVALID_FIELD, f"{place} takes text: nobody but the gateway could read a sealed value.")
    if value.sealed.partition(".")[0] not in seal_keys:
        known = ", ".join(echo(kid) for kid in sorted(seal_keys)) or "none"
        return Refusal(Reason.NOT_SEALED, f"{place} is sealed to a key that is not registered; registered: {known}.")
    return None


# Whether it is the time for an event: not stale, not from the future, not expired, and not meant to live too long.
#
# A window that forgets names and a bound on ``time`` together make "once" exact for ever in bounded memory: an event is known
# until it is refused as stale (PROTOCOL.md section 1.3, 4).


def expiry_of(event: CloudEvent, windows: Windows, now_ms: int) -> int | Refusal:
    """When the message becomes worthless, or why this is not the time for it."""
    expires_ms = event.time_ms + windows.lifetime_max_ms if event.expires_ms is None else event.expires_ms
    return untimely(event, windows, now_ms) or _lifeless(event, expires_ms, windows, now_ms) or expires_ms


def untimely(event: CloudEvent, windows: Windows, now_ms: int) -> Refusal | None:
    """The refusal of an event that is stale, or whose ``time`` lies in the future."""
    if now_ms - event.time_ms >= windows.stale_ms:
        return Refusal(
            Reason.STALE,
            f"time is older than {_span(windows.stale_ms)}: a repetition could not be told any more. If it still matters, "
            "publish it as a new event.",
        )
    if event.time_ms - now_ms > CLOCK_SLACK_MS:
        return Refusal(
            Reason.FROM_THE_FUTURE,
            f"time lies more than {_span(CLOCK_SLACK_MS)} ahead of {instant(now_ms)}: set the producer's clock.",
            event.time_ms - CLOCK_SLACK_MS,
        )
    return None


def _lifeless(event: CloudEvent, expires_ms: int, windows: Windows, now_ms: int) -> Refusal | None:
    if expires_ms <= now_ms:
        return Refusal(
            Reason.REQUEST_EXPIRED,
            f"expirytime {instant(expires_ms)} had passed {_ago(now_ms - expires_ms)} before the event was judged "
            f"({instant(now_ms)}): publish earlier, or let it live longer.",
        )
    if expires_ms <= event.time_ms:
        return Refusal(Reason.INVALID_FIELD, "expirytime lies before time: it must lie after it.")
    if expires_ms - event.time_ms > windows.lifetime_max_ms:
        return Refusal(
            Reason.LIFETIME_TOO_LONG,
            f"expirytime lies more than {_span(windows.lifetime_max_ms)} after time, the most this lane allows: shorten it.",
        )
    return None


def _ago(span_ms: int) -> str:
    """Converts how long something is over to words: ``10 h 26 min``, ``4 s``."""
    return _span(span_ms) or f"{span_ms // 1_000} s"


def _span(span_ms: int) -> str:
    """A span as people say it: ``47 h 55 min``."""
    hours, minutes = span_ms // HOUR_MS, span_ms % HOUR_MS // MINUTE_MS
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)
