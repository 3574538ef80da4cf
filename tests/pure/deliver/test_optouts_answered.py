"""What the gateway's answers say about consent: told by the journal alone, the same by every owner, and kept to from then on."""

from typing import Final

import pytest

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.deliver.gateway_answer import opt_outs
from broker.deliver.state import ShardState, body_of_outcome
from broker.journal import Fold
from schemas.delivery_journal import Outcome
from schemas.facts import Scope, Suppression
from schemas.gateway_api import Code
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.wire.columns import values_of
from schemas.wire.header import body_of
from tests.support.shard_bench import NOW_MS, Bench, change, explicit, listed, name, refusing

STOPPED: Final = Code.USER_STOPPED_MARKETING
EARLIER_MS: Final = 40
"""The gateway's clock is behind ours by as much."""


def told(bench: Bench) -> list[Suppression]:
    """What a new owner finds in the journal."""
    state, fold, found = ShardState(bench.policy, bench.audience), Fold(), list[Suppression]()
    for record in bench.log:
        header = fold.admit(record)
        assert header is not None
        body = body_of_outcome(header, record)
        assert body is not None
        found += opt_outs(state, header, body, bench.audience)
        state.apply(header, body)
    return found


def hear(bench: Bench) -> None:
    """The suppressions are written and tailed."""
    bench.suppressed_upto += 1
    for entry in told(bench):
        bench.consent.apply(entry)


def offer(*refused: tuple[int, int, int]) -> Bench:
    """An offer to a list of three; the gateway refuses some, earlier than we hear it."""
    bench = Bench(Lane.CAMPAIGN)
    bench.audience.apply(change("L", [11, 12, 13]), 0)
    bench.answering = refusing(*refused)
    bench.now = NOW_MS + EARLIER_MS
    bench.take(listed(1, "L", category=3))
    bench.run()
    return bench


def test_who_opted_out_is_told_with_the_gateways_time_and_its_code() -> None:
    """The second of three: of that business's offers, from the moment of the answer on."""
    (entry,) = told(offer((1, STOPPED, 0)))
    assert entry == Suppression(
        recipient=name(12),
        business="airline",
        scope=Scope.OFFERS,
        revoke=True,
        evidence_ms=NOW_MS,
        received_ms=NOW_MS + EARLIER_MS,
        evidence="gateway code 131050",
        request=name(1),
    )


@pytest.mark.parametrize("code", [Code.UNDELIVERABLE, Code.SPAM_LIMIT, Code.PAIR_THROTTLED, 999_999])
def test_other_refusals_say_nothing_about_consent(code: int) -> None:
    """Neither a wrong number nor a limit is a person's wish."""
    assert told(offer((0, code, 0))) == []


def test_every_owner_tells_the_same() -> None:
    """After a restart, and after the request was closed by that very answer."""
    bench = offer((0, STOPPED, 0), (2, STOPPED, 0))
    assert not bench.state.items
    first = told(bench)
    bench.restart()
    assert told(bench) == first
    assert {entry.recipient for entry in first} == {name(11), name(13)}


def test_explicit_recipients_are_found_as_members_are() -> None:
    """By their rows."""
    bench = Bench()
    bench.answering = refusing((1, STOPPED, 0))
    bench.take(explicit(1, [21, 22]))
    bench.run()
    assert [entry.recipient for entry in told(bench)] == [name(22)]


def test_the_next_offer_stays_here_and_says_nothing_new() -> None:
    """It is refused by the broker; what is withheld for a known opt-out is no second one."""
    bench = offer((1, STOPPED, 0))
    first = told(bench)
    bench.take(listed(2, "L", category=3))
    bench.append()
    bench.append()
    hear(bench)
    bench.answering = refusing()
    bench.run()
    (withheld,) = [
        one
        for record in bench.log
        for one in body_of(record, Outcome).answered
        if one.request == name(2) and not one.gateway_ms
    ]
    assert withheld.except_statuses == bytes((Reason.RECIPIENT_OPTED_OUT,))
    bench.take(listed(3, "L", category=3))
    bench.run()
    (decided,) = [one for record in bench.log for one in body_of(record, Outcome).decided if one.request == name(3)]
    assert list(values_of(decided.statuses)) == [State.SENDING, Reason.RECIPIENT_OPTED_OUT, State.SENDING]
    assert told(bench) == first


def test_whoever_opted_out_is_still_told_the_news() -> None:
    """In the update lane, by the same business, as a member of a list."""
    consent = Consent()
    for entry in told(offer((1, STOPPED, 0))):
        consent.apply(entry)
    assert consent.verdict(name(12), "airline", lane=Lane.UPDATE, list_id="A") is None
    assert consent.verdict(name(12), "airline", lane=Lane.CAMPAIGN, list_id="A") is Reason.RECIPIENT_OPTED_OUT
    assert consent.verdict(name(11), "airline", lane=Lane.CAMPAIGN, list_id="A") is None


def test_an_answer_about_something_unknown_tells_nothing() -> None:
    """What was closed before the fold begins was told by the owner of that time."""
    bench = offer((1, STOPPED, 0))
    state = ShardState(bench.policy, Audience())
    fold = Fold()
    header = fold.admit(bench.log[-1])
    assert header is not None
    body = body_of_outcome(header, bench.log[-1])
    assert body is not None
    assert opt_outs(state, header, body, Audience()) == []
