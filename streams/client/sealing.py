"""A producer's memory of what it has sealed: a repeat carries the same bytes, and an id never gets a second code.

Sealing is randomised, and the ciphertext is part of a request's fingerprint: sealed anew, a retry would be a conflict. What is
remembered holds no code, only a MAC of it under a key that dies with the process.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.ids import Lane, RequestName
from streams.client.errors import SealingError
from streams.client.events import Event
from streams.client.seal import SealKey, seal_codes, seal_key_of
from streams.kafka.scan import ScanError
from streams.registry.read import read_registry

_KEPT: Final = 10_000
_encoder: Final = msgspec.json.Encoder()


class _Seal(NamedTuple):
    event: Event
    codes_mac: bytes


class Sealer:
    """Seals to ``key``, or to the newest one in the registry topic, which is read once. Remembers the last 10,000 events."""

    def __init__(self, bootstrap: str, key: SealKey | None) -> None:
        self._bootstrap = bootstrap
        self._key = key
        self._sealed: OrderedDict[bytes, _Seal] = OrderedDict()
        self._mac_key = secrets.token_bytes(32)

    async def seal(self, lane: Lane, name: RequestName, event: Event, codes: Mapping[str, str]) -> Event:
        """``event``, whose name is ``name``, with ``codes`` sealed; the same event for the same codes while it is remembered.

        Raises :class:`SealingError`; also for other codes under a name that was sealed before: a new code needs a new id.
        """
        mac = self._mac(event, codes)
        key = self._key = self._key or await self._registered_key()
        # From here on nothing waits, so two tasks cannot both seal one event.
        known = self._sealed.get(name)
        if known is not None:
            if not hmac.compare_digest(known.codes_mac, mac):
                raise SealingError("this id was sealed before with another code or content; a new code needs a new id")
            self._sealed.move_to_end(name)
            return known.event
        sealed = seal_codes(event, lane, codes, key)
        self._sealed[name] = _Seal(sealed, mac)
        if len(self._sealed) > _KEPT:
            self._sealed.popitem(last=False)
        return sealed

    async def _registered_key(self) -> SealKey:
        try:
            return seal_key_of(await read_registry(self._bootstrap))
        except ScanError as error:
            raise SealingError(f"the registry cannot be read for the key: {error}") from error

    def _mac(self, event: Event, codes: Mapping[str, str]) -> bytes:
        said = _encoder.encode((event, sorted(codes.items())))
        return hmac.digest(self._mac_key, said, hashlib.sha256)
