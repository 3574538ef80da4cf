"""Decides one step of plan on a draft: its decisions so far are laid over the state, which only the acknowledgement changes."""

from typing import Final, TypeAlias, assert_never

import msgspec

from broker.audience.sizes import ListSizes
from broker.heartbeat import is_heartbeat
from broker.plan.authorize import suspended, unknown_business, untimely
from broker.plan.control import ControlRecord, control_record, unknown_request
from broker.plan.decode import (
    Admitted,
    Control,
    Malformed,
    Membership,
    Misrouted,
    Named,
    Notice,
    PlanInput,
    admit,
    origin_header,
)
from broker.plan.opt_in import AudienceRecord, audience_records
from broker.plan.outputs import Answer, conflict, dead_letter, refused_answer, repeated_answer, taken_answer
from broker.plan.policy import BODY_LIMIT_BYTES, PlanPolicy
from broker.plan.state import Known, New, PlanState, Redelivered, Repeated, identify
from broker.plan.verdict import Owed, judge, refused
from broker.registry.fold import Registry
from schemas.plan_journal import Planned
from schemas.reasons import Reason, Refusal
from schemas.status import DeadLetter

MAX_PEOPLE: Final = 4_096
"""Recipients and members that one step takes: about 60 ms of work, so that the loop answers in between."""


class Rerouted(msgspec.Struct, frozen=True):
    """A record to be published once more to ``requests.<lane>``, to the partition where it belongs."""

    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


Direct: TypeAlias = Answer | AudienceRecord | ControlRecord | DeadLetter | Rerouted


_encoder: Final = msgspec.msgpack.Encoder()


class Sitting:
    """Holds the draft of one step: its decisions so far are laid over the state, which stays as it is."""

    __slots__ = (
        "_names",
        "_owed",
        "_people",
        "_policy",
        "_registry",
        "_size",
        "_sizes",
        "_state",
        "_through",
        "again",
        "direct",
        "journal",
        "now_ms",
    )

    def __init__(self, state: PlanState, registry: Registry, policy: PlanPolicy, now_ms: int, sizes: ListSizes) -> None:
        self._state = state
        self._registry = registry
        self._policy = policy
        self.now_ms = now_ms
        self.journal: list[Planned] = []
        self.again: list[Planned] = []
        self.direct: list[Direct] = []
        self._names: dict[bytes, Known] = {}
        self._owed: dict[str, int] = {}
        self._through: dict[str, int] = {}
        self._sizes = sizes
        self._people = 0
        self._size = 0

    def take(self, given: PlanInput) -> bool:
        """Decide one input; False if it belongs to the next step."""
        if self._people >= MAX_PEOPLE:
            return False
        admitted: Admitted = admit(given, self._policy)
        match admitted:
            case Notice():
                return self._notice(admitted, given)
            case Membership():
                self._membership(admitted, given)
            case Control():
                self._control(admitted, given)
            case Misrouted():
                self._misrouted(admitted, given)
            case Malformed():
                self._malformed(admitted, given)
            case _:
                assert_never(admitted)
        return True

    def _notice(self, notice: Notice, given: PlanInput) -> bool:
        offset = given.origin.offset
        identity = identify(
            self._known(notice.named.name),
            self._state.decided_from(offset),
            origin=given.origin,
            first=notice.first,
            fingerprint=notice.fingerprint,
        )
        match identity:
            case Redelivered(entry=entry):
                if entry is not None:
                    self.again.append(entry)
                return True
            case Repeated(known=known, same=True):
                if self._can_be_told(notice.named.business):
                    answer = repeated_answer(notice.named, offset, now_ms=self.now_ms, accepted_ms=known.decided_ms)
                    self.direct.append(answer)
                return True
            case Repeated(known=known):
                self._refuse(conflict(known.decided_ms), notice.named, given)
                return True
            case New.NEW:
                return self._judge(notice, given)
            case _:
                assert_never(identity)

    def _judge(self, notice: Notice, given: PlanInput) -> bool:
        if notice.named.business not in self._registry.businesses:
            self._refuse(unknown_business(), notice.named, given)
            return True
        entry = judge(
            notice,
            given.origin,
            registry=self._registry,
            policy=self._policy,
            now_ms=self.now_ms,
            owed=Owed(self._owed_us, self._through_ms, self._sizes),
        )
        size = _size(entry)
        if size > BODY_LIMIT_BYTES:
            entry = refused(entry, Refusal(Reason.TOO_LARGE, "The request is too large: split it."), notice)
            size = _size(entry)
        if self._size + size > BODY_LIMIT_BYTES:
            return False
        self._enter(entry, size)
        return True

    def _enter(self, entry: Planned, size: int) -> None:
        self.journal.append(entry)
        self._size += size
        self._people += len(entry.rows) if entry.rows is not None else 0
        self._names[entry.name] = Known.of(entry, self.now_ms)
        if entry.free_us and entry.terms is not None:
            self._owed[entry.terms.sender] = entry.free_us
        if entry.through_ms and entry.terms is not None:
            self._through[entry.terms.sender] = entry.through_ms

    def _membership(self, membership: Membership, given: PlanInput) -> None:
        named = membership.named
        if refusal := self._barred(named.business):
            self._refuse(refusal, named, given)
            return
        people = len(membership.change.people)
        self._people += people
        self.direct.extend(audience_records(membership.change, named.business, self._policy, given.timestamp_ms))
        self.direct.append(taken_answer(named, given.origin.offset, now_ms=self.now_ms, counts={"members": people}))

    def _control(self, control: Control, given: PlanInput) -> None:
        named, command, lane = control.named, control.command, self._policy.lane
        refusal = self._barred(named.business) or untimely(control.event, self._policy.windows, self.now_ms)
        if refusal is None and command.request is not None and not self._owns(command.request, named.business):
            refusal = unknown_request(lane)
        if refusal is not None:
            self._refuse(refusal, named, given)
            return
        author = (named.business, named.source, named.id)
        self.direct.append(control_record(command, author, lane, given.timestamp_ms))
        self.direct.append(taken_answer(named, given.origin.offset, now_ms=self.now_ms, counts={"controls": 1}))

    def _barred(self, business: str) -> Refusal | None:
        """Why a business may not speak at all."""
        known = self._registry.businesses.get(business)
        if known is None:
            return unknown_business()
        return None if known.active else suspended()

    def _owns(self, request: bytes, business: str) -> bool:
        """Returns whether a request of this name was accepted from the business, and is not over for long."""
        known = self._known(request)
        return known is not None and known.verdict == 0 and known.business == business

    def _misrouted(self, misrouted: Misrouted, given: PlanInput) -> None:
        headers = (*given.headers, origin_header(given.origin))
        self.direct.append(Rerouted(misrouted.partition, misrouted.business.encode(), given.value or b"", headers))

    def _malformed(self, malformed: Malformed, given: PlanInput) -> None:
        refusal = malformed.refusal
        known = self._known(malformed.named.name) if malformed.named is not None else None
        if known is not None and known.verdict == 0 and known.offset != given.origin.offset:
            refusal = conflict(known.decided_ms)
        self._refuse(refusal, malformed.named, given)

    def _refuse(self, refusal: Refusal, named: Named | None, given: PlanInput) -> None:
        """Say a refusal that is not appended: to the business if it has a status topic, else to the dead letters."""
        if named is not None and self._can_be_told(named.business):
            self.direct.append(refused_answer(named, refusal, given.origin.offset, self.now_ms))
            return
        business = "" if named is None else named.business
        self.direct.append(dead_letter(given, refusal, policy=self._policy, now_ms=self.now_ms, business=business))

    def _can_be_told(self, business: str) -> bool:
        return business in self._registry.businesses and not is_heartbeat(business)

    def _known(self, name: bytes) -> Known | None:
        return self._names.get(name) or self._state.known(name, self.now_ms)

    def _owed_us(self, sender: str) -> int:
        held = self._state.free.get(sender)
        return self._owed.get(sender, 0 if held is None else held.free_us)

    def _through_ms(self, sender: str) -> int:
        return self._through.get(sender) or self._state.through.get(sender, 0)


def _size(entry: Planned) -> int:
    return len(_encoder.encode(entry))
