"""Consent: what people forbade, whatever the order in which it is heard."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audience.consent import NEVER, Consent, Returns
from schemas.facts import Scope, Suppression
from schemas.lanes import Lane
from schemas.reasons import Reason

ANNA = b"anna" * 4
BERT = b"bert" * 4


def said(
    scope: int,
    *,
    revoke: bool = True,
    at_ms: int = 1_000,
    received_ms: int = 10_000,
    recipient: bytes = ANNA,
    business: str = "air",
    list_id: str = "",
) -> Suppression:
    """One suppression."""
    return Suppression(recipient, business, scope, revoke, at_ms, received_ms, list=list_id)


def consent_of(*entries: Suppression) -> Consent:
    """The fold of some suppressions, in that order."""
    consent = Consent()
    for entry in entries:
        consent.apply(entry)
    return consent


REACH = (
    # scope, lane, list, the reason that stops it
    (Scope.MARKETING, Lane.OTP, "", None),
    (Scope.MARKETING, Lane.UPDATE, "", None),
    (Scope.MARKETING, Lane.UPDATE, "flight", None),
    (Scope.MARKETING, Lane.CAMPAIGN, "", Reason.STOPPED),
    (Scope.MARKETING, Lane.CAMPAIGN, "news", Reason.STOPPED),
    (Scope.LIST, Lane.UPDATE, "flight", Reason.STOPPED),
    (Scope.LIST, Lane.CAMPAIGN, "flight", Reason.STOPPED),
    (Scope.LIST, Lane.UPDATE, "parcel", None),
    (Scope.LIST, Lane.CAMPAIGN, "news", None),
    (Scope.LIST, Lane.UPDATE, "", None),
    (Scope.LIST, Lane.OTP, "", None),
    (Scope.ALL, Lane.OTP, "", None),
    (Scope.ALL, Lane.UPDATE, "", Reason.STOPPED_ALL),
    (Scope.ALL, Lane.UPDATE, "flight", Reason.STOPPED_ALL),
    (Scope.ALL, Lane.CAMPAIGN, "news", Reason.STOPPED_ALL),
    (Scope.OFFERS, Lane.OTP, "", None),
    (Scope.OFFERS, Lane.UPDATE, "flight", None),
    (Scope.OFFERS, Lane.CAMPAIGN, "news", Reason.RECIPIENT_OPTED_OUT),
    (Scope.BLOCK, Lane.OTP, "", Reason.BLOCKED),
    (Scope.BLOCK, Lane.UPDATE, "", Reason.BLOCKED),
    (Scope.BLOCK, Lane.CAMPAIGN, "news", Reason.BLOCKED),
)


@pytest.mark.parametrize(("scope", "lane", "list_id", "reason"), REACH)
def test_a_scope_stops_what_it_reaches_and_nothing_else(
    scope: Scope, lane: Lane, list_id: str, reason: Reason | None
) -> None:
    """A stop stops offers and the list it answers, a stop of everything all but codes, a block everything."""
    held = consent_of(said(scope, list_id="flight" if scope is Scope.LIST else ""))
    assert held.verdict(ANNA, "air", lane=lane, list_id=list_id) is reason


BACK = (
    # scope, what the person joined and when (list, any for offers); the stop is of 1,000; what then stops an offer to the list
    ("nobody came back", Scope.MARKETING, Returns(), Reason.STOPPED),
    ("they asked for offers later", Scope.MARKETING, Returns(offers_ms=1_001), None),
    ("they asked for offers at the same time", Scope.MARKETING, Returns(offers_ms=1_000), Reason.STOPPED),
    ("they joined a list later, for service", Scope.MARKETING, Returns(list_ms=1_001), Reason.STOPPED),
    ("they joined the stopped list later", Scope.LIST, Returns(list_ms=1_001), None),
    ("they joined the stopped list at the same time", Scope.LIST, Returns(list_ms=1_000), Reason.STOPPED),
    ("they asked for offers of another list", Scope.LIST, Returns(offers_ms=1_001), Reason.STOPPED),
    ("the platform told it, and they asked again later", Scope.OFFERS, Returns(offers_ms=1_001), None),
    ("STOP ALL stays", Scope.ALL, Returns(9_000, 9_000), Reason.STOPPED_ALL),
    ("a block stays", Scope.BLOCK, Returns(9_000, 9_000), Reason.BLOCKED),
)


@pytest.mark.parametrize(("row", "scope", "returns", "reason"), BACK, ids=[row[0] for row in BACK])
def test_a_later_act_takes_back_what_it_is_about(
    row: str, scope: Scope, returns: Returns, reason: Reason | None
) -> None:
    """A stop of marketing, or of a list, is over once its person joined again after it; nothing else is."""
    held = consent_of(said(scope, list_id="news" if scope is Scope.LIST else ""))
    assert held.verdict(ANNA, "air", lane=Lane.CAMPAIGN, list_id="news", returns=returns) is reason
    again = held.forbidden(
        [BERT, ANNA], "air", lane=Lane.CAMPAIGN, list_id="news", returns=[Returns(), returns].__getitem__
    )
    assert again == ({} if reason is None else {1: reason})


def test_start_takes_back_the_stop_of_every_list() -> None:
    """Who says START need not know which lists they had left; a later STOP of one holds again."""
    stop, start = said(Scope.LIST, list_id="news"), said(Scope.LIST, revoke=False, at_ms=2_000)
    again = said(Scope.LIST, list_id="news", at_ms=3_000)
    assert consent_of(stop, start).verdict(ANNA, "air", lane=Lane.UPDATE, list_id="news") is None
    assert consent_of(start, stop, again).verdict(ANNA, "air", lane=Lane.UPDATE, list_id="news") is Reason.STOPPED
    assert not consent_of(start, stop).holds(again)
    assert consent_of(start, stop).holds(start)


def test_a_suppression_is_about_one_person_and_one_business() -> None:
    """Neither another person nor another business is touched."""
    consent = consent_of(said(Scope.BLOCK))
    assert consent.verdict(BERT, "air", lane=Lane.OTP) is None
    assert consent.verdict(ANNA, "shop", lane=Lane.OTP) is None


def test_a_suppression_of_every_business_reaches_each() -> None:
    """A star forbids all, also those about which nothing else is held."""
    consent = consent_of(said(Scope.ALL, business="*"), said(Scope.MARKETING, recipient=BERT, business="air"))
    assert consent.verdict(ANNA, "air", lane=Lane.UPDATE) is Reason.STOPPED_ALL
    assert consent.verdict(ANNA, "shop", lane=Lane.UPDATE) is Reason.STOPPED_ALL


def test_the_strongest_reason_is_named() -> None:
    """Who stopped and blocked is told to have blocked."""
    consent = consent_of(said(Scope.MARKETING), said(Scope.BLOCK), said(Scope.ALL))
    assert consent.verdict(ANNA, "air", lane=Lane.CAMPAIGN, list_id="news") is Reason.BLOCKED


ORDER = (
    ("the later word wins", said(Scope.MARKETING, at_ms=2_000, revoke=False), None),
    ("an older restoration changes nothing", said(Scope.MARKETING, at_ms=500, revoke=False), Reason.STOPPED),
    ("at the same time the stop wins", said(Scope.MARKETING, revoke=False), Reason.STOPPED),
    (
        "a clock ahead counts as received",
        said(Scope.MARKETING, at_ms=99_000, received_ms=900, revoke=False),
        Reason.STOPPED,
    ),
)


@pytest.mark.parametrize(("row", "change", "reason"), ORDER, ids=[row[0] for row in ORDER])
@pytest.mark.parametrize("turned", [False, True])
def test_evidence_time_decides(*, row: str, change: Suppression, reason: Reason | None, turned: bool) -> None:
    """Evidence time decides, and not the order of the log."""
    entries = [said(Scope.MARKETING), change]
    if turned:
        entries.reverse()
    assert consent_of(*entries).verdict(ANNA, "air", lane=Lane.CAMPAIGN, list_id="news") is reason


def test_what_is_held_is_known() -> None:
    """Only what would change something is news: a later stop, another scope, another person."""
    consent = consent_of(said(Scope.OFFERS, at_ms=2_000))
    assert consent.holds(said(Scope.OFFERS, at_ms=2_000))
    assert consent.holds(said(Scope.OFFERS, at_ms=1_999))
    assert consent.holds(said(Scope.OFFERS, at_ms=2_000, revoke=False))
    assert not consent.holds(said(Scope.OFFERS, at_ms=2_001))
    assert not consent.holds(said(Scope.MARKETING, at_ms=2_000))
    assert not consent.holds(said(Scope.OFFERS, at_ms=2_000, recipient=BERT))


def test_unblocking_does_not_take_back_a_stop() -> None:
    """A restoration lifts its own scope only."""
    consent = consent_of(said(Scope.MARKETING), said(Scope.BLOCK), said(Scope.BLOCK, revoke=False, at_ms=2_000))
    assert consent.verdict(ANNA, "air", lane=Lane.CAMPAIGN, list_id="news") is Reason.STOPPED
    assert consent.verdict(ANNA, "air", lane=Lane.UPDATE) is None


def test_an_unknown_scope_is_refused_and_changes_nothing() -> None:
    """A scope that was never given out is a fault, not a permission."""
    consent = Consent()
    with pytest.raises(ValueError, match="unknown scope: 9"):
        consent.apply(said(9))
    assert consent.verdict(ANNA, "air", lane=Lane.CAMPAIGN) is None


entries_of = st.builds(
    said,
    st.sampled_from(Scope),
    revoke=st.booleans(),
    at_ms=st.integers(0, 5),
    received_ms=st.integers(2, 5),
    recipient=st.sampled_from((ANNA, BERT)),
    business=st.sampled_from(("air", "shop", "*")),
    list_id=st.sampled_from(("", "news", "flight")),
)
returns_of = st.builds(Returns, st.integers(-1, 5), st.integers(-1, 5))
LISTS = ("", "news", "flight", "other")


def everything(consent: Consent, returns: Returns = NEVER) -> list[Reason | None]:
    """Every verdict that these tests can ask for."""
    places = product((ANNA, BERT), ("air", "shop"), Lane, LISTS)
    return [
        consent.verdict(who, business, lane=lane, list_id=list_id, returns=returns)
        for who, business, lane, list_id in places
    ]


@given(st.data(), st.lists(entries_of, min_size=1, max_size=12), returns_of)
def test_order_and_repetition_change_nothing(data: st.DataObject, entries: list[Suppression], returns: Returns) -> None:
    """Any order of the same suppressions, any of them repeated, gives the same verdicts."""
    repeats = data.draw(st.lists(st.sampled_from(entries), max_size=4))
    again = data.draw(st.permutations(entries + repeats))
    assert everything(consent_of(*again), returns) == everything(consent_of(*entries), returns)


@given(st.lists(entries_of, max_size=12), returns_of)
def test_many_at_once_are_judged_as_each_alone(entries: list[Suppression], returns: Returns) -> None:
    """Looking at those who spoke, and nobody else, misses nobody."""
    consent = consent_of(*entries)
    for business, lane, list_id in product(("air", "shop"), Lane, LISTS):
        found = consent.forbidden([ANNA, BERT], business, lane=lane, list_id=list_id, returns=lambda _: returns)
        alone = [consent.verdict(who, business, lane=lane, list_id=list_id, returns=returns) for who in (ANNA, BERT)]
        assert found == {at: reason for at, reason in enumerate(alone) if reason is not None}


def place_of(entry: Suppression) -> tuple[bytes, str, int]:
    """What a suppression of anything but a list is about."""
    return entry.recipient, entry.business, entry.scope


@given(st.lists(entries_of, max_size=12), returns_of)
def test_verdicts_agree_with_the_definition(entries: list[Suppression], returns: Returns) -> None:
    """The fold says what sorting all words by time, asking the last one, and comparing it with the last opt-in, says."""
    for who, business, scope in product((ANNA, BERT), ("air", "shop"), Scope):
        named = ("news", "") if scope is Scope.LIST else None
        words = [
            [
                (min(e.evidence_ms, e.received_ms), e.revoke)
                for e in entries
                if place_of(e) == (who, of, scope) and (named is None or e.list in named)
            ]
            for of in ((business,) if scope is Scope.LIST else (business, "*"))
        ]
        back_ms = {Scope.LIST: returns.list_ms, Scope.MARKETING: returns.offers_ms, Scope.OFFERS: returns.offers_ms}
        last = [max(word) for word in words if word]
        forbidden = any(revoked and at_ms >= back_ms.get(scope, -1) for at_ms, revoked in last)
        alone = consent_of(*(e for e in entries if e.scope == scope))
        verdict = alone.verdict(who, business, lane=Lane.CAMPAIGN, list_id="news", returns=returns)
        assert (verdict is not None) == forbidden
