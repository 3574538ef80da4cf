"""The lanes' rows: what all of them together must keep, and what each says of itself must not contradict."""

from pathlib import Path

import pytest

from schemas.lanes import LANES, Category, Lane, lane_for, listed

EACH = pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.word)
PROTOCOL = (Path(__file__).parents[3] / "broker" / "PROTOCOL.md").read_text("utf-8")


def test_each_lane_has_a_row_and_a_number_of_its_own() -> None:
    """The number is a byte of every record, and ports are counted by it: there is room for ten."""
    assert list(LANES) == list(Lane)
    assert sorted(Lane) == list(range(len(Lane)))
    assert sorted(lane.rules.gateway_place for lane in Lane) == list(range(len(Lane)))
    assert len(Lane) <= 10


def test_a_word_finds_its_lane_and_any_other_none() -> None:
    """As commands and topics spell it."""
    assert [Lane.of(lane.word) for lane in Lane] == list(Lane)
    with pytest.raises(KeyError):
        Lane.of("OTP")


def test_lanes_divide_what_there_is_once() -> None:
    """A number's throughput, and what the gateway allows a sender and a person: 10 a minute with a burst of 45."""
    assert sum(lane.rules.share_percent for lane in Lane) <= 100
    assert sum(lane.rules.pair_limit.per_minute for lane in Lane) <= 10
    assert sum(lane.rules.pair_limit.burst for lane in Lane) <= 45


@EACH
def test_codes_travel_where_templates_have_sealed_slots(lane: Lane) -> None:
    """The registry wants sealed slots in templates of this category, and in no others."""
    rules = lane.rules
    assert rules.carries_codes == (rules.category is Category.AUTHENTICATION)
    assert not (rules.carries_codes and rules.takes_lists), "a list of codes would be one code for many"
    assert rules.asked_for or not rules.carries_codes


@EACH
def test_offers_are_not_asked_for_and_not_repeated(lane: Lane) -> None:
    """A stop of everything ends them, and twice is worse than not at all."""
    assert not (lane.rules.marketing and (lane.rules.asked_for or lane.rules.resends_unknown))


@EACH
def test_nobody_waits_longer_for_an_ill_gateway_than_a_message_lives(lane: Lane) -> None:
    """Nor does a beat take longer than the frame may lie."""
    rules = lane.rules
    assert rules.retry_ceiling_ms * 10 <= rules.windows.lifetime_max_ms
    assert rules.linger_ms <= rules.batch_interval_ms < rules.windows.frame_ms


def test_versions_are_compared_in_one_journal() -> None:
    """Two lanes that supersede would each know half of a fact."""
    assert sum(lane.rules.supersedes for lane in Lane) == 1


def test_each_category_has_a_lane() -> None:
    """The most urgent that takes it."""
    assert {category: lane_for(category).rules.category for category in Category} == {one: one for one in Category}


def test_the_protocol_says_the_same() -> None:
    """Section 2 and section 5 name each lane's part."""
    limits = ", ".join(
        f"{lane.word} {lane.rules.pair_limit.per_minute}/min burst {lane.rules.pair_limit.burst}" for lane in Lane
    )
    assert f"| {limits} |" in PROTOCOL
    assert (
        f"Without `shares` it is {', '.join(f'{lane.word} {lane.rules.share_percent}' for lane in Lane)}." in PROTOCOL
    )
    assert ", ".join(f"{lane.rules.category.word} → {lane.word}" for lane in Lane) in PROTOCOL
    assert f"| lane | {', '.join(f'`{lane.word}`' for lane in Lane)}:" in PROTOCOL


@pytest.mark.parametrize(
    ("words", "sentence"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")], ids=[1, 2, 3]
)
def test_words_are_listed_as_a_sentence_does(words: list[str], sentence: str) -> None:
    """However many there are."""
    assert listed(words) == sentence
