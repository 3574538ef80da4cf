"""What a story comes to: how everybody stands, summed up for many; and one person's requests, found without their names."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.explain.line import reason_text
from broker.explain.person import Encounter, Trail
from broker.explain.tally import Tally
from broker.explain.timeline import Story as Told
from schemas import topics
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, Outcome
from schemas.facts import ReceiptRun, ReceiptStatus
from schemas.ids import shard_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, interval, u32s
from schemas.wire.header import Header, Kind
from streams.commands.explain import page, person_page
from tests.pure.audit.log import SHARDS, Log, person
from tests.pure.audit.story import GUESTS, Story
from tests.pure.explain.test_story import telling_of
from tests.support.shard_bench import NOW_MS, explicit, name

REQUEST = name(1)


@pytest.fixture(scope="module")
def run() -> Story:
    """A clean run that has something of everything."""
    return Story()


def ended(run: Story, lane: Lane, business: str, event_id: str, one: int | None = None) -> Told:
    """The whole story of one event."""
    return telling_of(run, lane, business, event_id, one).end()


def test_a_story_begins_with_how_everybody_stands(run: Story) -> None:
    """One stopped, one left, one failed and one is not heard of in each shard, the others read it."""
    tally = ended(run, Lane.CAMPAIGN, "shop", "sale").tally
    shards = sum(bool(people) for people in run.sale.people.values())
    counts = tally.counts()
    assert (counts["stopped"], counts["not_opted_in"], counts["failed"]) == (1, 1, shards)
    assert sum(counts.values()) == tally.people() == len(GUESTS)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    (head, *_) = page(ended(run, Lane.CAMPAIGN, "shop", "sale"))
    assert head.endswith(": 24 recipients: " + ", ".join(f"{count} {word}" for word, count in counts.items()))


def test_what_happened_to_many_is_summed_up(run: Story) -> None:
    """A line a state, with its sentence and what can be done; every record only if it is asked for."""
    story = ended(run, Lane.CAMPAIGN, "shop", "sale")
    summed, every = page(story, every=False), page(story, every=True)
    assert len(summed) < 15 < len(every)
    assert f"1  {reason_text(Reason.STOPPED)}" in [line.strip() for line in summed]
    assert any(line.startswith("next step  stopped: ") for line in summed)
    assert not any("of shard" in line for line in summed)
    assert sum("of shard" in line for line in every) > 20


def test_a_story_about_few_is_told_whole(run: Story) -> None:
    """Three people need no summary but the first line."""
    story = ended(run, Lane.UPDATE, "shop", "parcel")
    assert page(story, every=False) == page(story, every=True)
    assert ": 3 recipients: 3 delivered" in page(story)[0]


def test_a_story_about_one_person_begins_with_how_they_stand(run: Story) -> None:
    """It speaks of nobody else, and of nobody at all who was not addressed."""
    head, *_ = page(ended(run, Lane.CAMPAIGN, "shop", "sale", run.stopper))
    assert head.endswith(f" in lane campaign: {reason_text(Reason.STOPPED)}")
    stranger, *_ = page(ended(run, Lane.CAMPAIGN, "shop", "sale", 10_000))
    assert stranger.endswith(" in lane campaign")


def test_whom_it_did_not_reach_can_be_named(run: Story) -> None:
    """Each rank is known with its state, and who it is: by id, or by ordinal of the list."""
    tally = ended(run, Lane.CAMPAIGN, "shop", "sale").tally
    ((shard, rank, _),) = tally.ranks("stopped")
    assert run.sale.people[shard][rank] == run.stopper
    assert tally.who(shard)[1] == run.sale.members[shard].ordinals
    parcel = ended(run, Lane.UPDATE, "shop", "parcel").tally
    assert parcel.who(3)[0] == b"".join(person(one) for one in run.parcel.people[3])


def test_somebody_who_was_not_on_the_list_is_told_so(run: Story) -> None:
    """By a sentence, where there was silence; who is on it gets none."""
    stranger = next(one for one in range(900, 999) if shard_of(person(one), SHARDS) == 0)
    story = ended(run, Lane.CAMPAIGN, "shop", "sale", stranger)
    assert "the person was not on list offers when its members were frozen" in [line.text for line in story.lines]
    assert not any(
        "was not on list" in line.text for line in ended(run, Lane.CAMPAIGN, "shop", "sale", run.stopper).lines
    )


def test_somebody_who_is_not_among_the_recipients_is_told_so(run: Story) -> None:
    """The same of a request that names its people."""
    texts = [line.text for line in ended(run, Lane.UPDATE, "shop", "parcel", run.stopper).lines]
    assert "the person is not among the recipients" in texts


def met(run: Story, lane: Lane, one: int) -> list[Encounter]:
    """Every request about person ``one`` in a lane, from the journal and the receipts of their shard."""
    shard = shard_of(person(one), SHARDS)
    ordinal = run.ordinals[shard].index(one) if one in run.ordinals[shard] else -1
    trail = Trail(lane, shard, person(one), ordinal)
    for record in run.logs[topics.outcomes(lane)]:
        if record.partition == shard:
            trail.outcome(record)
    for record in run.logs[topics.receipts(lane)]:
        if record.partition == shard:
            trail.receipts(record)
    return trail.encounters()


def test_a_person_is_found_without_the_names_of_requests(run: Story) -> None:
    """Each request about them with how it stands, and no request about others; heartbeats are nobody's."""
    assert [(one.terms.id, one.list, one.state) for one in met(run, Lane.CAMPAIGN, run.stopper)] == [
        ("sale", "offers", "stopped")
    ]
    flights = [(one.terms.id, one.state) for one in met(run, Lane.UPDATE, run.stopper)]
    assert flights == [("flight-v1", "delivered"), ("flight-v2", "delivered"), ("flight-v0", "superseded")]
    (code,) = met(run, Lane.OTP, run.code.people[1][0])
    assert (code.terms.id, code.list, code.state) == ("login", "", "read")
    tester = run.test.people[2][0]
    assert met(run, Lane.OTP, tester) == []
    assert [one.terms.id for one in met(run, Lane.UPDATE, tester)] == ["test"]


def test_a_trail_and_the_story_agree_about_everybody(run: Story) -> None:
    """Whoever is met in a request is one of its ranks there, in the same state."""
    tally = ended(run, Lane.CAMPAIGN, "shop", "sale").tally
    states = {run.sale.people[shard][rank]: word for shard, rank, word in tally.ranks()}
    assert {one: met(run, Lane.CAMPAIGN, one)[0].state for one in GUESTS} == states


def test_the_page_of_a_person_says_what_they_said_and_what_they_were_told(run: Story) -> None:
    """A request a line, with its event and the reason in a sentence."""
    lines = person_page(person(run.stopper), met(run, Lane.CAMPAIGN, run.stopper), [], "since yesterday")
    assert lines[0].endswith(": 1 request since yesterday")
    assert lines[1].endswith(f"//shop/system sale  offer (list offers): {reason_text(Reason.STOPPED)}")


def test_the_page_of_a_person_says_how_old_each_event_was_when_it_was_handed_off(run: Story) -> None:
    """A column in seconds, so that the late ones are seen at one look; a dash for what was not handed off."""
    found = met(run, Lane.UPDATE, run.stopper)
    rows = person_page(person(run.stopper), found, [], "since yesterday")[1:-2]
    for one, row in zip(found, rows, strict=True):
        age = f"{(one.handed_ms - one.terms.time_ms) / 1_000:,.1f} s" if one.state == "delivered" else "-"
        assert f"  update    {age:>10}  //" in row
    assert [one.state for one in found if one.handed_ms] == ["delivered", "delivered"]


Move = tuple[str, list[int], int]
RANKS = 6
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("decided"), st.lists(st.integers(0, RANKS - 1), unique=True), st.sampled_from([1, 17, 21])),
        st.tuples(st.just("answered"), st.lists(st.integers(0, RANKS - 1), unique=True), st.sampled_from([0, 2, 32])),
        st.tuples(st.just("receipt"), st.lists(st.integers(0, RANKS - 1), unique=True), st.sampled_from([1, 2, 3, 4])),
    )
)


def expected(moves: list[Move]) -> Counter[str]:
    """The same count, rank by rank, as plainly as it can be said."""
    words: Counter[str] = Counter()
    for rank in range(RANKS):
        status, progress, failed = 0, 0, False
        for what, ranks, value in moves:
            if rank in ranks:
                match what:
                    case "decided":
                        status = value
                    case "answered":
                        status = value or State.ACCEPTED
                    case _:
                        failed |= value == ReceiptStatus.FAILED
                        progress = max(progress, value % ReceiptStatus.FAILED)
        words[plain(status, progress, failed=failed)] += 1
    return words


def plain(status: int, progress: int, *, failed: bool) -> str:
    """One rank in a word."""
    if progress >= ReceiptStatus.DELIVERED:
        return "read" if progress == ReceiptStatus.READ else "delivered"
    if status not in {State.SENDING, State.ACCEPTED}:
        return (Reason(status) if status >= Reason.NOT_OPTED_IN else State(status)).name.lower()
    if failed:
        return "failed"
    return "sent" if progress else State(status).name.lower()


@given(MOVES)
def test_counts_are_those_of_every_rank_by_itself(moves: list[Move]) -> None:
    """Whatever is decided, answered and reported in whichever order: delivery wins, and nobody is counted twice."""
    tally = Tally()
    header = Header(Kind.OUTCOME, Lane.UPDATE, 0, 1, NOW_MS)
    tally.outcome(REQUEST, header, Outcome(members=(Members(REQUEST, RANKS, b"", 0, 0),)))
    for what, ranks, value in moves:
        chosen = intervals_of(sorted(ranks))
        match what:
            case "decided":
                decided = Decided(REQUEST, chosen, runs_of(bytes((value,)) * len(ranks)), b"", b"", 0)
                tally.outcome(REQUEST, header, Outcome(decided=(decided,)))
            case "answered":
                tally.outcome(REQUEST, header, Outcome(answered=(answer(ranks, chosen, value),)))
            case _:
                tally.received(0, ReceiptRun(REQUEST, chosen, value, 0, 0))
    assert tally.counts() == expected(moves)


def answer(ranks: list[int], chosen: bytes, status: int) -> Answered:
    """All of them accepted, or all of them excepted."""
    if not status:
        return Answered(REQUEST, chosen, NOW_MS)
    count = len(ranks)
    return Answered(
        REQUEST, chosen, NOW_MS, u32s(ranks), bytes((status,)) * count, u32s([0] * count), i64s([0] * count)
    )


def test_before_it_is_known_who_the_ranks_are_nothing_is_counted() -> None:
    """A reader who begins behind the opening invents nobody."""
    tally = Tally()
    decided = Decided(REQUEST, interval(0, 3), runs_of(b"\1\1\1"), b"", b"", 0)
    tally.outcome(REQUEST, Header(Kind.OUTCOME, Lane.UPDATE, 0, 1, NOW_MS), Outcome(decided=(decided,)))
    assert (tally.people(), tally.counts(), tally.frozen_ms(0)) == (0, {}, 0)


def test_what_waits_for_its_request_to_be_resumed_is_held() -> None:
    """Whoever was not handed off is held from the word of control on, until it goes on; nobody else is."""
    tally, header = Tally(), Header(Kind.OUTCOME, Lane.UPDATE, 0, 1, NOW_MS)
    members = Members(REQUEST, 3, b"", 0, 0)
    accepted = Answered(REQUEST, interval(0, 1), NOW_MS)
    tally.outcome(REQUEST, header, Outcome(members=(members,), answered=(accepted,)))
    tally.outcome(REQUEST, header, Outcome(held=(Held(REQUEST, held=True, upto=4),)))
    assert tally.counts() == {"held": 2, "accepted": 1}
    tally.outcome(REQUEST, header, Outcome(held=(Held(REQUEST, held=False, upto=5),)))
    assert tally.counts() == {"pending": 2, "accepted": 1}


def test_a_person_whose_request_is_paused_is_met_as_held() -> None:
    """A record that says nothing but that a request is held is about everybody who waits in it."""
    log, shard = Log(), shard_of(name(7), SHARDS)
    opened = Opened(explicit(1, [7]), Origin(0, 0), NOW_MS)
    trail = Trail(Lane.UPDATE, shard, name(7), -1)
    told = (
        Outcome(opened=(opened,)),
        Outcome(held=(Held(REQUEST, held=True, upto=4),)),
        Outcome(held=(Held(REQUEST, held=False, upto=5),)),
    )
    states = []
    for body in told:
        trail.outcome(log.journal(topics.outcomes(Lane.UPDATE), Lane.UPDATE, shard, body))
        states.append(trail.encounters()[0].state)
    assert states == ["pending", "held", "pending"]
