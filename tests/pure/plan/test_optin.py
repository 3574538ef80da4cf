"""Opt-ins: proof or nothing, evidence never from the future, and columns for the right shards."""

from typing import Any

import msgspec
import pytest

from broker.plan.opt_in import MAX_MEMBERS, AudienceRecord
from broker.plan.outputs import Answer
from broker.plan.step import PlanStep
from schemas.ids import recipient_id, shard_of
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.request import ACTS, OPTIN_TYPE
from schemas.status import DeadLetter
from schemas.wire.columns import cells, of_i64s, of_u16s
from tests.support.plan_bench import BOOK, NOW_MS, PEPPER, SHARDS, Bench, address, event, given, told

EVIDENCE = {"method": "web_form", "wording": "Tell me\nabout my flight", "source": "booking"}


def optin(people: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """A sound opt-in; fields of None are left out."""
    people = [{"address": address(1), "evidence_ms": NOW_MS - 5}] if people is None else people
    body = {"list": "flight-UA1", "op": "join", "members": people, "evidence": EVIDENCE} | fields
    return event(type=OPTIN_TYPE, expirytime=None) | {"data": {k: v for k, v in body.items() if v is not None}}


def run(whole: dict[str, Any], **record: Any) -> PlanStep:
    """One step with one event."""
    return Bench().decide(given(whole, 4, **record))


def records(step: PlanStep) -> list[AudienceRecord]:
    """The audience changes of a step."""
    return [direct for direct in step.direct if isinstance(direct, AudienceRecord)]


def test_members_become_columns_of_their_shards() -> None:
    """Every member in its own shard once, columns aligned, nothing appended to plan's journal."""
    people = [{"address": address(n), "locale": "es" if n % 2 else None, "evidence_ms": NOW_MS - n} for n in range(100)]
    step = run(optin(people))
    assert not step.journal
    seen = []
    for record in records(step):
        change = record.change
        assert (change.business, change.list, change.join, change.received_ms) == (
            "airline",
            "flight-UA1",
            True,
            NOW_MS,
        )
        assert msgspec.json.decode(change.evidence) == EVIDENCE
        recipients, addresses = cells(change.recipients, 16), cells(change.addresses, 33)
        assert {shard_of(recipient, SHARDS) for recipient in recipients} == {record.shard}
        assert len(of_u16s(change.markets)) == len(recipients)
        for row, recipient in enumerate(recipients):
            opened = BOOK.open(addresses[row])
            assert recipient == recipient_id(PEPPER, opened)
            seen.append((opened, change.locales[2 * row : 2 * row + 2], of_i64s(change.evidence_ms)[row]))
    assert sorted(seen) == sorted((address(n), b"es" if n % 2 else b"\0\0", NOW_MS - n) for n in range(100))
    answer = step.direct[-1]
    assert isinstance(answer, Answer)
    assert (answer.status.state, answer.status.counts, answer.status.seq) == ("accepted", {"members": 100}, 4)


def test_nobody_consents_in_the_future() -> None:
    """Evidence is capped at the time the event was received, which is the log's and not the worker's."""
    (record,) = records(run(optin([{"address": address(1), "evidence_ms": NOW_MS + 9}]), timestamp_ms=NOW_MS - 7))
    assert of_i64s(record.change.evidence_ms) == (NOW_MS - 7,)
    assert record.change.received_ms == NOW_MS - 7


def test_without_a_time_of_its_own_evidence_is_the_events() -> None:
    """``time`` is when it happened."""
    (record,) = records(run(optin([{"address": address(1)}]), timestamp_ms=NOW_MS + 7))
    assert of_i64s(record.change.evidence_ms) == (NOW_MS,)


def test_the_same_event_makes_the_same_change_whenever_it_is_read() -> None:
    """Redelivery hours later: byte for byte the same record."""
    bench = Bench()
    first = records(bench.decide(given(optin())))
    bench.now_ms += 3_600_000
    assert records(bench.decide(given(optin()))) == first


def test_leaving_needs_no_proof() -> None:
    """Withdrawing is as easy as giving (GDPR art. 7(3))."""
    (record,) = records(run(optin(op="leave", evidence=None)))
    assert not record.change.join
    assert record.change.evidence == ""


METHODS_TAKEN = (
    # as written, an act of the person
    *((method, True) for method in ACTS),
    ("import", False),
    ("Web form", True),
    ("FORM", True),
    ("checkbox", True),
    ("in-person", True),
    ("phone", True),
    ("Bulk import", False),
)


@pytest.mark.parametrize(("method", "acted"), METHODS_TAKEN)
def test_methods_are_acts_of_the_person_or_imports(*, method: str, acted: bool) -> None:
    """Old spellings mean what they meant; the proof stays as it was written."""
    (record,) = records(run(optin(evidence=EVIDENCE | {"method": method})))
    assert record.change.acted == acted
    assert msgspec.json.decode(record.change.evidence)["method"] == method


@pytest.mark.parametrize(
    ("lane", "purpose", "offers"),
    [
        (Lane.CAMPAIGN, None, True),
        (Lane.UPDATE, None, False),
        (Lane.CAMPAIGN, "service", False),
        (Lane.UPDATE, "marketing", True),
    ],
)
def test_what_people_joined_for_is_told_or_follows_from_the_lane(
    *, lane: Lane, purpose: str | None, offers: bool
) -> None:
    """An opt-in on requests.campaign is for marketing, one on requests.update for service, unless it says otherwise."""
    step = Bench(lane).decide(given(optin(purpose=purpose), 4))
    assert [record.change.offers for record in records(step)] == [offers]


def test_nobody_leaves_by_an_act_that_brings_them_back() -> None:
    """What counts against a STOP is joining."""
    (record,) = records(run(optin(op="leave", evidence=None, purpose="marketing")))
    assert not record.change.acted


REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "joining without proof": (optin(evidence=None), Reason.NO_PROOF),
    "a proof without wording": (optin(evidence=EVIDENCE | {"wording": " "}), Reason.NO_PROOF),
    "a proof that lacks its source": (optin(evidence={"method": "x", "wording": "x"}), Reason.MISSING_FIELD),
    "a method that is none of the list": (optin(evidence=EVIDENCE | {"method": "telepathy"}), Reason.INVALID_FIELD),
    "another purpose": (optin(purpose="fun"), Reason.INVALID_FIELD),
    "a wording of 4,097 characters": (optin(evidence=EVIDENCE | {"wording": "x" * 4097}), Reason.INVALID_FIELD),
    "another operation": (optin(op="subscribe"), Reason.INVALID_FIELD),
    "nobody": (optin([]), Reason.INVALID_FIELD),
    "too many": (optin([{"address": address(1)}] * (MAX_MEMBERS + 1)), Reason.TOO_MANY_RECIPIENTS),
    "no number": (optin([{"address": address(1)}, {"address": "tel:+12"}]), Reason.INVALID_RECIPIENT),
    "evidence before 1970": (optin([{"address": address(1), "evidence_ms": -1}]), Reason.INVALID_FIELD),
    "an unknown field of a member": (optin([{"address": address(1), "name": "x"}]), Reason.UNKNOWN_FIELD),
    "a list's name that cannot be": (optin(list=""), Reason.INVALID_FIELD),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_an_unsound_opt_in_changes_nobody(row: tuple[dict[str, Any], Reason]) -> None:
    """All or nothing, and the business is told."""
    whole, reason = row
    (answer,) = run(whole).direct
    assert isinstance(answer, Answer)
    assert (answer.status.state, answer.status.reason) == ("refused", reason.word)


def test_opt_ins_are_for_registered_and_active_businesses() -> None:
    """Nobody can be opted in by a business that is unknown or suspended."""
    for source, reason in (("//nobody/x", Reason.UNKNOWN_BUSINESS), ("//sleeper/x", Reason.BUSINESS_SUSPENDED)):
        bench = Bench(Lane.CAMPAIGN)
        record = given(optin() | {"source": source})
        bench.policy = msgspec.structs.replace(bench.policy, shard=record.origin.partition)
        (direct,) = bench.decide(record).direct
        assert isinstance(direct, DeadLetter) == (reason is Reason.UNKNOWN_BUSINESS)
        assert told(direct).reason == reason.word
