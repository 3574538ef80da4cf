"""Closed requests that nothing has happened to for a while, as bytes.

A one-time code is over in seconds, but evidence about it counts for a day: millions of requests that must be found, and that
hardly any receipt will ask for. As objects each would cost a kilobyte, and together, at each full collection of garbage, the
process a pause of seconds; as bytes they cost a quarter and no pause.
"""

import msgspec

from broker.settle.account import Account

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Account)


class Shelf:
    """Packed accounts by request."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """How many there are."""
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

    def drop(self, request: bytes) -> bool:
        """Forget ``request``; whether it was here."""
        return self._packed.pop(request, None) is not None
