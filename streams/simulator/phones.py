"""Holds the newest messages as phones show them. The only place where a one-time code stands in clear.

In memory alone and bounded: nothing of it is ever written or logged. A phone drops a version of a fact that is lower than
one it has shown; the message counts as accepted all the same.
"""

import base64
import re
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.gateway_api import Frame, Reply
from schemas.ids import text_of
from schemas.registry import Template
from schemas.wire.sealed import AddressBook, SealError
from streams.simulator.behaviour import Due
from streams.simulator.frame_rows import Rows, is_heartbeat
from streams.simulator.registry import Registered

KEPT: Final = 500
_HEARTBEATS_KEPT: Final = 50
"""Kept apart: a minute of them would leave nothing else to see."""
_HEARTBEAT_TEXT: Final = "A heartbeat: Fanfare's own sign of life, to nobody."
"""Heartbeats alone have no template that is registered."""
_SHOWN_PER_SECTION: Final = 8
"""Of a campaign's chunk the phones of a few people are enough to look at."""
_FACTS_KEPT: Final = 100_000
_SLOT: Final = re.compile(r"\{(\w+)\}")


class Shown(msgspec.Struct, frozen=True):
    """Holds a message as a phone shows it."""

    at_ms: int
    """When the gateway accepted it, milliseconds since the epoch."""
    phone: str
    """The number with its middle hidden."""
    name: str
    """The sender's display name."""
    verified: bool
    number: str
    language: str
    text: str
    business: str
    category: str
    dropped: bool
    test: bool


class _Message(msgspec.Struct, frozen=True):
    lane: str
    shard: int
    ref: str
    request: str
    recipient: bytes
    rank: int
    at_ms: int
    """When the gateway accepted it, milliseconds since the epoch."""
    address: bytes
    language: str
    template: Template | None
    params: Mapping[str, str]
    business: str
    sender: str
    dropped: bool
    test: bool


class Phones:
    """Everybody's phone."""

    def __init__(self, registered: Registered, book: AddressBook) -> None:
        self._registered = registered
        self._book = book
        self._newest: deque[_Message] = deque(maxlen=KEPT)
        self._heartbeats: deque[_Message] = deque(maxlen=_HEARTBEATS_KEPT)
        self._facts: dict[bytes, int] = {}
        self.dropped = 0

    def show(
        self, frame: Frame, rows: Rows, positions: list[int], clear: Mapping[int, Mapping[str, str]], at_ms: int
    ) -> None:
        """Messages of a frame that were accepted; ``clear`` holds the opened parameters of a position."""
        section = rows.section
        dropped = self._outdated(rows, positions) if section.collapse else set()
        template = self._registered.template(section.business, section.template, section.template_version)
        kept = self._heartbeats if is_heartbeat(section.business) else self._newest
        for position in positions[-_SHOWN_PER_SECTION:]:
            kept.append(
                _Message(
                    frame.lane,
                    frame.shard,
                    section.ref,
                    section.request,
                    rows.recipient(position),
                    rows.ranks[position],
                    at_ms,
                    rows.address(position),
                    rows.locale(position),
                    template,
                    {**rows.params(position), **clear.get(position, {})},
                    section.business,
                    section.sender,
                    position in dropped,
                    section.test,
                )
            )

    def newest(self, limit: int, *, business: str = "", phone: str = "", heartbeats: bool = False) -> list[Shown]:
        """Returns up to ``limit`` messages, newest first; of one business, or on one phone, if named.

        A phone is its number as it is shown, or any part of the whole number. Heartbeats are left out unless asked for.
        """
        kept = self._newest if not heartbeats else sorted((*self._newest, *self._heartbeats), key=_when)
        chosen = (
            message
            for message in reversed(kept)
            if business in {"", message.business} and (not phone or self._is_on(message, phone))
        )
        return [self._shown(message) for message, _ in zip(chosen, range(limit), strict=False)]

    def answered(self, phone: str, business: str, body: str, now_ms: int) -> Due | None:
        """Returns the reply of whoever has the newest message of ``business`` on ``phone``; None if nobody has."""
        found = (each for each in reversed(self._newest) if each.business == business and self._is_on(each, phone))
        message = next(found, None)
        if message is None:
            return None
        person = text_of(message.recipient)
        reply = Reply(
            id=f"in-{message.request}-{person}-{now_ms}",
            business=business,
            sender=message.sender,
            recipient=person,
            kind="text",
            body=body,
            at_ms=now_ms,
            ref=message.ref,
            rank=message.rank,
            address=base64.b64encode(message.address).decode(),
            locale=message.language,
        )
        return Due(now_ms, message.lane, message.shard, message.request, reply=reply)

    def _is_on(self, message: _Message, phone: str) -> bool:
        return phone.removeprefix("tel:") in self._number(message.address) or phone == self._masked(message.address)

    def _outdated(self, rows: Rows, positions: list[int]) -> set[int]:
        fact, version = rows.section.collapse.encode(), rows.section.version
        outdated = set()
        for position in positions:
            key = rows.recipient(position) + fact
            if self._facts.get(key, version) > version:
                outdated.add(position)
            else:
                self._facts[key] = version
        for key in list(self._facts)[: max(0, len(self._facts) - _FACTS_KEPT)]:
            del self._facts[key]
        self.dropped += len(outdated)
        return outdated

    def _shown(self, message: _Message) -> Shown:
        account = self._registered.businesses.get(message.business)
        sender = self._registered.senders.get(message.sender)
        template = message.template
        language = message.language
        return Shown(
            at_ms=message.at_ms,
            phone=self._masked(message.address),
            name=account.name if account else message.business,
            verified=account.verified if account else False,
            number=sender.number if sender else "",
            language=language,
            text=render(template.texts[language], message.params) if template else _HEARTBEAT_TEXT,
            business=message.business,
            category=template.category if template else "",
            dropped=message.dropped,
            test=message.test,
        )

    def _masked(self, address: bytes) -> str:
        number = self._number(address)
        return f"{number[:4]}{'•' * max(0, len(number) - 7)}{number[-3:]}" if number else "?"

    def _number(self, address: bytes) -> str:
        """The number, empty if the address cannot be opened."""
        try:
            return self._book.open(address).removeprefix("tel:")
        except SealError:
            return ""


def _when(message: _Message) -> int:
    return message.at_ms


def render(text: str, params: Mapping[str, str]) -> str:
    """``text`` with its ``{named}`` slots filled; in one pass, so that a value with braces stays as it is."""
    return _SLOT.sub(lambda slot: params.get(slot[1], slot[0]), text)
