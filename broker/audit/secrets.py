"""What must stand nowhere: a canary, an address in clear after plan. Bytes are searched, not meanings."""

import re
from typing import Final

import msgspec

from broker.audit.invariants import Breach
from broker.audit.sources import Logged
from broker.audit.state import Book
from schemas.gateway_api import GatewayEvent
from schemas.ids import recipient_id
from schemas.topics import INBOUND, REGISTRY

SCHEME: Final = b"tel:+"
"""How an address in clear begins."""
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

    @property
    def seeks_canary(self) -> bool:
        """Whether there is one to be looked for: :meth:`canary` in each record."""
        return bool(self._canary)

    @staticmethod
    def may_be_clear(topic: str) -> bool:
        """Whether addresses may stand in clear in a topic; else :meth:`address` looks at records that hold ``SCHEME``."""
        return topic.startswith(_MAY_BE_CLEAR)

    def address(self, record: Logged) -> None:
        """A record that may hold addresses in clear, where none may be."""
        for address in _ADDRESS.findall(record.value or b""):
            self._found.setdefault(address, record.where)

    def canary(self, record: Logged) -> None:
        """One record of any topic."""
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
