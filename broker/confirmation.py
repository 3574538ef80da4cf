"""Confirms a stop to the person who said it, once: a utility message that the webhook asks for and only Fanfare may.

*Once.* Its name follows from the reply's id, so a batch of reports that is repeated asks for the same message again, and plan
answers that it is a duplicate. A second stop of the same person says nothing new unless it reaches further than the first:
another list, or everything. Who said START in between is told anew, and so is everybody after a day. :class:`Confirmed`
remembers that in memory, so it is forgotten with the process: then one more goes out.

*Only Fanfare.* Its id is a MAC over all that it says, under the pepper, which businesses do not have; plan refuses these
templates to everybody else. So it may go to people who stopped everything (47 CFR 64.1200(a)(12) allows one such text), and to
nobody who blocked the sender. It is never billed: the person's own message opened the conversation.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from schemas.facts import Scope
from schemas.ids import text_of
from schemas.lanes import DAY_MS, MINUTE_MS
from schemas.registry import CONFIRMATIONS
from schemas.request import NOTIFICATION_TYPE, CloudEvent, Notification
from schemas.wire.timestamps import text_of as instant

SYSTEM: Final = "fanfare"
"""The system in the source of these events: ``//<business>/fanfare``."""
LIFETIME_MS: Final = 15 * MINUTE_MS
"""Later nobody knows any more what is confirmed."""

_TEMPLATE: Final = dict(zip((Scope.MARKETING, Scope.ALL), CONFIRMATIONS, strict=True))
_NAME_BYTES: Final = 16


class Confirmation(msgspec.Struct, frozen=True):
    """A stop that is to be confirmed."""

    business: str
    sender: str
    """The number that was written to."""
    reply: str
    """The gateway's id of the reply."""
    scope: Scope
    """``MARKETING`` or ``ALL``."""
    at_ms: int
    """When the person wrote, by the gateway's clock."""
    address: bytes
    """The person's sealed address, as the frame of the answered message carried it."""
    locale: str
    """Two letters; empty: the template's default."""
    recipient: bytes = b""
    """Who wrote, as suppressions name them."""
    list: str = ""
    """The list that the answered message went to, which the stop ends, too; empty if none is known."""

    @property
    def template(self) -> str:
        """The template that says it."""
        return _TEMPLATE[self.scope]


def event_of(
    confirmation: Confirmation, address: str, *, name: str, sender: str | None, pepper: bytes
) -> dict[str, Any]:
    """Returns the CloudEvent that asks for it; ``name`` is the business's as people read it, ``sender`` None for its default."""
    expires_ms = confirmation.at_ms + LIFETIME_MS
    subject = "stop/" + text_of(hashlib.sha256(confirmation.reply.encode()).digest()[:_NAME_BYTES])
    said = (confirmation.business, subject, confirmation.template, address, name, str(expires_ms))
    recipient = {"address": address} | ({"locale": confirmation.locale} if confirmation.locale else {})
    data = {"template": confirmation.template, "to": {"recipients": [recipient]}, "params": {"business": name}}
    return {
        "specversion": "1.0",
        "type": NOTIFICATION_TYPE,
        "source": f"//{confirmation.business}/{SYSTEM}",
        "id": _mac(pepper, said),
        "subject": subject,
        "time": instant(confirmation.at_ms),
        "expirytime": instant(expires_ms),
        "data": data | ({"sender": sender} if sender is not None else {}),
    }


def is_genuine(event: CloudEvent, body: Notification, business: str, pepper: bytes) -> bool:
    """Returns True if a notification with one of these templates is one that :func:`event_of` made."""
    name = body.params.get("business")
    if len(body.to.recipients) != 1 or not isinstance(name, str):
        return False
    address = body.to.recipients[0].address
    said = (business, event.subject or "", body.template, address, name, str(event.expires_ms))
    return hmac.compare_digest(event.id.encode(), _mac(pepper, said).encode())


def _mac(pepper: bytes, said: tuple[str, ...]) -> str:
    return text_of(hmac.digest(pepper, "\0".join(("confirmation", *said)).encode(), "sha256")[:_NAME_BYTES])


KEPT: Final = 100_000
"""People: about 30 MB. Of more than so many a day the oldest are forgotten."""

Person = tuple[str, bytes]
"""A business and a recipient."""


class Lifted(NamedTuple):
    """A person has taken stops of a business back."""

    business: str
    recipient: bytes
    at_ms: int
    """When they did, milliseconds since the epoch."""


class _Told(NamedTuple):
    """Holds the last confirmation to a person: by which reply, how far the stops reach, and about which lists."""

    at_ms: int
    """When it was asked for, milliseconds since the epoch."""
    replies: frozenset[str]
    scope: Scope
    lists: frozenset[str]


class Confirmed:
    """The stops that were confirmed within a day."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._told: dict[Person, _Told] = {}
        """Those who were silent longest first."""

    def news(self, confirmations: Iterable[Confirmation], lifted: Iterable[Lifted]) -> Iterator[Confirmation]:
        """Yields those that tell somebody something new, and remembers them; a repeated reply is asked for again.

        A batch is repeated if it was not answered, and plan knows what was asked for by its name.
        """
        words: list[Confirmation | Lifted] = [*confirmations, *lifted]
        for word in sorted(words, key=lambda each: each.at_ms):
            person = word.business, word.recipient
            if isinstance(word, Lifted):
                told = self._told.get(person)
                if told is not None and told.at_ms <= word.at_ms:
                    del self._told[person]
            elif self._is_news(person, word):
                yield word

    def _is_news(self, person: Person, word: Confirmation) -> bool:
        told = self._told.pop(person, None)
        if told is not None and word.at_ms - told.at_ms < DAY_MS:
            known = word.reply not in told.replies and _covers(told, word)
            self._told[person] = told if known else _joined(told, word)
            return not known
        self._told[person] = _Told(word.at_ms, frozenset((word.reply,)), word.scope, frozenset((word.list,)))
        while len(self._told) > self._kept:
            del self._told[next(iter(self._told))]
        return True


def _covers(told: _Told, word: Confirmation) -> bool:
    """Returns True if who was told the one learns nothing by the other."""
    return told.scope is Scope.ALL or (told.scope is word.scope and (not word.list or word.list in told.lists))


def _joined(told: _Told, word: Confirmation) -> _Told:
    scope = Scope.ALL if Scope.ALL in (told.scope, word.scope) else word.scope
    return _Told(told.at_ms, told.replies | {word.reply}, scope, told.lists | {word.list})
