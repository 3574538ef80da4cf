"""The last lines of `fanfare audit`: an account may close and people not be told all the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from broker.audit.report import MEANT, OPEN_STATES, Audit
from schemas.reasons import MESSAGE_REASONS
from streams.commands.audit import page

TOLD = ("delivered", "read")
ENDS = tuple(reason.word for reason in MESSAGE_REASONS)


def audit(**counts: int) -> Audit:
    """Returns an audit without violations, of messages in these states."""
    return Audit(1, {"update": counts}, 0, {}, {}, (), {}, {})


def test_who_was_not_told_is_said_beside_an_account_that_closes() -> None:
    """By state, the most first, and as a number for programs."""
    found = audit(read=700, stopped=9, expired=44_018, unreachable=2, pending=5)
    *_, verdict, last = page(found)
    assert verdict == "No violation of any of the 21 invariants: every account closes."
    assert last.startswith("44,020 messages ended untold, as far as is known, although nobody forbade it: ")
    assert "44,018 expired, 2 unreachable." in last
    assert found.summary()["untold"] == 44_020


def test_where_everybody_was_told_that_is_said() -> None:
    """Who said STOP is no loss, nor is what was taken back or is on its way."""
    *_, last = page(audit(read=700, **dict.fromkeys(MEANT, 3), **dict.fromkeys(OPEN_STATES, 2)))
    assert last == "Whatever has ended was delivered, or somebody forbade it or took it back."
    assert page_of_one("expired").startswith("1 message ended untold")


def page_of_one(state: str) -> str:
    """Returns the last line about one message."""
    *_, last = page(audit(**{state: 1}))
    return last


@given(st.dictionaries(st.sampled_from((*TOLD, *OPEN_STATES, *ENDS)), st.integers(1, 10**6)))
def test_each_end_was_told_or_meant_or_is_untold(counts: dict[str, int]) -> None:
    """No end is left out, whatever reasons there will be."""
    found = audit(**counts)
    ended = Counter(counts)
    for state in (*OPEN_STATES, *TOLD, *MEANT):
        del ended[state]
    assert found.untold() == dict(ended)
