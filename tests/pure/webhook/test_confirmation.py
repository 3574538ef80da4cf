"""Confirmations of stops: asked for once, by Fanfare alone, told to people who stopped everything, and billed to nobody."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from broker.confirmation import LIFETIME_MS, Confirmation, event_of
from broker.settle.request_state import Account
from broker.webhook.keywords import Vocabulary
from broker.webhook.sort import sort
from schemas.delivery_journal import Opened
from schemas.facts import Scope, Suppression
from schemas.gateway_api import Reply, Reports, ref_of
from schemas.ids import recipient_id, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason
from schemas.registry import CONFIRMATIONS, Business, Parameter, Template
from schemas.wire.timestamps import text_of as instant
from tests.support import shard_bench
from tests.support.plan_bench import BOOK, NOW_MS, PEPPER, SHARDS, Bench, address, given, told
from tests.support.shard_bench import explicit, name

REF_SECRET = b"r" * 32
WHO = address(1)
STOPPED = Confirmation(
    "airline",
    "airline/main",
    "in-1",
    Scope.MARKETING,
    NOW_MS - 400,
    BOOK.seal(WHO),
    "es",
    recipient_id(PEPPER, WHO),
    "offers",
)


def request(confirmation: Confirmation = STOPPED) -> dict[str, Any]:
    """Returns the event that asks for it."""
    return event_of(confirmation, WHO, name="Airline", sender="airline/main", pepper=PEPPER)


def bench() -> Bench:
    """Returns a partition of plan whose registry knows what to say."""
    made = Bench()
    for template in CONFIRMATIONS:
        made.registry.add(
            Template(template, "utility", (Parameter("business"),), {"en": "{business}", "es": "{business}"})
        )
    return made


def replied(body: str, **fields: Any) -> Reply:
    """Returns a reply to an offer, from an address that is known."""
    ref = ref_of(REF_SECRET, Lane.CAMPAIGN, 3, name(7), "offers")
    sealed = base64.b64encode(STOPPED.address).decode()
    recipient = text_of(recipient_id(PEPPER, WHO))
    plain = Reply("in-1", "airline", "airline/main", recipient, "text", body, NOW_MS - 400, ref, 4, sealed, "es")
    return msgspec.structs.replace(plain, **fields)


def confirmations(*replies: Reply, received_ms: int = NOW_MS) -> tuple[Confirmation, ...]:
    """Returns what the webhook would confirm of a batch."""
    batch = Reports("b", (), replies)
    done = sort(batch, received_ms=received_ms, ref_secret=REF_SECRET, shards=SHARDS, vocabulary=Vocabulary())
    return done.confirmations


def test_a_stop_is_confirmed_in_the_persons_language_and_accepted_by_plan() -> None:
    """A STOP, and a STOP ALL by its own template; the entry names the person, the language and no price is asked of anybody."""
    assert confirmations(replied("Stopp!")) == (STOPPED,)
    assert [each.template for each in confirmations(replied("STOP ALL"))] == [CONFIRMATIONS[1]]
    (entry,) = bench().decide(given(request())).journal
    assert entry.verdict == 0
    assert entry.rows is not None
    assert entry.terms is not None
    assert (entry.rows.recipients, entry.rows.locales) == (recipient_id(PEPPER, WHO), b"es")
    assert (entry.terms.template, entry.terms.expires_ms) == (CONFIRMATIONS[0], NOW_MS - 400 + LIFETIME_MS)


@pytest.mark.parametrize(
    "reply",
    [
        replied("", kind="block"),
        replied("START"),
        replied("OK, thanks"),
        replied("STOP", address=""),
        replied("STOP", address="no base64"),
    ],
    ids=["a block", "a START", "small talk", "no address", "a broken address"],
)
def test_nothing_else_is_confirmed(reply: Reply) -> None:
    """Who blocks wants no word, and without an address there is nobody to tell."""
    assert confirmations(reply) == ()


def test_a_batch_that_is_repeated_asks_for_the_same_message_again() -> None:
    """The webhook may die after it has asked: plan sees a duplicate, and the person one message."""
    first, again = confirmations(replied("STOP")), confirmations(replied("STOP"), received_ms=NOW_MS + 60_000)
    assert first == again
    made = bench()
    made.run(given(request(*first)))
    step = made.decide(given(request(*again), 1))
    assert not step.journal
    assert [told(direct).reason for direct in step.direct] == [Reason.DUPLICATE.word]


def _to_another(event: dict[str, Any]) -> None:
    event["data"]["to"]["recipients"] = [{"address": address(2)}]


def _later(event: dict[str, Any]) -> None:
    event |= {"time": instant(NOW_MS), "expirytime": instant(NOW_MS + LIFETIME_MS)}


FORGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "to somebody else": _to_another,
    "in other words": lambda event: event["data"].update(params={"business": "Airline. Buy now!"}),
    "by the stronger template": lambda event: event["data"].update(template=CONFIRMATIONS[1]),
    "about another reply": lambda event: event.update(subject="stop/other"),
    "at a later time": _later,
    "under an id of one's own": lambda event: event.update(id="mine"),
    "to nobody": lambda event: event["data"].update(to={"list": "offers"}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_no_business_may_say_it(forge: Callable[[dict[str, Any]], object]) -> None:
    """It reaches people who stopped everything, so whatever is not Fanfare's own, word for word, is refused."""
    event = request()
    forge(event)
    step = bench().decide(given(event))
    assert not step.journal
    assert [told(direct).reason for direct in step.direct] == [Reason.UNKNOWN_TEMPLATE.word]


def test_what_one_business_was_confirmed_another_cannot_repeat() -> None:
    """The business is part of what is signed."""
    made = bench()
    made.registry.add(Business("other", "Other"))
    event = request() | {"source": "//other/fanfare"}
    made.policy = msgspec.structs.replace(made.policy, shard=given(event).origin.partition)
    assert [told(direct).reason for direct in made.decide(given(event)).direct] == [Reason.UNKNOWN_TEMPLATE.word]


@pytest.mark.parametrize(("scope", "sent"), [(Scope.MARKETING, True), (Scope.ALL, True), (Scope.BLOCK, False)], ids=str)
def test_only_a_block_stops_the_confirmation_of_a_stop(*, scope: Scope, sent: bool) -> None:
    """The one message that somebody still gets who stopped everything."""
    shard = shard_bench.Bench()
    stop = Suppression(name(1), "airline", scope, revoke=True, evidence_ms=NOW_MS, received_ms=NOW_MS)
    shard.consent.apply(stop)
    shard.take(explicit(1, [1], template=CONFIRMATIONS[1]), explicit(2, [1]))
    shard.run()
    assert ((1, 0) in shard.sent) == sent
    assert ((2, 0) in shard.sent) == (scope is Scope.MARKETING)


def test_a_confirmation_is_never_billed() -> None:
    """The person's own message opened the conversation."""
    opened = [
        Opened(explicit(1, [1], template=template), Origin(0, 0), NOW_MS) for template in ("delay", *CONFIRMATIONS)
    ]
    assert [Account.of(each).test for each in opened] == [False, True, True]
