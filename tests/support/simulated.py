"""What tests of the simulated gateway share: a small registry, people, sections and frames that it takes."""

import hashlib
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from schemas.gateway_api import Frame, Section, ref_of
from schemas.ids import recipient_id, text_of
from schemas.lanes import Lane
from schemas.registry import Business, Entry, Parameter, Sender, Template
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import pairs
from schemas.wire.sealed import AddressBook
from streams.runtime import clock
from streams.runtime.settings import load

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
PEPPER = b"p" * 32
REF_SECRET = b"r" * 32
BOOK = AddressBook(load().address_book)
"""Under the keys that a gateway process of this environment opens addresses with."""

ENTRIES: tuple[Entry, ...] = (
    Business("acme", "Acme Air", verified=True),
    Sender("acme/main", "acme", "+18005550100", rate_per_s=100),
    Sender("acme/off", "acme", "+18005550101", active=False),
    Business("shut", "Shut Inc.", active=False),
    Sender("shut/main", "shut", "+18005550102"),
    Template("news", "marketing", (Parameter("what"),), {"en": "News: {what}", "es": "Noticias: {what}"}),
    Template("news", "marketing", (Parameter("what"),), {"en": "Old news: {what}"}, version=0, active=False),
    Template("gate", "utility", (Parameter("gate"),), {"en": "Gate {gate}", "hi": "गेट {gate}"}),
    Template("code", "authentication", (Parameter("code", sealed=True),), {"en": "Your code: {code}"}),
    Template("mine", "utility", (), {"en": "Shut's own"}, business="shut"),
)


def address(number: int) -> str:
    """The number-th person's address."""
    return f"tel:+1202{number:07d}"


def person(number: int) -> bytes:
    """The number-th person."""
    return recipient_id(PEPPER, address(number))


def name(word: str) -> bytes:
    """A request name."""
    return hashlib.sha256(word.encode()).digest()[:16]


def section(
    people: Sequence[int], *, request: bytes = name("r"), ranks: Sequence[int] | None = None, **fields: Any
) -> Section:
    """A section of the template ``news`` for the people of these numbers; ranks are their places unless given."""
    placed = list(range(len(people))) if ranks is None else list(ranks)
    plain = Section(
        ref=ref_of(REF_SECRET, Lane.CAMPAIGN, 3, request),
        request=text_of(request),
        business="acme",
        sender="acme/main",
        template="news",
        template_version=1,
        category="marketing",
        expires_ms=NOW_MS + HOUR_MS,
        ranks=tuple(pairs(intervals_of(placed))),
        recipients=b"".join(person(number) for number in people),
        addresses=b"".join(BOOK.seal(address(number)) for number in people),
        locales=b"en",
        params={"what": "winter sale"},
    )
    return replace(plain, **fields)


def living(people: Sequence[int], request: str = "r", **fields: Any) -> Section:
    """A section that has an hour to live from now."""
    return section(people, request=name(request), **{"expires_ms": clock.now_ms() + HOUR_MS, **fields})


def frame(*sections: Section, epoch: int = 1, not_after_ms: int = NOW_MS + HOUR_MS, lane: str = "campaign") -> Frame:
    """A frame of shard 3."""
    return Frame(lane, 3, epoch, not_after_ms, sections)


def fresh(*sections: Section, epoch: int = 1) -> Frame:
    """A frame that may arrive within the next minute."""
    return frame(*sections, epoch=epoch, not_after_ms=clock.now_ms() + 60_000)


def locales(*languages: str) -> bytes:
    """A column of languages."""
    return "".join(languages).encode()
