"""What a business is told about a request, and what becomes of a record that nobody can be told about.

An answer goes to ``status.<business>`` if that business is registered (only then the topic exists); everything else goes to
``dead-letters`` with its origin. Neither holds content: details name fields and positions. ``seq`` is the input's offset, so
that a later word about the same name is the higher one.
"""

import base64
import hashlib
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.dead_letters import attempt_of
from broker.plan.inputs import PlanInput
from broker.plan.policy import PlanPolicy
from broker.plan.reserve import Outlook, unreached
from schemas import topics
from schemas.ids import Lane, text_of
from schemas.plan_journal import Planned, Terms
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.request import MAX_REQUEST_BYTES
from schemas.status import DeadLetter, Status
from schemas.wire.timestamps import text_of as instant

STAGE: Final = "plan"

_HEADERS: Final = frozenset({"content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"})
"""What a dead letter keeps of the headers: never a reply-to, never what may hold content."""
_HEADER_CHARS: Final = 256


class Answer(msgspec.Struct, frozen=True):
    """A status and the business whose topic it goes to."""

    business: str
    status: Status


class Named(msgspec.Struct, frozen=True):
    """Which event an answer is about."""

    business: str
    source: str
    id: str
    name: bytes
    traceparent: str = ""
    labels: dict[str, str] = {}
    """Those of the request, as far as its data could be read."""

    def status(self, state: str, *, seq: int, at_ms: int) -> Status:
        """Returns the beginning of an answer about the event; what else is to be said is put in by the caller."""
        return Status(
            request=text_of(self.name),
            source=self.source,
            id=self.id,
            state=state,
            seq=seq,
            at_ms=at_ms,
            labels=self.labels,
            traceparent=self.traceparent,
        )


def verdict_answer(entry: Planned, terms: Terms, shards: int) -> Answer:
    """The answer that an appended verdict makes: a pure function of the entry."""
    accepted = entry.verdict == 0
    view = Outlook(entry.per_s, entry.people, entry.through_ms)
    status = Status(
        request=text_of(entry.name),
        source=terms.source,
        id=terms.id,
        state="accepted" if accepted else "refused",
        seq=entry.origin.offset,
        at_ms=entry.decided_ms,
        shards=shards,
        reason="" if accepted else Reason(entry.verdict).word,
        detail=pace_sentence(view, terms.expires_ms, entry.decided_ms) if accepted else entry.detail,
        retry_at_ms=0 if accepted else entry.start_ms,
        labels=terms.labels,
        traceparent=terms.trace,
        people=entry.people,
        rate_per_s=entry.per_s,
        eta_ms=entry.through_ms,
        unreached=unreached(view, terms.expires_ms) if accepted else 0,
    )
    return Answer(terms.business, status)


def pace_sentence(view: Outlook, expires_ms: int, now_ms: int) -> str:
    """Says when a request that takes a while will be through, and how many it cannot reach before it expires."""
    if not view.per_s:
        return ""
    if not view.people:
        most = max(0, expires_ms - now_ms) * view.per_s // 1_000
        return f"It goes out at {view.per_s:,} a second: {most:,} people can be told before it expires."
    through = f"{view.people:,} people at {view.per_s:,} a second: through at about {instant(view.through_ms)}."
    missed = unreached(view, expires_ms)
    late = f" {missed:,} of them cannot be told before it expires: give it more time, or ask for a higher rate."
    return through + (late if missed else "")


def refused_answer(named: Named, refusal: Refusal, offset: int, now_ms: int) -> Answer:
    """The answer about an event that is refused by its form alone: nothing is appended for it."""
    status = replace(
        named.status("refused", seq=offset, at_ms=now_ms),
        reason=refusal.reason.word,
        detail=refusal.detail,
        retry_at_ms=refusal.retry_at_ms,
    )
    return Answer(named.business, status)


def repeated_answer(named: Named, offset: int, *, now_ms: int, accepted_ms: int) -> Answer:
    """The answer about an event that was accepted before with the same content. The request stays accepted."""
    status = replace(
        named.status("accepted", seq=offset, at_ms=now_ms),
        reason=Reason.DUPLICATE.word,
        detail=f"The same event was accepted at {instant(accepted_ms)}; nothing is done twice.",
    )
    return Answer(named.business, status)


def conflict(accepted_ms: int) -> Refusal:
    """The refusal of an event whose name was accepted with other content."""
    return Refusal(
        Reason.CONFLICT,
        f"Another event with this source and id was accepted at {instant(accepted_ms)} and stands; this one, whose content "
        "differs, is dropped: give it an id of its own.",
    )


def taken_answer(named: Named, offset: int, *, now_ms: int, counts: dict[str, int]) -> Answer:
    """The answer about an opt-in or a control event that was taken over. It has counts, and is the last about that event."""
    status = replace(named.status("accepted", seq=offset, at_ms=now_ms), counts=counts)
    return Answer(named.business, status)


def dead_letter(
    given: PlanInput, refusal: Refusal, *, policy: PlanPolicy, now_ms: int, business: str = ""
) -> DeadLetter:
    """The dead letter of a record that cannot be answered. One of the otp lane never holds the record itself."""
    value = given.value or b""
    keep = policy.lane is not Lane.OTP and len(value) <= MAX_REQUEST_BYTES
    return DeadLetter(
        topic=topics.requests(policy.lane),
        partition=given.origin.partition,
        offset=given.origin.offset,
        reason=refusal.reason.word,
        detail=refusal.detail,
        stage=STAGE,
        at_ms=now_ms,
        payload_sha256=hashlib.sha256(value).hexdigest(),
        payload=base64.b64encode(value).decode() if keep else None,
        business=business,
        attempts=attempt_of("", given.headers).number,
        headers={
            name.lower(): held.decode("utf-8", "replace")[:_HEADER_CHARS]
            for name, held in given.headers
            if name.lower() in _HEADERS
        },
    )
