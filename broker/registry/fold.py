"""Folds the compacted topic ``registry``, newest word for each key, and divides each number's registered rate among the lanes.

Entries are joins of one writer (the operator), read by everybody. What is fixed by it for a request (template version,
price card, sender) is copied into ``terms`` at acceptance, so a later change never reaches a request that was accepted.

A number has one throughput at the platform. The three lanes are processes that never talk to one another, so each gets a
fixed percentage of it (``Sender.shares``, or the default of ``schemas/registry.py``) and keeps within it (PROTOCOL.md 5).
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from schemas.lanes import Category, Lane
from schemas.registry import (
    DEFAULT_SHARES,
    ApiKey,
    Business,
    Deployment,
    Entry,
    Key,
    Keywords,
    PriceCard,
    Sender,
    Template,
    entry_of,
    key_of,
)

SEAL: Final = "seal"
"""The use of keys that producers seal one-time codes to."""


class UnreadableEntryError(ValueError):
    """A registry record that is no entry, or stands under another entry's key. The older word stays."""


class Registry:
    """Holds the registered entries. ``upto`` is the last offset that the reader has applied, -1 before any."""

    def __init__(self) -> None:
        self.businesses: dict[str, Business] = {}
        self.senders: dict[str, Sender] = {}
        self.templates: dict[tuple[str, str], Template] = {}
        self.cards: dict[int, PriceCard] = {}
        self.keys: dict[str, Key] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self.keywords: dict[str, Keywords] = {}
        """By language; where there is none, the words that Fanfare brings hold."""
        self.deployment: Deployment | None = None
        self.upto = -1
        self._held: dict[str, Entry] = {}
        self._senders_of: dict[str, dict[str, Sender]] = {}
        self._templates_of: dict[str, dict[str, Template]] = {}

    def apply(self, key: str, value: bytes | None, *, offset: int | None = None) -> None:
        """Applies a record: an entry, or None for its removal. Raises :class:`UnreadableEntryError` and then changes nothing."""
        if value is not None:
            self.add(_read(key, value))
        else:
            self._remove(key)
        if offset is not None:
            self.upto = offset

    def add(self, entry: Entry) -> None:
        """Register an entry in place of what stood under its key."""
        key = key_of(entry)
        self._remove(key)
        self._held[key] = entry
        match entry:
            case Business():
                self.businesses[entry.id] = entry
            case Sender():
                self.senders[entry.id] = entry
                self._senders_of.setdefault(entry.business, {})[entry.id] = entry
            case Template():
                self.templates[entry.business, entry.id] = entry
                self._templates_of.setdefault(entry.business, {})[entry.id] = entry
            case PriceCard():
                self.cards[entry.id] = entry
            case Key():
                self.keys[entry.id] = entry
            case ApiKey():
                self.api_keys[entry.id] = entry
            case Keywords():
                self.keywords[entry.id] = entry
            case Deployment():
                self.deployment = entry

    def entries(self) -> list[Entry]:
        """Everything that is registered, in the order in which it was."""
        return list(self._held.values())

    def newest_card(self) -> PriceCard | None:
        """The price card that requests accepted now are charged by: the one with the highest id."""
        return self.cards[max(self.cards)] if self.cards else None

    def template_for(self, business: str, template: str) -> Template | None:
        """The business's own template of that id, else the one that everybody may use."""
        return self.templates.get((business, template)) or self.templates.get(("*", template))

    def templates_of(self, business: str) -> list[str]:
        """The ids of all templates that the business may use."""
        return [template for owner in (business, "*") for template in self._templates_of.get(owner, ())]

    def view_of(self, business: str) -> "Registry":
        """Return the part by which events of ``business`` are judged, as it stands now; as dear as what that part holds."""
        view = Registry()
        own = self.businesses.get(business)
        shared = (*self.cards.values(), *(key for key in self.keys.values() if key.use == SEAL))
        templates = (entry for owner in ("*", business) for entry in self._templates_of.get(owner, {}).values())
        for entry in (
            *shared,
            *templates,
            *(() if own is None else (own,)),
            *self._senders_of.get(business, {}).values(),
        ):
            view.add(entry)
        return view

    def senders_of(self, business: str) -> list[str]:
        """The ids of the business's senders."""
        return list(self._senders_of.get(business, ()))

    def sender_for(self, business: str, sender: str | None) -> Sender | None:
        """The business's sender by id, with or without ``<business>/`` before it; without one, the default.

        A sender that is alone is the default. Senders of others are as unknown as those of nobody.
        """
        own = self._senders_of.get(business, {})
        if sender is not None:
            return own.get(sender) or own.get(f"{business}/{sender}")
        if len(own) == 1:
            return next(iter(own.values()))
        return next((candidate for candidate in own.values() if candidate.default), None)

    def _remove(self, key: str) -> None:
        entry = self._held.pop(key, None)
        match entry:
            case None:
                return
            case Business():
                del self.businesses[entry.id]
            case Sender():
                del self.senders[entry.id]
                del self._senders_of[entry.business][entry.id]
            case Template():
                del self.templates[entry.business, entry.id]
                del self._templates_of[entry.business][entry.id]
            case PriceCard():
                del self.cards[entry.id]
            case Key():
                del self.keys[entry.id]
            case ApiKey():
                del self.api_keys[entry.id]
            case Keywords():
                del self.keywords[entry.id]
            case Deployment():
                self.deployment = None


def _read(key: str, value: bytes) -> Entry:
    try:
        entry = entry_of(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntryError(f"{key} is no registry entry: {error}") from error
    if key_of(entry) != key:
        raise UnreadableEntryError(f"{key} holds the entry of {key_of(entry)}")
    if isinstance(entry, Template) and entry.category.upper() not in Category.__members__:
        raise UnreadableEntryError(
            f"{key} has no category of ours: {', '.join(category.word for category in Category)}"
        )
    return entry


def share_of(sender: Sender, lane: Lane) -> int:
    """Returns how many messages a second a lane may send from a number; 0 if the lane has no share of it."""
    shares = sender.shares or DEFAULT_SHARES
    return sender.rate_per_s * shares.get(lane.word, 0) // 100


class RateOf(Protocol):
    """Looks up the messages a second of one sender in the lane that asks; ``fallback`` if the sender is not registered."""

    def __call__(self, sender: str, fallback: int) -> int:
        """Return messages a second, at least 1."""


class RegisteredRates:
    """Looks senders up in the live registry, so that a changed rate binds what is already open."""

    def __init__(self, senders: Mapping[str, Sender], lane: Lane) -> None:
        self._senders = senders
        self._lane = lane

    def __call__(self, sender: str, fallback: int) -> int:
        """Return the lane's share of the registered rate, at least 1: what is open is never stuck behind a division by 0."""
        entry = self._senders.get(sender)
        return fallback if entry is None else max(1, share_of(entry, self._lane))


def accepted_rate(sender: str, fallback: int) -> int:  # noqa: ARG001 - a lookup that knows no sender
    """Returns the rate that a request was accepted with: for who has no registry."""
    return fallback
