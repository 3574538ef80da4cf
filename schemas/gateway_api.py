"""Defines the calls between deliver, the gateway and the webhook: frames, answers, receipt batches. JSON over HTTP.

A frame carries sections; a section is what one request asks for a run of ranks: content once, people as columns. The
answer is positional: everything was accepted but the exceptions. The simulated gateway and any other one speak this.

===========  =============================  ==========================================================
call         body                           answers
===========  =============================  ==========================================================
``hello``    ``POST /v1/hello`` Hello       200 Epoch; 409 Epoch: a higher epoch was seen (you are fenced)
``frame``    ``POST /v1/frames`` Frame      200 FrameAnswer; 409 Epoch; 429 / 503 + Retry-After; 5xx
``report``   gateway ``POST``s Reports      200; 401 bad signature or time; 415 compressed; 413 above 8 MB; 408 and
                                            503 + Retry-After, 5xx: the whole POST is repeated
===========  =============================  ==========================================================

Reports are signed by Standard Webhooks (``schemas/wire/webhook_signature.py``); ``webhook-id`` is that of the batch.
"""

import base64
import hmac
import struct
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from schemas.lanes import Lane

REPLAY_WINDOW_MS: Final = 5 * 60_000
"""Milliseconds by which the timestamp may differ from the webhook's clock: so long a signed batch could be replayed."""


class Code(IntEnum):
    """The gateway's answers about one message. Five and six digits are WhatsApp's own (Cloud API error codes)."""

    ACCEPTED = 0
    STALE_FRAME = 1001
    """Past ``not_after_ms``: ask consent again, then send again."""
    CODE_NOT_OPENED = 1002
    EXPIRED = 1003
    NO_ANSWER = 1004
    """The platform behind the gateway did not answer about this message: it may have taken it."""
    SENDER_THROTTLED = 130429
    TRANSIENT = 131000
    SERVICE_UNAVAILABLE = 131016
    UNDELIVERABLE = 131026
    ACCOUNT_LOCKED = 131031
    SPAM_LIMIT = 131048
    USER_STOPPED_MARKETING = 131050
    PAIR_THROTTLED = 131056
    TEMPLATE_PARAMETERS = 132000
    TEMPLATE_MISSING = 132001
    TEMPLATE_PAUSED = 132015


class Section(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run of ranks of one request. Columns are fixed-width cells in the order of ``ranks``, base64 in JSON."""

    ref: str
    """Opaque to the gateway; comes back with receipts."""
    request: str
    business: str
    sender: str
    template: str
    template_version: int
    category: str
    expires_ms: int
    """When the messages expire, milliseconds since the epoch: nothing is taken after it."""
    ranks: tuple[tuple[int, int], ...]
    """(first, count) intervals, ascending."""
    recipients: bytes
    """16 bytes each: with ``request`` the name that the gateway dedupes."""
    addresses: bytes
    """33 bytes each: sealed addresses."""
    locales: bytes
    """2 bytes each, or 2 bytes in all when everybody's is the same."""
    attempt: int = 1
    params: dict[str, str] = {}
    params_each: tuple[dict[str, str], ...] = ()
    """Parameters of each rank on top of ``params``; empty if none has any."""
    collapse: str = ""
    """The fact that this message is about, hex; a phone drops a lower ``version`` of it."""
    version: int = -1
    test: bool = False
    traceparent: str = ""
    """W3C Trace Context of the request, unchanged; frames whose sections share one have it as HTTP header, too."""


class Frame(msgspec.Struct, frozen=True):
    """Holds the body of one POST to the gateway: messages to take."""

    lane: str
    shard: int
    epoch: int
    not_after_ms: int
    """The frame's end by the gateway's clock, milliseconds since the epoch: taken later, STOPs might be missed."""
    sections: tuple[Section, ...]


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """Holds a message that was not accepted: its position in the section, the code, and when to come again (0: not said)."""

    position: int
    code: int
    retry_after_ms: int = 0
    """Wait before the message may come again, milliseconds; 0: not said."""


class FrameAnswer(msgspec.Struct, frozen=True):
    """The answer to a frame; ``sections`` in the frame's order hold the exceptions only."""

    at_ms: int
    """When the gateway answered, by its own clock, milliseconds since the epoch."""
    sections: tuple[tuple[Refused, ...], ...]


class Hello(msgspec.Struct, frozen=True):
    """An owner announces its epoch: from here on frames of lower epochs are refused for this shard."""

    lane: str
    shard: int
    epoch: int


class Epoch(msgspec.Struct, frozen=True):
    """The highest epoch that the gateway has seen for the shard."""

    epoch: int


class ReportRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A receipt about many ranks: ``status`` is sent, delivered, read or failed."""

    ref: str
    status: str
    ranks: tuple[tuple[int, int], ...]
    at_ms: int
    """When the status was reached, by the gateway, milliseconds since the epoch."""
    code: int = 0


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Holds a person's reply. ``recipient`` is base32; ``ref`` and ``rank`` say what it answers, if anything."""

    id: str
    business: str
    sender: str
    recipient: str
    kind: str
    """text, button, block, unblock."""
    body: str
    at_ms: int
    """When the person wrote, by the gateway, milliseconds since the epoch."""
    ref: str = ""
    rank: int = -1
    address: str = ""
    """Base64 of the sealed address that the answered message went to, as its frame carried it; empty: not known."""
    locale: str = ""
    """The language of that message."""


class Reports(msgspec.Struct, frozen=True):
    """A signed batch from gateway to webhook."""

    id: str
    runs: tuple[ReportRun, ...] = ()
    replies: tuple[Reply, ...] = ()


class GatewayEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Holds a line (JSON) of the gateway's own append-only log, written before the answer. The auditor's third source.

    ``event``: ``accepted`` (new names, visible once), ``repeated`` (names it had), ``refused`` (``code``), ``hello``,
    ``fenced``, ``report`` (``status``), ``reply`` (``body`` only for opt-out words).
    """

    event: str
    at_ms: int
    """When the line was written, by the gateway's clock, milliseconds since the epoch."""
    lane: str = ""
    shard: int = -1
    epoch: int = 0
    request: str = ""
    business: str = ""
    sender: str = ""
    category: str = ""
    ranks: tuple[tuple[int, int], ...] = ()
    recipients: str = ""
    """Base64 of 16 bytes each, in the order of ``ranks``."""
    attempt: int = 0
    code: int = 0
    status: str = ""
    collapse: str = ""
    version: int = -1
    not_after_ms: int = 0
    """The frame's end, milliseconds since the epoch; 0 where there is no frame."""
    expires_ms: int = 0
    """When the messages expire, milliseconds since the epoch; 0 where there are none."""
    body: str = ""
    test: bool = False
    ref: str = ""
    """The section's, so that a restart can go on reporting what it had not reported."""
    traceparent: str = ""
    """The section's."""
    contacts: tuple[tuple[int, str, str], ...] = ()
    """(rank, sealed address, language) of people who will stop: where their reply will have come from, after a restart, too."""
    confirms: bool = False
    """It confirms a STOP, which nobody answers."""


_REF = struct.Struct(">BH16s")
_MAC_BYTES: Final = 4


class Referred(NamedTuple):
    """Holds what a reference stands for."""

    lane: Lane
    shard: int
    request: bytes
    list: str
    """The list that the request was addressed to; empty if it named people."""


def ref_of(secret: bytes, lane: Lane, shard: int, request: bytes, list_id: str = "") -> str:
    """Returns what a section carries and a receipt brings back: lane, shard, request and list under a 4-byte MAC.

    The list travels along because a STOP in answer must be appended before the webhook answers, and it knows no requests.
    """
    place = _REF.pack(lane, shard, request) + list_id.encode()
    return base64.urlsafe_b64encode(place + _mac(secret, place)).decode().rstrip("=")


def place_of(secret: bytes, ref: str) -> Referred:
    """Returns what a ref speaks of; ``ValueError`` if it was not made with ``secret``."""
    raw = base64.urlsafe_b64decode(ref + "=" * (-len(ref) % 4))
    place, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(place) < _REF.size or not hmac.compare_digest(mac, _mac(secret, place)):
        raise ValueError("a ref that is not ours")
    lane, shard, request = _REF.unpack_from(place)
    return Referred(Lane(lane), shard, request, place[_REF.size :].decode())


def _mac(secret: bytes, place: bytes) -> bytes:
    return hmac.digest(secret, place, "sha256")[:_MAC_BYTES]
