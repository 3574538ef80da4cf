"""Closed requests that nothing has happened to for a while, as bytes.

A one-time code is over in seconds, but evidence about it counts for a day: millions of requests that must be found, and that
hardly any receipt will ask for. As objects each would cost a kilobyte, and together, at each full collection of garbage, the
process a pause of seconds; as bytes they cost a quarter and no pause.
"""

from collections.abc import Iterable

import msgspec

from broker.settle.request_state import Account
from schemas.ids import NAME_BYTES

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Account)


class _Head(msgspec.Struct, array_like=True):
    """The first fields of an :class:`Account`, in its order: all that an ending needs, at a tenth of the cost."""

    request: bytes
    business: str
    sender: str
    source: str
    id: str
    card: int
    category: int
    test: bool
    heartbeat: bool
    time_ms: int
    """Time of the event, milliseconds since the epoch."""
    expires_ms: int
    """When it expires, milliseconds since the epoch."""
    recipients: bytes


_heads = msgspec.msgpack.Decoder(_Head)


class Shelf:
    """Packed accounts by request."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self._packed)

    def put(self, account: Account) -> None:
        """Keep ``account``; changes to the object from here on are lost."""
        self._packed[account.request] = _encoder.encode(account)

    def look(self, request: bytes) -> Account | None:
        """A copy of what is kept of ``request``, None if nothing is."""
        packed = self._packed.get(request)
        return None if packed is None else _decoder.decode(packed)

    def take(self, request: bytes) -> Account | None:
        """The account of ``request``, which is not kept here any more; None if it was not."""
        account = self.look(request)
        self.drop(request)
        return account

    def drop(self, request: bytes) -> None:
        """Forgets ``request``, if it is here."""
        self._packed.pop(request, None)

    def end(self, requests: Iterable[bytes]) -> tuple[list[bytes], int]:
        """Forgets those of ``requests`` that are here; returns the others, and how many messages ended, without heartbeats."""
        elsewhere: list[bytes] = []
        messages = 0
        for request in requests:
            packed = self._packed.pop(request, None)
            if packed is None:
                elsewhere.append(request)
                continue
            head = _heads.decode(packed)
            messages += 0 if head.heartbeat else len(head.recipients) // NAME_BYTES
        return elsewhere, messages
