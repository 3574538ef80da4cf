"""Decides who may publish over HTTP: the business behind an API key, as long as there is room for its request.

The registry holds the SHA-256 of a key and never the key. A key is looked for among all of them, each compared in constant time.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from broker.registry.fold import SEAL, Registry
from schemas.registry import ApiKey, Business, Entry, Key, PriceCard, Sender, Template
from streams.kafka.set_aside import SetAside
from streams.registry.follow import applied_to
from streams.runtime.settings import dev_intake_key


class DevKeysError(Exception):
    """Outside development, keys are registered that anybody can compute; the message names them."""


class Caller(NamedTuple):
    """A business that showed its key, and what the registry holds for it."""

    business: str
    registry: Registry


class Directory:
    """Folds the registry: :attr:`apply` takes its next records. With ``dev`` off, keys that anybody can compute open nothing."""

    def __init__(self, aside: SetAside, *, dev: bool) -> None:
        self._dev = dev
        self._registry = Registry()
        self._views: dict[str, Registry] = {}
        self.apply = applied_to(self._registry, aside, self._views.clear)

    def caller(self, key: str) -> Caller | None:
        """Who has this key; None for one that is unknown or switched off."""
        digest = digest_of(key)
        found = [held for held in self._registry.api_keys.values() if hmac.compare_digest(held.sha256, digest)]
        business = next((held.business for held in found if held.active and (self._dev or not _is_dev(held))), None)
        if business is None:
            return None
        if business not in self._views:
            self._views[business] = _view(business, self._registry.entries())
        return Caller(business, self._views[business])

    def demand_own_keys(self) -> None:
        """Raise :class:`DevKeysError` outside development if anybody can compute a registered key."""
        known = sorted(held.id for held in self._registry.api_keys.values() if _is_dev(held))
        if known and not self._dev:
            raise DevKeysError(
                f"FANFARE_DEV is off but anybody can compute these registered API keys: {', '.join(known)}; "
                "register others in their place"
            )


def digest_of(key: str) -> str:
    """Returns the digest of a key, as the registry holds it."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def _is_dev(held: ApiKey) -> bool:
    return hmac.compare_digest(held.sha256, digest_of(dev_intake_key(held.business)))


def _view(business: str, entries: Sequence[Entry]) -> Registry:
    """The part of the registry that an event of ``business`` is judged by; it is not changed any more."""
    view = Registry()
    for entry in entries:
        match entry:
            case Business(id=name) | Sender(business=name):
                concerned = name == business
            case Template(business=name):
                concerned = name in (business, "*")
            case Key(use=use):
                concerned = use == SEAL
            case _:
                concerned = isinstance(entry, PriceCard)
        if concerned:
            view.add(entry)
    return view


MAX_IN_FLIGHT: Final = 256
"""Of all businesses: at most so many bodies are held."""
MAX_OF_ONE: Final = 64
"""Of one business, so that there is room for others."""


class Room:
    """Requests that were let in and are not answered yet, by business."""

    def __init__(self, most: int = MAX_IN_FLIGHT, most_of_one: int = MAX_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._held: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Returns how many there are."""
        return self._held.total()

    def enter(self, business: str) -> bool:
        """Let one in; False if there is no room. Who was let in leaves."""
        if self.in_flight >= self._most or self._held[business] >= self._most_of_one:
            return False
        self._held[business] += 1
        return True

    def leave(self, business: str) -> None:
        """Frees the place of a request that has been answered."""
        self._held[business] -= 1
        if not self._held[business]:
            del self._held[business]
