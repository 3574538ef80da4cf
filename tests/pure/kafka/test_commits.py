"""The commit tracker: what may be committed, whatever the order in which work is finished."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from streams.kafka.faust_app.commits import CommitTracker, Hole, Uncommitted

PLACE = ("work.otp", 3)
OTHER = ("requests.otp", 3)
GENERATION = 7


def tracker_at(base: int | None, *, delivered: int = 0) -> CommitTracker:
    """A tracker of one partition to which some records have been delivered."""
    tracker = CommitTracker()
    tracker.begin(GENERATION)
    tracker.reset(PLACE, base)
    for offset in range(base or 0, (base or 0) + delivered):
        tracker.delivered(PLACE, offset, at_ms=offset)
    return tracker


def test_the_oldest_input_that_may_come_again_is_the_first_that_the_group_has_not_stored() -> None:
    """Finished or not: whoever takes the partition over begins to read at the stored offset."""
    inputs = Uncommitted()
    assert inputs.oldest_ms(None) is None
    for offset, appended_ms in ((7, 100), (9, 120), (10, 120)):
        inputs.add(offset, appended_ms)
    assert [inputs.oldest_ms(stored) for stored in (None, 7, 8, 10, 11)] == [100, 100, 120, 120, None]
    inputs.add(11, 130)
    inputs.clear()
    assert inputs.oldest_ms(7) is None


@pytest.mark.parametrize(
    ("label", "base", "finished", "due"),
    [
        # Faust 0.15.3 commits past running work in the first, third and fourth rows (faust-streaming/faust issue 606).
        ("the first still runs", 100, {101, 102, 103, 104}, None),
        ("the first two still run", 100, {102, 103, 104}, None),
        ("never committed, the first still runs", None, {1, 2, 3}, None),
        ("committed at 0, three run", 0, {3}, None),
        ("a gap in the middle", 100, {100, 102}, 101),
        ("everything", 100, {100, 101, 102, 103, 104}, 105),
        ("nothing", 100, set(), None),
    ],
)
def test_the_oldest_unfinished_offset_is_due(label: str, base: int | None, finished: set[int], due: int | None) -> None:
    """A commit never passes unfinished work."""
    tracker = tracker_at(base, delivered=5)
    for offset in finished:
        tracker.done(PLACE, offset, GENERATION)
    assert tracker.due({PLACE}) == ({} if due is None else {PLACE: due}), label


@pytest.mark.parametrize(
    ("label", "offset", "follows"),
    [
        ("one was skipped", 13, None),
        ("one came twice", 11, None),
        ("far ahead", 500, None),
        ("a jump that begins too late", 15, 13),
        ("a jump that begins too early", 15, 11),
    ],
)
def test_a_hole_raises_and_changes_nothing(label: str, offset: int, follows: int | None) -> None:
    """A record that is not the next one is a fault, and what was known stays as it was."""
    tracker = tracker_at(10, delivered=2)
    with pytest.raises(Hole) as caught:
        tracker.delivered(PLACE, offset, at_ms=0, follows=follows)
    assert (caught.value.place, caught.value.expected, caught.value.got) == (PLACE, 12, offset), label
    assert tracker.unfinished() == {PLACE: 2}, label
    assert tracker.delivered(PLACE, 12, at_ms=0) == 3, label


def test_offsets_that_hold_nothing_are_stepped_over() -> None:
    """With proof that the log holds nothing between, a later offset follows, and the commit goes past both."""
    tracker = tracker_at(10, delivered=2)
    tracker.delivered(PLACE, 15, at_ms=0, follows=12)
    for offset in (10, 11, 15):
        tracker.done(PLACE, offset, GENERATION)
    assert tracker.due({PLACE}) == {PLACE: 16}


def test_a_forgotten_generation_changes_nothing() -> None:
    """Work that finishes after a revocation belongs to nobody: neither while revoked nor in the next generation."""
    tracker = tracker_at(10, delivered=3)
    tracker.forget()
    assert tracker.done(PLACE, 10, GENERATION) is None
    assert tracker.due({PLACE}) == {}
    tracker.begin(GENERATION + 1)
    tracker.reset(PLACE, 10)
    tracker.delivered(PLACE, 10, at_ms=0)
    assert tracker.done(PLACE, 10, GENERATION) is None
    tracker.committed({PLACE: 13}, GENERATION)
    assert tracker.unfinished() == {PLACE: 1}
    assert tracker.done(PLACE, 10, GENERATION + 1) == 0
    assert tracker.due({PLACE}) == {PLACE: 11}


def test_a_partition_that_was_never_committed_starts_at_its_first_record() -> None:
    """The log may begin anywhere; the first record that comes is the base, and is due only when finished."""
    tracker = tracker_at(None)
    tracker.delivered(PLACE, 40, at_ms=0)
    assert tracker.due({PLACE}) == {}
    tracker.done(PLACE, 40, GENERATION)
    assert tracker.due({PLACE}) == {PLACE: 41}


def test_only_assigned_partitions_are_due() -> None:
    """What the group has taken away meanwhile is not committed."""
    tracker = tracker_at(10, delivered=1)
    tracker.done(PLACE, 10, GENERATION)
    assert tracker.due({OTHER}) == {}


def test_a_seek_before_the_first_record_may_be_repeated_and_later_not() -> None:
    """Faust seeks once or twice per assignment; after a delivery a seek would repeat what is open."""
    tracker = tracker_at(10)
    tracker.reset(PLACE, 10)
    tracker.delivered(PLACE, 10, at_ms=0)
    with pytest.raises(Hole):
        tracker.reset(PLACE, 10)


def test_finishing_what_was_never_delivered_raises() -> None:
    """It would let a commit pass records that nobody has seen."""
    tracker = tracker_at(10, delivered=2)
    with pytest.raises(ValueError, match="never delivered"):
        tracker.done(PLACE, 12, GENERATION)
    assert tracker.unfinished() == {PLACE: 2}


def test_the_oldest_record_is_known_by_its_time() -> None:
    """Liveness is the age of the oldest unfinished record, not that of the last one."""
    tracker = tracker_at(10, delivered=3)
    assert tracker.oldest_ms() == {PLACE: 10}
    tracker.done(PLACE, 10, GENERATION)
    tracker.done(PLACE, 12, GENERATION)
    assert tracker.oldest_ms() == {PLACE: 11}
    tracker.done(PLACE, 11, GENERATION)
    assert tracker.oldest_ms() == {}


def test_the_position_is_the_oldest_unfinished_offset_once_anything_is_known() -> None:
    """What is behind is told from what has never begun."""
    tracker = tracker_at(10, delivered=2)
    assert tracker.position(PLACE) == 10
    tracker.done(PLACE, 10, GENERATION)
    assert tracker.position(PLACE) == 11
    assert tracker_at(None, delivered=0).position(PLACE) is None
    assert tracker.position(("elsewhere", 0)) is None


class CommitsUnderRebalances(RuleBasedStateMachine):
    """Deliveries, finishes in any order, commits, revocations: against a set of all offsets ever finished."""

    open_records = Bundle("open_records")

    @initialize()
    def join(self) -> None:
        """The first assignment; nothing was committed."""
        self.tracker = CommitTracker()
        self.generation = 0
        self.stored: int | None = None
        self.finished: set[int] = set()
        self.next = 0
        self._assign()

    @precondition(lambda self: self.tracker.generation is not None)
    @rule(target=open_records)
    def deliver(self) -> tuple[int, int]:
        """The next record comes."""
        offset, self.next = self.next, self.next + 1
        self.tracker.delivered(PLACE, offset, at_ms=offset)
        return offset, self.generation

    @rule(record=consumes(open_records))
    def finish(self, record: tuple[int, int]) -> None:
        """A record is taken over, perhaps long after its generation."""
        if self.tracker.done(PLACE, *record) is not None:
            self.finished.add(record[0])

    @rule(record=open_records)
    def finish_and_again(self, record: tuple[int, int]) -> None:
        """Finishing twice is the same as once."""
        for _ in range(2):
            if self.tracker.done(PLACE, *record) is not None:
                self.finished.add(record[0])

    @rule()
    def commit(self) -> None:
        """What is due is stored."""
        due = self.tracker.due({PLACE})
        self.tracker.committed(due, self.tracker.generation)
        self.stored = due.get(PLACE, self.stored)

    @rule(back=st.booleans())
    def rebalance(self, back: bool) -> None:  # noqa: FBT001 - drawn
        """Revoked; perhaps assigned again."""
        self.tracker.forget()
        if back:
            self.generation += 1
            self._assign()

    @invariant()
    def no_commit_passes_unfinished_work(self) -> None:
        """Every offset below the stored one was finished in some generation."""
        due = self.tracker.due({PLACE}).get(PLACE, self.stored or 0)
        assert all(offset in self.finished for offset in range(due))

    @invariant()
    def finished_work_is_due(self) -> None:
        """Nothing finished waits behind nothing: the position is the first offset of this generation still open."""
        if self.tracker.generation is not None:
            position = self.tracker.due({PLACE}).get(PLACE, self.stored or 0)
            assert position == self.next or position not in self.finished or position in self.reopened

    def _assign(self) -> None:
        self.tracker.begin(self.generation)
        self.tracker.reset(PLACE, self.stored)
        self.next = self.stored or 0
        self.reopened = set(self.finished)


TestCommitsUnderRebalances = CommitsUnderRebalances.TestCase
