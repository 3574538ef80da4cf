"""Remembers, as a platform does of a chat, which messages of a number a person had when they wrote.

A text that names no message answers the newest one (PROTOCOL.md section 1.7). Kept for people who will stop, who are few, and
rebuilt from the log at start, so that a reply which is reported again names the same message. A listener knows its own lane.
"""

import base64
from collections import defaultdict
from typing import NamedTuple

from msgspec.structs import replace

from schemas.gateway_api import GatewayEvent, Reply
from schemas.ids import text_of
from streams.simulator.frame_rows import listed
from streams.simulator.id_set import ID_BYTES


class _Message(NamedTuple):
    at_ms: int
    """When the message was accepted, milliseconds since the epoch."""
    ref: str
    rank: int
    address: str
    locale: str


class Latest:
    """The messages to people who will stop, by (sender, person)."""

    def __init__(self) -> None:
        self._chats: dict[tuple[str, str], list[_Message]] = defaultdict(list)

    def note(self, accepted: GatewayEvent) -> None:
        """Take the messages of an ``accepted`` line."""
        if not accepted.contacts:
            return
        column = base64.b64decode(accepted.recipients)
        places = {rank: place for place, rank in enumerate(listed(accepted.ranks))}
        for rank, address, locale in accepted.contacts:
            place = places[rank]
            person = text_of(column[place * ID_BYTES : (place + 1) * ID_BYTES])
            message = _Message(accepted.at_ms, accepted.ref, rank, address, locale)
            self._chats[accepted.sender, person].append(message)

    def answered(self, reply: Reply) -> Reply:
        """Returns a reply with the message that it answers: its own, else the newest that the person had when they wrote."""
        messages = self._chats.get((reply.sender, reply.recipient), ())
        had = [message for message in messages if message.at_ms <= reply.at_ms]
        if reply.ref or not had:
            return reply
        newest = max(had)
        return replace(reply, ref=newest.ref, rank=newest.rank, address=newest.address, locale=newest.locale)
