"""Opt-in events: people join or leave a list, with proof, and become columns of their shards.

An audience change is a join (consent is ordered by evidence time), so nothing is appended to plan's journal and a repeated
event does no harm. *Evidence time* is when the person said so, capped at the moment the event was received: nobody can
consent in the future (PROTOCOL.md section 1.3, 16; GDPR art. 7(1) for the proof).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from broker.plan.addresses import Person, bad_list_name, read_person
from broker.plan.decode import Event, Named
from broker.plan.policy import PlanPolicy
from schemas.facts import AudienceChange
from schemas.ids import RecipientId, recipient_id, shard_of
from schemas.lanes import Lane
from schemas.reasons import Reason, Refusal
from schemas.request import ACTS, METHODS, OLD_METHODS, PURPOSES, Evidence, Member, Optin
from schemas.wire.columns import i64s, u16s
from schemas.wire.envelope import bodies
from schemas.wire.strict_json import DATA
from schemas.wire.text import nearest, unsafe

MAX_MEMBERS: Final = 4_096
"""People in one event: a change of one shard never holds more."""

_OPS: Final = {"join": True, "leave": False}
_NO_LANGUAGE: Final = "\0\0"
"""A member who named no language: the template's default is used when a message is due."""
_SHORT_CHARS: Final = 128
_WORDING_CHARS: Final = 4_096

_MEMBERS: Final = DATA.field("members")
_encoder: Final = msgspec.json.Encoder()


class Membership(msgspec.Struct, frozen=True):
    """Holds an opt-in event of sound form."""

    named: Named
    body: Optin
    people: tuple[Person, ...]
    evidence_ms: tuple[int, ...]
    """Evidence time of each person, ms since the epoch, not capped yet at the time of receipt."""
    acted: bool
    """An act of the people, which takes back an older STOP."""
    offers: bool
    """They joined to be sent marketing."""


class AudienceRecord(msgspec.Struct, frozen=True):
    """An audience change for the partition ``shard`` of ``audience.changes``."""

    shard: int
    change: AudienceChange


def read_opt_in(event: Event, lane: Lane) -> Iterator[Refusal | Membership]:
    """Yield everything that is wrong with the form of an opt-in event of ``lane``, then the event itself."""
    if not lane.rules.takes_lists:
        sentence = "Opt-ins may be large and must not stand before a code: publish to requests.campaign or .update."
        yield Refusal(Reason.WRONG_LANE, sentence, place="/type")
    for body in bodies(event.cloud):
        if isinstance(body, Optin):
            yield from _faults(body)
            yield from _members(event, body, lane)
        elif isinstance(body, Refusal):
            yield body


def _members(event: Event, body: Optin, lane: Lane) -> Iterator[Refusal | Membership]:
    people: list[Person] = []
    for position, member in enumerate(body.members[:MAX_MEMBERS]):
        for person in read_person(_MEMBERS, position, member):
            if isinstance(person, Refusal):
                yield person
            else:
                people.append(person)
    given = tuple(event.cloud.time_ms if one.evidence_ms is None else one.evidence_ms for one in body.members)
    acted = body.evidence is not None and method_of(body.evidence.method) in ACTS
    offers = lane.rules.marketing if body.purpose is None else body.purpose == "marketing"
    yield Membership(event.named, body, tuple(people), given, acted, offers)


def method_of(given: str) -> str | None:
    """Returns the method of consent that a text means (``Web form`` means ``web_form``), None if it means none."""
    spelt = given.strip().casefold().replace(" ", "_").replace("-", "_")
    method = OLD_METHODS.get(spelt, spelt)
    return method if method in METHODS else None


def audience_records(change: Membership, policy: PlanPolicy, received_ms: int) -> list[AudienceRecord]:
    """The changes of each shard that has any of these people: a pure function of the event and when it was received."""
    recipients = [recipient_id(policy.pepper, person.address) for person in change.people]
    places: dict[int, list[int]] = {}
    for position, recipient in enumerate(recipients):
        places.setdefault(shard_of(recipient, policy.shards), []).append(position)
    head = _head(change, received_ms)
    return [
        AudienceRecord(shard, _columns(head, change, places[shard], recipients, policy)) for shard in sorted(places)
    ]


def _head(change: Membership, received_ms: int) -> AudienceChange:
    """Returns the part that the changes of all shards have in common, without people."""
    body = change.body
    return AudienceChange(
        business=change.named.business,
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
    head: AudienceChange, change: Membership, places: list[int], recipients: list[RecipientId], policy: PlanPolicy
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


def _faults(body: Optin) -> Iterator[Refusal]:
    """Yield what is wrong with an opt-in apart from its people."""
    if body.op not in _OPS:
        yield Refusal(Reason.INVALID_FIELD, "data.op must be join or leave.", place="/data/op")
    if not 1 <= len(body.members) <= MAX_MEMBERS:
        reason = Reason.TOO_MANY_RECIPIENTS if body.members else Reason.INVALID_FIELD
        sentence = f"data.members has {len(body.members)} people; 1 to {MAX_MEMBERS} are taken: split the event."
        yield Refusal(reason, sentence, place="/data/members")
    for position, member in enumerate(body.members):
        yield from _bad_time(position, member)
    if body.purpose is not None and body.purpose not in PURPOSES:
        sentence = f"data.purpose must be {' or '.join(PURPOSES)}, or left out."
        yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/purpose")
    yield from bad_list_name(body.list, DATA.field("list"))
    if body.evidence is not None:
        yield from _bad_proof(body.evidence)
    elif _OPS.get(body.op, False):
        sentence = "data.evidence is missing: who joins must have consented; say method, wording and source."
        yield Refusal(Reason.NO_PROOF, sentence, place="/data/evidence")


def _bad_time(position: int, member: Member) -> Iterator[Refusal]:
    if member.evidence_ms is not None and member.evidence_ms < 0:
        sentence = "data.members: evidence_ms is in milliseconds since 1970, 0 or more."
        yield Refusal(Reason.INVALID_FIELD, sentence, place=f"/data/members/{position}/evidence_ms")


def _bad_proof(evidence: Evidence) -> Iterator[Refusal]:
    bounds = (("method", evidence.method, _SHORT_CHARS), ("wording", evidence.wording, _WORDING_CHARS))
    for field, text, chars in (*bounds, ("source", evidence.source, _SHORT_CHARS)):
        if not _fits(text, chars):
            reason = Reason.INVALID_FIELD if text.strip() else Reason.NO_PROOF
            sentence = f"data.evidence.{field} must have 1 to {chars} characters and no controls."
            yield Refusal(reason, sentence, place=f"/data/evidence/{field}")
    if _fits(evidence.method, _SHORT_CHARS) and method_of(evidence.method) is None:
        near = nearest(evidence.method, METHODS) or "."
        sentence = f"data.evidence.method must be one of {', '.join(METHODS)}{near}"
        yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/evidence/method")


def _fits(text: str, chars: int) -> bool:
    """Return whether a text of some lines says something and is not too long."""
    return bool(text.strip()) and len(text) <= chars and not unsafe(text.replace("\n", " "))
