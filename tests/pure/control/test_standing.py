"""The words of control fold to the same whatever the order, and say who waits, who goes on and who ends."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.heartbeat import businesses
from broker.standing import Controls, Standing
from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.ids import text_of
from schemas.plan_journal import Terms
from tests.support import shard_bench

NAME: Final = bytes(range(16))
PAUSE, RESUME, CANCEL = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.CANCEL
TIME_MS: Final = 1_000


def terms(**changed: object) -> Terms:
    """The terms of a request of the airline about a flight, published at second one."""
    return shard_bench.terms(**{"time_ms": TIME_MS, "entity": "flight/UA1"} | changed)


def word(action: ControlAction, at_ms: int, scope: ControlScope = ControlScope.REQUEST, **changed: str) -> ControlWord:
    """A word about the request or whatever it belongs to."""
    targets = {
        ControlScope.REQUEST: ("airline", text_of(NAME)),
        ControlScope.SUBJECT: ("airline", "flight/UA1"),
        ControlScope.BUSINESS: ("", "airline"),
        ControlScope.SENDER: ("", "airline/main"),
        ControlScope.TEMPLATE: ("", "delay"),
        ControlScope.LANE: ("", ""),
    }
    business, target = targets[scope]
    return ControlWord(
        scope, changed.get("business", business), changed.get("target", target), action, at_ms, at_ms + 5
    )


def standing(*words: ControlWord, of: Terms | None = None) -> Standing:
    """What stands about the request after these words."""
    controls = Controls()
    for offset, each in enumerate(words):
        controls.apply(each, offset)
    return controls.ruling(NAME, of or terms()).standing


@pytest.mark.parametrize("scope", ControlScope, ids=lambda scope: scope.word)
def test_every_scope_holds_and_lets_go(scope: ControlScope) -> None:
    """A pause holds whatever lies in its scope until the resume of the same scope."""
    assert standing(word(PAUSE, 5, scope)) is Standing.HELD
    assert standing(word(PAUSE, 5, scope), word(RESUME, 6, scope)) is Standing.OPEN
    other = ControlScope.LANE if scope is not ControlScope.LANE else ControlScope.SENDER
    assert standing(word(PAUSE, 5, scope), word(RESUME, 6, other)) is Standing.HELD


STRANGERS: dict[str, tuple[ControlWord, Terms]] = {
    "another business with the request's name": (word(PAUSE, 5, business="shop"), terms()),
    "another business with the subject": (word(PAUSE, 5, ControlScope.SUBJECT, business="shop"), terms()),
    "another subject": (word(PAUSE, 5, ControlScope.SUBJECT, target="flight/UA2"), terms()),
    "an empty subject, and a request without one": (word(PAUSE, 5, ControlScope.SUBJECT, target=""), terms(entity="")),
    "another request": (word(PAUSE, 5, target="a" * 26), terms()),
    "a business's word about a sender": (word(PAUSE, 5, ControlScope.SENDER, business="shop"), terms()),
    "a heartbeat, whatever is paused": (word(PAUSE, 5, ControlScope.LANE), terms(business=businesses(8)[0])),
}


@pytest.mark.parametrize("row", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_word_reaches_nobody_else(row: tuple[ControlWord, Terms]) -> None:
    """Neither other requests nor other businesses."""
    said, of = row
    assert standing(said, of=of) is Standing.OPEN


def test_the_later_word_stands() -> None:
    """By evidence time, not by the order in which they are read; whoever forbids wins the same moment."""
    assert standing(word(RESUME, 6), word(PAUSE, 5)) is Standing.OPEN
    assert standing(word(PAUSE, 5), word(RESUME, 5)) is Standing.HELD
    assert standing(word(RESUME, 5), word(PAUSE, 5)) is Standing.HELD


def test_a_cancelled_request_stays_cancelled() -> None:
    """Whatever is said later, and however late the cancel is read."""
    for said in (PAUSE, RESUME):
        assert standing(word(CANCEL, 5), word(said, 6)) is Standing.CANCELLED
        assert standing(word(said, 6), word(CANCEL, 5)) is Standing.CANCELLED


def test_a_cancelled_subject_ends_what_was_published_before() -> None:
    """What happened after the cancel may be told; a pause of the subject reaches that, too."""
    scope = ControlScope.SUBJECT
    assert standing(word(CANCEL, TIME_MS, scope)) is Standing.CANCELLED
    assert standing(word(CANCEL, TIME_MS - 1, scope)) is Standing.OPEN
    assert standing(word(CANCEL, TIME_MS - 1, scope), word(PAUSE, TIME_MS, scope)) is Standing.HELD
    assert standing(word(PAUSE, TIME_MS - 2, scope), word(CANCEL, TIME_MS - 1, scope)) is Standing.OPEN


WORDS = st.lists(
    st.builds(
        word, st.sampled_from(ControlAction), st.integers(TIME_MS - 3, TIME_MS + 3), st.sampled_from(ControlScope)
    ),
    min_size=1,
    max_size=12,
)


@given(WORDS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(words: list[ControlWord], random: Any) -> None:
    """A join: shuffled, and with words said again, it stands as it stood."""
    again = [*words, *random.sample(words, len(words) // 2)]
    random.shuffle(again)
    assert standing(*again) is standing(*words)


@given(WORDS)
def test_every_change_of_standing_has_a_later_place(words: list[ControlWord]) -> None:
    """So whoever is told of two standings knows which is the newer one."""
    controls, upto, before = Controls(), -1, Standing.OPEN
    for offset, each in enumerate(words):
        controls.apply(each, offset)
        ruling = controls.ruling(NAME, terms())
        assert ruling.upto >= upto
        assert ruling.standing is before or ruling.upto > upto
        upto, before = ruling.upto, ruling.standing
