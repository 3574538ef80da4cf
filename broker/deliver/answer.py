"""From the gateway's code to what becomes of a message: total, with seeded back-off.

Codes: ``schemas/wire/frames.py``. A code that this release does not know is a refusal for good and keeps its number.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.reasons import Reason, State
from schemas.wire.frames import Code

_BASE_MS: Final = 500
_CAP_MS: Final = 5 * 60_000
_CALM: Final = 2.0


class Answer(msgspec.Struct, frozen=True):
    """What became of one rank. ``due_ms`` is set for ``WAITING``."""

    status: int
    code: int
    due_ms: int = 0


PERMANENT: Final[Mapping[int, Reason]] = {
    Code.CODE_NOT_OPENED: Reason.CODE_NOT_OPENED,
    Code.EXPIRED: Reason.EXPIRED,
    Code.UNDELIVERABLE: Reason.UNREACHABLE,
    Code.ACCOUNT_LOCKED: Reason.SENDER_RESTRICTED,
    Code.SPAM_LIMIT: Reason.SENDER_RESTRICTED,
    Code.USER_STOPPED_MARKETING: Reason.RECIPIENT_OPTED_OUT,
    Code.TEMPLATE_PARAMETERS: Reason.CONTENT_REFUSED,
    Code.TEMPLATE_MISSING: Reason.TEMPLATE_REFUSED,
    Code.TEMPLATE_PAUSED: Reason.TEMPLATE_REFUSED,
}
TRANSIENT: Final = frozenset({Code.SENDER_THROTTLED, Code.PAIR_THROTTLED, Code.TRANSIENT, Code.SERVICE_UNAVAILABLE})


def backoff_ms(request: bytes, rank: int, attempt: int) -> int:
    """The wait before the next attempt: doubling from 0.5 s to 5 min, with jitter of a half, seeded by the name.

    Seeded, so that the same journal always leads to the same schedule and shards do not beat in step.
    """
    ceiling = min(_CAP_MS, int(_BASE_MS * _CALM ** (attempt - 1)))
    seed = hashlib.blake2b(request + rank.to_bytes(4) + attempt.to_bytes(1), digest_size=4).digest()
    return ceiling // 2 + int.from_bytes(seed) * (ceiling // 2) // 0xFFFFFFFF


def answer_to(code: int, retry_after_ms: int, *, request: bytes, rank: int, attempt: int, now_ms: int) -> Answer:
    """What the gateway's ``code`` makes of one rank at its ``attempt``."""
    if code == Code.ACCEPTED:
        return Answer(State.ACCEPTED, code)
    if code == Code.STALE_FRAME:
        return Answer(State.WAITING, code, now_ms)
    if code in TRANSIENT:
        return Answer(State.WAITING, code, now_ms + max(retry_after_ms, backoff_ms(request, rank, attempt)))
    return Answer(PERMANENT.get(code, Reason.GATEWAY_REFUSED), code)
