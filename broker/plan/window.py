"""Whether it is the time for an event: not stale, not from the future, not expired, and not meant to live too long.

A window that forgets names and a bound on ``time`` together make "once" exact for ever in bounded memory: an event is known
until it is refused as stale (PROTOCOL.md section 1.3, 4).
"""

from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.request import CloudEvent
from schemas.topics import CLOCK_SLACK_MS, HOUR_MS, MINUTE_MS, Windows
from schemas.wire.timestamps import text_of as instant


def expiry_of(event: CloudEvent, windows: Windows, now_ms: int) -> int | Refusal:
    """When the message becomes worthless, or why this is not the time for it."""
    expires_ms = event.time_ms + windows.lifetime_max_ms if event.expires_ms is None else event.expires_ms
    return untimely(event, windows, now_ms) or _lifeless(event, expires_ms, windows, now_ms) or expires_ms


def untimely(event: CloudEvent, windows: Windows, now_ms: int) -> Refusal | None:
    """The refusal of an event that is stale, or whose ``time`` lies in the future."""
    if now_ms - event.time_ms >= windows.stale_ms:
        return Refusal(
            Reason.STALE,
            f"time is older than {_span(windows.stale_ms)}: a repetition could not be told any more. If it still matters, "
            "publish it as a new event.",
        )
    if event.time_ms - now_ms > CLOCK_SLACK_MS:
        return Refusal(
            Reason.FROM_THE_FUTURE,
            f"time lies more than {_span(CLOCK_SLACK_MS)} ahead of {instant(now_ms)}: set the producer's clock.",
            event.time_ms - CLOCK_SLACK_MS,
        )
    return None


def _lifeless(event: CloudEvent, expires_ms: int, windows: Windows, now_ms: int) -> Refusal | None:
    if expires_ms <= now_ms:
        return Refusal(
            Reason.REQUEST_EXPIRED,
            f"expirytime {instant(expires_ms)} had passed {_ago(now_ms - expires_ms)} before the event was judged "
            f"({instant(now_ms)}): publish earlier, or let it live longer.",
        )
    if expires_ms <= event.time_ms:
        return Refusal(Reason.INVALID_FIELD, "expirytime lies before time: it must lie after it.")
    if expires_ms - event.time_ms > windows.lifetime_max_ms:
        return Refusal(
            Reason.LIFETIME_TOO_LONG,
            f"expirytime lies more than {_span(windows.lifetime_max_ms)} after time, the most this lane allows: shorten it.",
        )
    return None


def _ago(span_ms: int) -> str:
    """Converts how long something is over to words: ``10 h 26 min``, ``4 s``."""
    return _span(span_ms) or f"{span_ms // 1_000} s"


def _span(span_ms: int) -> str:
    """A span as people say it: ``47 h 55 min``."""
    hours, minutes = span_ms // HOUR_MS, span_ms % HOUR_MS // MINUTE_MS
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)
