"""What must stand nowhere: a canary, an address in clear after plan. Bytes are searched, not meanings."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from broker.audit.book import Book
from broker.audit.dump import Logged
from broker.audit.invariants import Breach
from schemas.names import recipient_id
from schemas.topics import INBOUND, REGISTRY
from schemas.wire.frames import GatewayEvent

_SCHEME: Final = b"tel:+"
_ADDRESS: Final = re.compile(rb"tel:\+[0-9]{7,15}")
_MAY_BE_CLEAR: Final = ("requests.", INBOUND, REGISTRY)
"""Topics that hold what people and businesses wrote themselves."""

_encoder = msgspec.json.Encoder()


class Secrets:
    """Looks at every byte once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._canary = book.rules.canary.encode()
        self._found: dict[bytes, str] = {}
        """Addresses in clear, and where the first one stood. A text may hold a number that is nobody's here."""

    def looker(self, topic: str) -> Callable[[Logged], None] | None:
        """What looks at each record of a topic; None: nothing has to."""
        clear = topic.startswith(_MAY_BE_CLEAR)
        if self._canary:
            return self._canary_in if clear else self._either_in
        return None if clear else self._address_in

    def _either_in(self, record: Logged) -> None:
        self._address_in(record)
        self._canary_in(record)

    def _address_in(self, record: Logged) -> None:
        value = record.value
        if value and _SCHEME in value:
            for address in _ADDRESS.findall(value):
                self._found.setdefault(address, record.where)

    def _canary_in(self, record: Logged) -> None:
        places = (record.value or b"", record.key or b"", *(text for _, text in record.headers))
        if any(self._canary in place for place in places):
            self._book.findings.report(Breach.CANARY, record.where)

    def event(self, event: GatewayEvent, where: str) -> None:
        """One event of the gateway."""
        if self._canary and self._canary in _encoder.encode(event):
            self._book.findings.report(Breach.CANARY, where)

    def line(self, line: bytes, where: str) -> None:
        """One line of any other text."""
        if self._canary and self._canary in line:
            self._book.findings.report(Breach.CANARY, where)

    def close(self) -> None:
        """Report addresses in clear of people who are recipients here."""
        pepper = self._book.rules.pepper
        for address, where in self._found.items():
            if pepper is None or self._book.knows(recipient_id(pepper, address.decode())):
                self._book.findings.report(Breach.CLEAR_ADDRESS, where)
