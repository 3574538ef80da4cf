"""From a record to a named event of known form, or to what is wrong with it: a pure function of the record's bytes.

The order of the checks is the order of this file. Who may say it (tenant) comes before where it belongs (partition), and both
before ``data`` is looked at: a record that goes to another partition is not taken apart twice.
"""

import re
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from broker.confirmation import is_genuine
from broker.heartbeat import TEMPLATES, addresses, is_heartbeat
from broker.plan.control import Command, command_of
from broker.plan.opt_in import Change, change_of
from broker.plan.policy import PlanPolicy
from broker.plan.validate import Content, content_of, labels_in
from schemas.ids import Lane, business_of, fingerprint, partition_of, request_name, text_of
from schemas.plan_journal import Origin
from schemas.reasons import Reason, Refusal
from schemas.registry import CONFIRMATIONS
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE, CloudEvent
from schemas.status import Status
from schemas.wire.cloudevents import RefusedEvent, decode
from schemas.wire.text import echo, suggestion


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


# What plan is given: a record of ``requests.<lane>`` as it stands on the log, and what its headers may say.
#
# The headers are the producer's and mean nothing but CloudEvents, with one exception: a record that was keyed to the wrong
# partition is published once more by plan itself, with the place where it stood first (PROTOCOL.md section 1.3, 3).

ORIGIN_HEADER: Final = "fanfare-origin"
"""``partition:offset`` of a re-routed record's first place. Producers must not set it."""

_RESERVED: Final = ("faust", "fanfare-")
"""Faust's agents answer to ``Faust-Ag-ReplyTo`` (observed on Faust 0.15.3: a sender could choose our output topic), and
``fanfare-`` is ours: signatures are reserved until they are enforced."""

_ORIGIN: Final = re.compile(rb"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,18})")


class PlanInput(msgspec.Struct, frozen=True):
    """Holds one record of ``requests.<lane>``."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    """LogAppendTime: when it was received, the same at every redelivery."""


def reserved_header(given: PlanInput) -> Refusal | None:
    """The refusal of a record with a header that producers may not set."""
    for name, held in given.headers:
        lower = name.lower()
        if not lower.startswith(_RESERVED) or (lower == ORIGIN_HEADER and _ORIGIN.fullmatch(held)):
            continue
        family = "faust" if lower.startswith("faust") else "fanfare"
        return Refusal(
            Reason.RESERVED_HEADER,
            f"Headers that begin with {family}- are not for producers: send the event without them.",
        )
    return None


def first_origin(given: PlanInput) -> Origin | None:
    """Where a re-routed record stood first; None for all others."""
    for name, held in given.headers:
        if name.lower() == ORIGIN_HEADER:
            partition, _, offset = held.partition(b":")
            return Origin(int(partition), int(offset))
    return None


def origin_header(origin: Origin) -> tuple[str, bytes]:
    """The header that a re-routed record carries."""
    return ORIGIN_HEADER, b"%d:%d" % (origin.partition, origin.offset)


class Notice(msgspec.Struct, frozen=True):
    """A notification whose form is sound."""

    named: Named
    event: CloudEvent
    content: Content
    fingerprint: bytes
    first: Origin | None


class Membership(msgspec.Struct, frozen=True):
    """An opt-in event whose form is sound."""

    named: Named
    change: Change


class Control(msgspec.Struct, frozen=True):
    """A control event whose form is sound."""

    named: Named
    event: CloudEvent
    command: Command


class Misrouted(msgspec.Struct, frozen=True):
    """A record that stands in the wrong partition: its producer hashes keys differently, or set none."""

    business: str
    partition: int


class Malformed(msgspec.Struct, frozen=True):
    """A record that is refused by its form, and the event that it names if it names one."""

    refusal: Refusal
    named: Named | None = None


Admitted: TypeAlias = Notice | Membership | Control | Misrouted | Malformed

_TYPES: Final = (NOTIFICATION_TYPE, OPTIN_TYPE, CONTROL_TYPE)
_HEARTBEATS_ONLY: Final = Refusal(
    Reason.UNKNOWN_TEMPLATE,
    "Businesses of Fanfare's own send heartbeats and nothing else, to nobody: publish under the source of your business.",
)
_canonical: Final = msgspec.json.Encoder(order="deterministic")


def admit(given: PlanInput, policy: PlanPolicy) -> Admitted:
    """Classifies a record of ``requests.<lane>``: an event to be decided, one to be routed elsewhere, or a refusal."""
    event = decode(given.value, given.headers)
    named = named_by(policy.lane, event.source, event.id)
    if isinstance(event, RefusedEvent):
        return Malformed(event.refusal, _if_own(named, given))
    if named is None:
        return Malformed(Refusal(Reason.INVALID_FIELD, "source must look like //<business>/<system>."))
    named = replace(named, traceparent=event.traceparent or "")
    if not _owns(named, given):
        return Malformed(
            Refusal(
                Reason.WRONG_TENANT,
                "The record's key and the business in source differ: use your own business for both.",
            )
        )
    if refusal := reserved_header(given):
        return Malformed(refusal, _labelled(named, event))
    partition = partition_of(named.business.encode(), policy.shards)
    if partition != policy.shard:
        return _elsewhere(named, partition, given)
    return _typed(named, event, given, policy)


def named_by(lane: Lane, source: str, event_id: str) -> Named | None:
    """The event that ``source`` and ``event_id`` name; None if they name none."""
    try:
        business = business_of(source)
    except ValueError:
        return None
    return Named(business, source, event_id, request_name(lane, source, event_id)) if event_id else None


def content_fingerprint(event: CloudEvent) -> bytes:
    """By what a repeated event is told from a conflicting one: subject, expiry and canonical ``data``, ciphertexts included.

    ``time`` is not in it: a producer that makes its event again for a retry says the same thing later.
    """
    content = (event.type, event.subject, event.expires_ms, msgspec.json.decode(event.data))
    return fingerprint(_canonical.encode(content))


def _typed(named: Named, event: CloudEvent, given: PlanInput, policy: PlanPolicy) -> Admitted:
    match event.type:
        case type_ if type_ == NOTIFICATION_TYPE:
            return _notice(named, event, given, policy)
        case type_ if type_ == OPTIN_TYPE:
            change = _optin(event, policy.lane)
            return Malformed(change, named) if isinstance(change, Refusal) else Membership(named, change)
        case type_ if type_ == CONTROL_TYPE:
            command = _command(named, event, policy.lane)
            return Malformed(command, named) if isinstance(command, Refusal) else Control(named, event, command)
        case other:
            detail = f"There is no type {echo(other)}{suggestion(other, _TYPES)}"
            return Malformed(Refusal(Reason.UNKNOWN_TYPE, detail), _labelled(named, event))


def _notice(named: Named, event: CloudEvent, given: PlanInput, policy: PlanPolicy) -> Notice | Malformed:
    content = content_of(event, policy.lane)
    if isinstance(content, Refusal):
        return Malformed(content, _labelled(named, event))
    named = replace(named, labels=content.body.labels)
    if refusal := _impostor(named, content, policy) or _forged(named, event, content, policy):
        return Malformed(refusal, named)
    return Notice(named, event, content, content_fingerprint(event), first_origin(given))


def _labelled(named: Named, event: CloudEvent) -> Named:
    return replace(named, labels=labels_in(event))


def _impostor(named: Named, content: Content, policy: PlanPolicy) -> Refusal | None:
    """Returns the refusal of anything but a heartbeat to null recipients under a business of Fanfare's own.

    Nobody reads such a business's status, so this is refused by form: a dead letter tells.
    """
    if not is_heartbeat(named.business):
        return None
    body = content.body
    if body.test and body.template == TEMPLATES[policy.lane] and _reaches_nobody(content, policy):
        return None
    return _HEARTBEATS_ONLY


def _forged(named: Named, event: CloudEvent, content: Content, policy: PlanPolicy) -> Refusal | None:
    """Returns the refusal of a confirmation of a STOP that is not Fanfare's own: it goes to people who stopped everything."""
    body = content.body
    if body.template not in CONFIRMATIONS or is_genuine(event, body, named.business, policy.pepper):
        return None
    return Refusal(
        Reason.UNKNOWN_TEMPLATE,
        f"data.template must be one that businesses may use: {body.template} is Fanfare's own, which confirms a STOP by itself.",
    )


def _reaches_nobody(content: Content, policy: PlanPolicy) -> bool:
    """Returns True if all recipients are null recipients; a list has other people."""
    null = addresses(policy.pepper, policy.shards)
    return bool(content.people) and all(person.address in null for person in content.people)


def _optin(event: CloudEvent, lane: Lane) -> Change | Refusal:
    if lane is Lane.OTP:
        return Refusal(
            Reason.WRONG_LANE,
            "Opt-ins may be large and must not stand before a code: publish to requests.campaign or .update.",
        )
    return change_of(event, lane)


def _command(named: Named, event: CloudEvent, lane: Lane) -> Command | Refusal:
    return _HEARTBEATS_ONLY if is_heartbeat(named.business) else command_of(event, lane, named.business)


def _elsewhere(named: Named, partition: int, given: PlanInput) -> Admitted:
    if first_origin(given) is None:
        return Misrouted(named.business, partition)
    return Malformed(
        Refusal(
            Reason.RESERVED_HEADER,
            "Headers that begin with fanfare- are not for producers: send the event without them.",
        ),
        named,
    )


def _owns(named: Named, given: PlanInput) -> bool:
    return not given.key or given.key == named.business.encode()


def _if_own(named: Named | None, given: PlanInput) -> Named | None:
    """The event, unless the record's key says that somebody else wrote it: nobody is told about what others write."""
    return named if named is not None and _owns(named, given) else None
