"""Consent: what people forbade, whatever the order in which it is heard."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audience.consent import Consent
from schemas.facts import Scope, Suppression
from schemas.names import Lane
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
) -> Suppression:
    """One suppression."""
    return Suppression(recipient, business, scope, revoke, at_ms, received_ms)


def consent_of(*entries: Suppression) -> Consent:
    """The fold of some suppressions, in that order."""
    consent = Consent()
    for entry in entries:
        consent.apply(entry)
    return consent


REACH = (
    # scope, lane, listed, the reason that stops it
    (Scope.MARKETING, Lane.OTP, False, None),
    (Scope.MARKETING, Lane.UPDATE, False, None),
    (Scope.MARKETING, Lane.UPDATE, True, Reason.STOPPED),
    (Scope.MARKETING, Lane.CAMPAIGN, False, Reason.STOPPED),
    (Scope.MARKETING, Lane.CAMPAIGN, True, Reason.STOPPED),
    (Scope.ALL, Lane.OTP, False, None),
    (Scope.ALL, Lane.UPDATE, False, Reason.STOPPED_ALL),
    (Scope.ALL, Lane.UPDATE, True, Reason.STOPPED_ALL),
    (Scope.ALL, Lane.CAMPAIGN, True, Reason.STOPPED_ALL),
    (Scope.OFFERS, Lane.OTP, False, None),
    (Scope.OFFERS, Lane.UPDATE, True, None),
    (Scope.OFFERS, Lane.CAMPAIGN, True, Reason.RECIPIENT_OPTED_OUT),
    (Scope.BLOCK, Lane.OTP, False, Reason.BLOCKED),
    (Scope.BLOCK, Lane.UPDATE, False, Reason.BLOCKED),
    (Scope.BLOCK, Lane.CAMPAIGN, True, Reason.BLOCKED),
)


@pytest.mark.parametrize(("scope", "lane", "listed", "reason"), REACH)
def test_a_scope_stops_what_it_reaches_and_nothing_else(
    *, scope: Scope, lane: Lane, listed: bool, reason: Reason | None
) -> None:
    """A stop stops offers and lists, one told by the gateway offers, a stop of everything all but codes, a block everything."""
    assert consent_of(said(scope)).verdict(ANNA, "air", lane=lane, listed=listed) is reason


def test_a_suppression_is_about_one_person_and_one_business() -> None:
    """Neither another person nor another business is touched."""
    consent = consent_of(said(Scope.BLOCK))
    assert consent.verdict(BERT, "air", lane=Lane.OTP, listed=False) is None
    assert consent.verdict(ANNA, "shop", lane=Lane.OTP, listed=False) is None


def test_a_suppression_of_every_business_reaches_each() -> None:
    """A star forbids all, also those about which nothing else is held."""
    consent = consent_of(said(Scope.ALL, business="*"), said(Scope.MARKETING, recipient=BERT, business="air"))
    assert consent.verdict(ANNA, "air", lane=Lane.UPDATE, listed=False) is Reason.STOPPED_ALL
    assert consent.verdict(ANNA, "shop", lane=Lane.UPDATE, listed=False) is Reason.STOPPED_ALL


def test_the_strongest_reason_is_named() -> None:
    """Who stopped and blocked is told to have blocked."""
    consent = consent_of(said(Scope.MARKETING), said(Scope.BLOCK), said(Scope.ALL))
    assert consent.verdict(ANNA, "air", lane=Lane.CAMPAIGN, listed=True) is Reason.BLOCKED


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
    assert consent_of(*entries).verdict(ANNA, "air", lane=Lane.CAMPAIGN, listed=True) is reason


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
    assert consent.verdict(ANNA, "air", lane=Lane.CAMPAIGN, listed=True) is Reason.STOPPED
    assert consent.verdict(ANNA, "air", lane=Lane.UPDATE, listed=False) is None


def test_nothing_held_means_no_concern() -> None:
    """The quick question is never wrong about a business that somebody forbade something."""
    assert not Consent().concerns("air")
    assert consent_of(said(Scope.ALL)).concerns("air")
    assert not consent_of(said(Scope.ALL)).concerns("shop")
    assert consent_of(said(Scope.ALL, business="*")).concerns("shop")


def test_an_unknown_scope_is_refused_and_changes_nothing() -> None:
    """A scope that was never given out is a fault, not a permission."""
    consent = Consent()
    with pytest.raises(ValueError, match="unknown scope: 9"):
        consent.apply(said(9))
    assert not consent.concerns("air")


entries_of = st.builds(
    said,
    st.sampled_from(Scope),
    revoke=st.booleans(),
    at_ms=st.integers(0, 5),
    received_ms=st.integers(2, 5),
    recipient=st.sampled_from((ANNA, BERT)),
    business=st.sampled_from(("air", "shop", "*")),
)


def everything(consent: Consent) -> list[Reason | None]:
    """Every verdict that these tests can ask for."""
    places = product((ANNA, BERT), ("air", "shop"), Lane, (False, True))
    return [consent.verdict(who, business, lane=lane, listed=listed) for who, business, lane, listed in places]


@given(st.data(), st.lists(entries_of, min_size=1, max_size=12))
def test_order_and_repetition_change_nothing(data: st.DataObject, entries: list[Suppression]) -> None:
    """Any order of the same suppressions, any of them repeated, gives the same verdicts."""
    repeats = data.draw(st.lists(st.sampled_from(entries), max_size=4))
    again = data.draw(st.permutations(entries + repeats))
    assert everything(consent_of(*again)) == everything(consent_of(*entries))


def place_of(entry: Suppression) -> tuple[bytes, str, int]:
    """What a suppression is about."""
    return entry.recipient, entry.business, entry.scope


@given(st.lists(entries_of, max_size=12))
def test_verdicts_agree_with_the_definition(entries: list[Suppression]) -> None:
    """The fold says what sorting all words by time and asking the last one says."""
    for who, business, scope in product((ANNA, BERT), ("air", "shop"), Scope):
        words = [
            [(min(e.evidence_ms, e.received_ms), e.revoke) for e in entries if place_of(e) == (who, named, scope)]
            for named in (business, "*")
        ]
        forbidden = any(max(word)[1] for word in words if word)
        alone = consent_of(*(e for e in entries if e.scope == scope))
        assert (alone.verdict(who, business, lane=Lane.CAMPAIGN, listed=True) is not None) == forbidden
