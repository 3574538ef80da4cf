"""Decides who may publish over HTTP: the business behind an API key, as long as there is room for its request.

The registry holds the SHA-256 of a key and never the key. A key is looked up by its digest, so one of ten thousand costs what one
of ten does, and how long that takes tells of the digest and not of the key; what is found is compared in constant time.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from broker.registry.fold import Registry
from schemas.registry import ApiKey
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
        self._by_digest: dict[str, list[ApiKey]] = {}
        """Made anew at the first look-up after the registry has changed; empty until then."""
        self.apply = applied_to(self._registry, aside, self._changed)

    def caller(self, key: str) -> Caller | None:
        """Who has this key; None for one that is unknown or switched off."""
        digest = digest_of(key)
        found = [held for held in self._keys().get(digest, ()) if hmac.compare_digest(held.sha256, digest)]
        business = next((held.business for held in found if held.active and (self._dev or not _is_dev(held))), None)
        if business is None:
            return None
        if business not in self._views:
            self._views[business] = self._registry.view_of(business)
        return Caller(business, self._views[business])

    def _changed(self) -> None:
        self._views.clear()
        self._by_digest.clear()

    def _keys(self) -> Mapping[str, Sequence[ApiKey]]:
        if not self._by_digest:
            for held in self._registry.api_keys.values():
                self._by_digest.setdefault(held.sha256, []).append(held)
        return self._by_digest

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
