"""Opt-in events: people join or leave a list, with proof, and become columns of their shards.

An audience change is a join (consent is ordered by evidence time), so nothing is appended to plan's journal and a repeated
event does no harm. *Evidence time* is when the person said so, capped at the moment the event was received: nobody can
consent in the future (PROTOCOL.md section 1.3, 16; GDPR art. 7(1) for the proof).
"""

from typing import Final

import msgspec

from broker.plan.addresses import Person, identify, person_of
from broker.plan.policy import PlanPolicy
from broker.plan.validate import bad_list_name
from schemas.facts import AudienceChange
from schemas.ids import Lane, RecipientId, shard_of
from schemas.reasons import Reason, Refusal
from schemas.request import ACTS, METHODS, OLD_METHODS, PURPOSES, CloudEvent, Evidence, Member, Optin
from schemas.wire import strict_json
from schemas.wire.columns import i64s, u16s
from schemas.wire.text import nearest, unsafe

MAX_MEMBERS: Final = 4_096
"""People in one event: a change of one shard never holds more."""

_OPS: Final = {"join": True, "leave": False}
_NO_LANGUAGE: Final = "\0\0"
"""A member who named no language: the template's default is used when a message is due."""
_SHORT_CHARS: Final = 128
_WORDING_CHARS: Final = 4_096

_SHAPE: Final = strict_json.Shape(
    root="data",
    known={
        "": Optin.__struct_fields__,
        ".members": Member.__struct_fields__,
        ".evidence": Evidence.__struct_fields__,
    },
)
_optins: Final = msgspec.json.Decoder(Optin)
_encoder: Final = msgspec.json.Encoder()


class Change(msgspec.Struct, frozen=True):
    """An opt-in event of sound form."""

    body: Optin
    people: tuple[Person, ...]
    evidence_ms: tuple[int, ...]
    """Evidence time of each person, milliseconds, not capped yet at the time of receipt."""
    acted: bool
    """An act of the people, which takes back an older STOP."""
    offers: bool
    """They joined to be sent marketing."""


class AudienceRecord(msgspec.Struct, frozen=True):
    """An audience change for the partition ``shard`` of ``audience.changes``."""

    shard: int
    change: AudienceChange


def change_of(event: CloudEvent, lane: Lane) -> Change | Refusal:
    """Returns the opt-in in an event of ``lane``, or the first thing that is wrong with its form."""
    body = strict_json.decode(_optins, event.data, _SHAPE)
    if isinstance(body, Refusal):
        return body
    if refusal := _form(body):
        return refusal
    people: list[Person] = []
    for position, member in enumerate(body.members):
        person = person_of("data.members", position, member)
        if isinstance(person, Refusal):
            return person
        people.append(person)
    given = tuple(event.time_ms if member.evidence_ms is None else member.evidence_ms for member in body.members)
    acted = body.evidence is not None and method_of(body.evidence.method) in ACTS
    offers = lane is Lane.CAMPAIGN if body.purpose is None else body.purpose == "marketing"
    return Change(body, tuple(people), given, acted, offers)


def method_of(given: str) -> str | None:
    """Returns the method of consent that a text means (``Web form`` means ``web_form``), None if it means none."""
    spelt = given.strip().casefold().replace(" ", "_").replace("-", "_")
    method = OLD_METHODS.get(spelt, spelt)
    return method if method in METHODS else None


def audience_records(change: Change, business: str, policy: PlanPolicy, received_ms: int) -> list[AudienceRecord]:
    """The changes of each shard that has any of these people: a pure function of the event and when it was received."""
    recipients = [identify(person, policy) for person in change.people]
    places: dict[int, list[int]] = {}
    for position, recipient in enumerate(recipients):
        places.setdefault(shard_of(recipient, policy.shards), []).append(position)
    head = _head(change, business, received_ms)
    return [
        AudienceRecord(shard, _columns(head, change, places[shard], recipients, policy)) for shard in sorted(places)
    ]


def _head(change: Change, business: str, received_ms: int) -> AudienceChange:
    """Returns the part that the changes of all shards have in common, without people."""
    body = change.body
    return AudienceChange(
        business=business,
        list=body.list,
        join=_OPS[body.op],
        recipients=b"",
        addresses=b"",
        locales=b"",
        markets=b"",
        evidence_ms=b"",
        received_ms=received_ms,
        evidence="" if body.evidence is None else _encoder.encode(body.evidence).decode(),
        acted=change.acted,
        offers=change.offers,
    )


def _columns(
    head: AudienceChange, change: Change, places: list[int], recipients: list[RecipientId], policy: PlanPolicy
) -> AudienceChange:
    """The change of one shard: its people as columns."""
    chosen = [change.people[place] for place in places]
    return msgspec.structs.replace(
        head,
        recipients=b"".join([recipients[place] for place in places]),
        addresses=b"".join([policy.address_book.seal(person.address) for person in chosen]),
        locales="".join([person.language or _NO_LANGUAGE for person in chosen]).encode(),
        markets=u16s([person.market for person in chosen]),
        evidence_ms=i64s([min(change.evidence_ms[place], head.received_ms) for place in places]),
    )


def _form(body: Optin) -> Refusal | None:
    if body.op not in _OPS:
        return Refusal(Reason.INVALID_FIELD, "data.op must be join or leave.")
    if not 1 <= len(body.members) <= MAX_MEMBERS:
        return Refusal(
            Reason.TOO_MANY_RECIPIENTS if body.members else Reason.INVALID_FIELD,
            f"data.members has {len(body.members)} people; 1 to {MAX_MEMBERS} are taken: split the event.",
        )
    if any(member.evidence_ms is not None and member.evidence_ms < 0 for member in body.members):
        return Refusal(Reason.INVALID_FIELD, "data.members: evidence_ms is in milliseconds since 1970, 0 or more.")
    if body.purpose is not None and body.purpose not in PURPOSES:
        return Refusal(Reason.INVALID_FIELD, f"data.purpose must be {' or '.join(PURPOSES)}, or left out.")
    return bad_list_name(body.list, "data.list") or _proof(body)


def _proof(body: Optin) -> Refusal | None:
    evidence = body.evidence
    if evidence is None:
        if not _OPS[body.op]:
            return None
        return Refusal(
            Reason.NO_PROOF, "data.evidence is missing: who joins must have consented; say method, wording and source."
        )
    bounds = (("method", evidence.method, _SHORT_CHARS), ("wording", evidence.wording, _WORDING_CHARS))
    for field, text, chars in (*bounds, ("source", evidence.source, _SHORT_CHARS)):
        if not text.strip() or len(text) > chars or unsafe(text.replace("\n", " ")):
            reason = Reason.INVALID_FIELD if text.strip() else Reason.NO_PROOF
            return Refusal(reason, f"data.evidence.{field} must have 1 to {chars} characters and no controls.")
    if method_of(evidence.method) is None:
        near = nearest(evidence.method, METHODS) or "."
        return Refusal(Reason.INVALID_FIELD, f"data.evidence.method must be one of {', '.join(METHODS)}{near}")
    return None
