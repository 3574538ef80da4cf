"""The journal's rules, one by one: which records are valid, when an owner is fenced, where a fold begins."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.journal import (
    Fold,
    Ownership,
    TrimmedJournalError,
    claim_won,
    dated,
    demand_claims,
    fold_start,
    last_floor,
)
from broker.kafka_clock import AHEAD_MS
from broker.losses import accepted_losses
from schemas.delivery_journal import Outcome
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, NewerRecordError, pack


def claim(epoch: int, instance: str, floor: int = 0) -> bytes:
    """A claim."""
    return pack(Header(Kind.CLAIM, Lane.OTP, 0, epoch, 0), Claim(instance, 0, floor))


def entry(epoch: int) -> bytes:
    """Any other record."""
    return pack(Header(Kind.OUTCOME, Lane.OTP, 0, epoch, 0), Outcome())


PLACE = ("plans.otp", 3)
A1, B1, B2 = claim(1, "a"), claim(1, "b"), claim(2, "b")


@pytest.mark.parametrize(
    ("log", "valid"),
    [
        pytest.param([A1, entry(1)], "++", id="an owner writes under its claim"),
        pytest.param([A1, B2, entry(1)], "++-", id="a higher claim voids what the old owner still writes"),
        pytest.param([A1, B1, entry(1)], "+-+", id="of two claims with one number the first stands"),
        pytest.param([A1, entry(1), A1, B1], "+++-", id="an owner may repeat its claim, another may not"),
        pytest.param(
            [entry(3), entry(2), claim(3, "c")], "+-+", id="a reader in the middle learns from the first record"
        ),
        pytest.param([A1, B2, claim(1, "a")], "++-", id="a lower claim is void"),
        pytest.param([A1, b"{}", b"", entry(1)], "+--+", id="what no release wrote is void and changes no epoch"),
        pytest.param([A1, claim(9, "z")[:-1], entry(1)], "+-+", id="a claim without a body claims nothing"),
    ],
)
def test_the_fold_rule(log: list[bytes], valid: str) -> None:
    """A record is valid if its epoch is not below the highest seen."""
    fold = Fold()
    assert "".join("-" if fold.admit(record) is None else "+" for record in log) == valid
    assert fold.voids == valid.count("-")


def test_a_claim_is_won_by_the_first_that_stands() -> None:
    """The second of two equal claims has to claim again, above."""
    fold = Fold()
    for record in (A1, B1):
        fold.admit(record)
    assert claim_won(fold, 1, "a")
    assert not claim_won(fold, 1, "b")


@pytest.mark.parametrize(
    ("gap", "fenced"),
    [
        pytest.param([entry(1), claim(1, "z")], False, id="void records only"),
        pytest.param([entry(1), claim(3, "z")], True, id="a higher claim"),
        pytest.param([b"{}", b""], False, id="foreign bytes"),
        pytest.param([b"{}", claim(3, "z")], True, id="a higher claim behind foreign bytes"),
    ],
)
def test_a_gap_fences_only_if_it_holds_a_higher_epoch(gap: list[bytes], *, fenced: bool) -> None:
    """The adjacency check."""
    owner = Ownership(2, "me", 10)
    assert not owner.gap_before(10)
    assert owner.gap_before(12) == range(10, 12)
    assert owner.fenced_by(gap) is fenced


def test_a_log_that_goes_back_under_a_living_owner_is_a_fault() -> None:
    """An offset below the last one means that acknowledged records are gone."""
    owner = Ownership(2, "me", 10)
    with pytest.raises(ValueError, match="went back"):
        owner.gap_before(9)


def test_owners_that_die_before_they_write_are_counted() -> None:
    """Three claims in a row are the poison breaker's sign; a repeat of one's own claim is not another death."""
    fold = Fold()
    for record in (A1, A1, B2, claim(3, "c")):
        fold.admit(record)
    assert fold.claims_in_a_row == 3
    fold.admit(entry(3))
    assert fold.claims_in_a_row == 0


def test_the_last_claims_floor_is_where_a_fold_begins() -> None:
    """The highest that any claim carries; a new owner may know less than its predecessor said last."""
    assert last_floor([claim(5, "a", 30), claim(5, "a", 40), entry(5), claim(6, "z", 20), entry(6)]) == 40
    assert last_floor([entry(5)]) is None
    assert fold_start(40, place=PLACE, log_start=40, log_end=90) == 40
    assert fold_start(None, place=PLACE, log_start=0, log_end=0) == 0


def test_a_log_trimmed_above_the_floor_is_refused() -> None:
    """A hole is never folded silently; the operator may say that it does not matter."""
    with pytest.raises(TrimmedJournalError, match="begins at offset 41 of 90"):
        fold_start(40, place=PLACE, log_start=41, log_end=90)
    with pytest.raises(TrimmedJournalError):
        fold_start(None, place=PLACE, log_start=1, log_end=1)
    word = accepted_losses("plans.otp:2:41, outcomes.otp:3:41,plans.otp:3:42")
    assert fold_start(40, place=("plans.otp", 2), log_start=41, log_end=90, accepted=word) == 41


@pytest.mark.parametrize("said", ["plans.otp:3:40", "plans.otp:3:42", "outcomes.otp:3:41", "plans.otp:2:41", ""])
def test_the_operators_word_holds_for_exactly_what_it_names(said: str) -> None:
    """Another journal, or more that is gone by now, is refused again."""
    with pytest.raises(TrimmedJournalError, match=r"FANFARE_ACCEPT_TRIMMED=plans\.otp:3:41 if"):
        fold_start(40, place=PLACE, log_start=41, log_end=90, accepted=accepted_losses(said))


@pytest.mark.parametrize("said", ["true", "plans.otp:3", "plans.otp:3:x", ":3:41", "plans.otp:3:41:1"])
def test_a_word_that_names_nothing_is_refused(said: str) -> None:
    """Each part is a topic, a partition and an offset."""
    with pytest.raises(ValueError, match="is not topic:partition:offset"):
        accepted_losses(said)


@pytest.mark.parametrize("floor", [90, 1_000])
def test_a_floor_beyond_the_end_of_the_log_is_refused(floor: int) -> None:
    """A copy at other offsets: folded from there it would begin with nothing, and every record of its owner would be void."""
    with pytest.raises(TrimmedJournalError, match=f"begins at offset {floor}, but the journal ends at 90"):
        fold_start(
            floor, place=PLACE, log_start=0, log_end=90, accepted=accepted_losses("plans.otp:3:0,plans.otp:3:90")
        )


@pytest.mark.parametrize("known", [0, 2, 3])
def test_a_gateway_that_has_seen_the_next_claim_announced_shows_no_loss(known: int) -> None:
    """Who greets it with epoch 3 has read the claim of 2, and may have died before its own."""
    fold = Fold()
    for record in (A1, B2):
        fold.admit(record)
    demand_claims(fold, known=known, place=PLACE, log_end=2)
    assert fold.epoch == 2


def test_a_gateway_that_has_seen_more_shows_that_claims_are_lost() -> None:
    """Nobody starts on such a journal; by the operator's word the next claim is one that the gateway takes."""
    fold = Fold()
    fold.admit(A1)
    with pytest.raises(
        TrimmedJournalError, match=r"knows epoch 3 .* ends at epoch 1: .*FANFARE_ACCEPT_TRIMMED=plans.otp:3:7"
    ):
        demand_claims(fold, known=3, place=PLACE, log_end=7, accepted=accepted_losses("plans.otp:3:6"))
    demand_claims(fold, known=3, place=PLACE, log_end=7, accepted=accepted_losses("plans.otp:3:7"))
    assert fold.admit(claim(4, "c")) is not None
    assert claim_won(fold, 4, "c")


def dates(times: list[tuple[int, int]]) -> list[int]:
    """The times that count of records, of which the writer's and Kafka's are given."""
    counts: list[int] = []
    for at_ms, appended_ms in times:
        header = dated(Header(Kind.OUTCOME, Lane.OTP, 0, 1, at_ms), appended_ms, max(counts, default=0))
        counts.append(header.at_ms)
    return counts


@pytest.mark.parametrize(
    ("at_ms", "counts_ms"),
    [
        pytest.param(5_900, 5_900, id="clocks differ a little"),
        pytest.param(3_605_000, 6_000, id="started an hour ahead"),
        pytest.param(1_000, 1_000, id="behind, or copied by a mirror"),
    ],
)
def test_a_record_counts_as_a_second_after_kafkas_time_of_it_at_most(at_ms: int, counts_ms: int) -> None:
    """Whatever the clock of its writer said."""
    assert dates([(at_ms, 5_000)]) == [counts_ms]


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 10**7)), min_size=1))
def test_what_is_later_than_all_before_it_counts_as_later(steps: list[tuple[int, int]]) -> None:
    """Else a round of restating would renew nothing where a broker's clock is behind. Nobody's clock gains by it."""
    at_ms, times = 0, []
    for step_ms, appended_ms in steps:
        at_ms += step_ms
        times.append((at_ms, appended_ms))
    counts = dates(times)
    assert all(earlier < later for earlier, later in pairwise(counts))
    assert counts[-1] <= max(appended_ms for _, appended_ms in times) + AHEAD_MS + len(times)


NEWER = b"\x03" + entry(9)[1:]


def test_a_newer_release_is_not_passed_over() -> None:
    """What it decided is unknown here, so nobody may claim after it, go on beside it, or begin behind it."""
    with pytest.raises(NewerRecordError):
        Fold().admit(NEWER)
    with pytest.raises(NewerRecordError):
        last_floor([A1, NEWER])
    with pytest.raises(NewerRecordError):
        Ownership(1, "a", 1).fenced_by([NEWER])


def test_a_floor_is_found_among_foreign_bytes() -> None:
    """And a claim that cannot be read has none."""
    assert last_floor([b"{}", claim(1, "a", 7), claim(2, "b", 9)[:-1], b""]) == 7
