"""A producer's memory of what it has sealed: a repeat carries the same bytes, and an id never gets a second code.

Sealing is randomised, and the ciphertext is part of a request's fingerprint: sealed anew, a retry would be a conflict. What is
remembered holds no code, only a MAC of it under a key that dies with the process.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from broker.registry.fold import SEAL, Registry
from schemas.ids import RequestName, request_name
from schemas.lanes import Lane
from schemas.wire.sealed import seal_code
from streams.client.events import Event
from streams.client.results import SealingError
from streams.kafka.scan import ScanError
from streams.registry.read import read_registry
from streams.runtime.kafka_access import Address

# Sealing one-time codes before they leave the producer, so that only the gateway can read them.
#
# A code is bound to its request, person, template and parameter (PROTOCOL.md section 6): each recipient gets a blob of its
# own, and one that is moved elsewhere does not open. A retry must carry the same bytes, because the content is part of the
# request's fingerprint: seal once, publish as often as needed.

_KEY_BYTES = 32


class SealKey(NamedTuple):
    """A public key that one-time codes are sealed to: X25519, 32 bytes, and its id."""

    kid: str
    public: bytes


def seal_key_of(registry: Registry) -> SealKey:
    """The key of use ``seal`` that was registered last; :class:`SealingError` if there is none."""
    keys = [key for key in registry.keys.values() if key.use == SEAL]
    if not keys:
        raise SealingError("no key to seal one-time codes to is registered")
    return SealKey(keys[-1].id, bytes.fromhex(keys[-1].public))


def seal_codes(event: Event, lane: Lane, codes: Mapping[str, str], key: SealKey) -> Event:
    """``event`` with ``codes`` (parameter name to code in clear) sealed into the parameters of each explicit recipient.

    The event given is not changed. Raises :class:`SealingError` if there is nobody to seal for, and for a code that no person
    could type: an empty one, or one with white space (a line end, most often) or control characters.
    """
    if not codes:
        return event
    for parameter, code in codes.items():
        if not code or any(letter.isspace() or not letter.isprintable() for letter in code):
            raise SealingError(
                f"code {parameter} is empty, or has a line end, white space or a control character: strip it, for a phone "
                "would show it"
            )
    if len(key.public) != _KEY_BYTES:
        raise SealingError(f"key {key.kid} does not have {_KEY_BYTES} bytes")
    try:
        seal = partial(
            seal_code,
            key_of=(key.kid, key.public),
            request=request_name(lane, event["source"], event["id"]),
            template=event["data"]["template"],
        )
        people = [_sealed_for(person, codes, seal) for person in event["data"]["to"]["recipients"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise SealingError("codes are sealed for explicit recipients; the event lacks a field for that") from error
    body = event["data"]
    return {**event, "data": {**body, "to": {**body["to"], "recipients": people}}}


def _sealed_for(person: Mapping[str, Any], codes: Mapping[str, str], seal: Callable[..., str]) -> Mapping[str, Any]:
    blobs = {
        parameter: {"sealed": seal(code, address=person["address"], parameter=parameter)}
        for parameter, code in codes.items()
    }
    return {**person, "params": {**person.get("params", {}), **blobs}}


_KEPT: Final = 10_000
_encoder: Final = msgspec.json.Encoder()


class _Seal(NamedTuple):
    event: Event
    codes_mac: bytes


class Sealer:
    """Seals to ``key``, or to the newest one in the registry topic, which is read once. Remembers the last 10,000 events."""

    def __init__(self, bootstrap: Address, key: SealKey | None) -> None:
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
