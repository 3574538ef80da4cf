"""Records that a follower cannot read: the older word stays, everybody hears of it, and what comes after is taken."""

import random
from collections.abc import Sequence

import msgspec
import pytest

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry
from schemas import topics
from schemas.facts import (
    AudienceChange,
    ControlAction,
    ControlScope,
    ControlWord,
    ListSize,
    Scope,
    Suppression,
    Suppressions,
)
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.registry import Business, key_of
from schemas.status import DeadLetter
from schemas.wire.columns import i64s, u16s
from schemas.wire.header import Header, Kind, NewerRecordError, UnreadableRecordError, head_of, pack
from streams.kafka import set_aside
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from streams.registry.follow import applied_to
from streams.runtime import metrics
from streams.worker.tails import LaneFacts

LANE, SHARD, NOW_MS = Lane.CAMPAIGN, 3, 1_900_000_000_000
PERSON = bytes(range(16))
FOREIGN = [b"", b"{}", b'{"kind":"suppression"}', b"\0" * 40, b"\xff" * 40, b"\x01", b"\x01" * 16]
"""No release wrote these."""


def record(offset: int, kind: Kind, body: object) -> LogRecord:
    """A record of ours."""
    return LogRecord(offset, NOW_MS + offset, None, pack(Header(kind, LANE, SHARD, 0, NOW_MS), body))


def word(person: bytes, scope: int = Scope.MARKETING) -> Suppression:
    """Somebody forbids something."""
    return Suppression(person, "shop", scope, revoke=True, evidence_ms=NOW_MS, received_ms=NOW_MS)


def stop(offset: int, scope: int = Scope.MARKETING, person: bytes = PERSON) -> LogRecord:
    """Somebody says STOP."""
    return record(offset, Kind.SUPPRESSION, Suppressions((word(person, scope),)))


def joined(offset: int, person: bytes) -> LogRecord:
    """Somebody joins a list."""
    return record(offset, Kind.AUDIENCE, change(person, addresses=b"a" * 33))


def change(person: bytes, addresses: bytes) -> AudienceChange:
    """A person on the list; a sealed address has 33 bytes."""
    return AudienceChange(
        "shop",
        "offers",
        join=True,
        recipients=person,
        addresses=addresses,
        locales=b"en",
        markets=u16s([1]),
        evidence_ms=i64s([NOW_MS]),
        received_ms=NOW_MS,
    )


class Follower:
    """The facts of a worker that follows nothing: records are given to it by hand."""

    def __init__(self) -> None:
        self.aside = SetAside("", "deliver", LANE.word)
        self.sizes = ListSizes()
        self.woken: list[int] = []
        self.facts = LaneFacts("", Registry(), self.woken.append, lane=LANE, aside=self.aside, sizes=self.sizes)

    def take(self, topic: str, *records: LogRecord, partition: int = SHARD) -> None:
        """What the tail of ``topic`` does with its next records."""
        apply = {
            topics.SUPPRESSIONS: self.facts._on_suppressions,
            topics.AUDIENCE: self.facts._on_audience,
            topics.CONTROLS: self.facts._on_controls,
            topics.SIZES: self.facts._on_sizes,
            topics.REGISTRY: applied_to(self.facts.registry, self.aside),
        }[topic]
        apply(partition, records)

    def letters(self) -> list[DeadLetter]:
        """Those that wait to be written."""
        waiting = self.aside._letters
        return [waiting.get_nowait() for _ in range(waiting.qsize())]


def refused(follower: Follower, person: bytes = PERSON) -> Reason | None:
    """Why the person may not be sent an offer."""
    return follower.facts.shard(SHARD).consent.verdict(person, "shop", lane=LANE)


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize(
    "topic", [topics.SUPPRESSIONS, topics.AUDIENCE, topics.CONTROLS, topics.SIZES, topics.REGISTRY]
)
def test_foreign_bytes_are_set_aside_on_every_topic(topic: str, value: bytes) -> None:
    """With place, reason and hash, never with what they hold; counted once each."""
    follower, alerts = Follower(), metrics.ALERTS.of("unreadable").value
    follower.take(topic, LogRecord(7, NOW_MS, None, value))
    (letter,) = follower.letters()
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == (topic, SHARD, 7, "unreadable")
    assert (letter.payload, letter.stage) == (None, "deliver")
    assert follower.aside.count(topic) == 1
    assert metrics.UNREAD.of(topic, LANE.word).value == 1
    assert metrics.ALERTS.of("unreadable").value == alerts + 1


def test_a_stop_behind_an_unreadable_record_is_obeyed() -> None:
    """The view goes on to the end of what was read, and the shard is woken as ever."""
    follower = Follower()
    follower.take(topics.SUPPRESSIONS, LogRecord(0, NOW_MS, None, b"{}"), stop(1))
    assert refused(follower) is Reason.STOPPED
    assert follower.facts.shard(SHARD).suppressed_upto == 1
    assert follower.woken == [SHARD]


def test_an_unreadable_record_at_the_end_does_not_hold_the_view_back() -> None:
    """Nobody waits for what will never be readable."""
    follower = Follower()
    follower.take(topics.SUPPRESSIONS, stop(0), LogRecord(1, NOW_MS, None, b"{}"))
    assert follower.facts.shard(SHARD).suppressed_upto == 1
    assert refused(follower) is Reason.STOPPED


def test_of_a_record_with_an_unknown_scope_the_other_stops_hold() -> None:
    """One word that only a newer release understands takes nobody else's away."""
    follower, other = Follower(), bytes(16)
    follower.take(topics.SUPPRESSIONS, record(4, Kind.SUPPRESSION, Suppressions((word(other, 99), word(PERSON)))))
    assert refused(follower) is Reason.STOPPED
    assert [letter.offset for letter in follower.letters()] == [4]


def test_nobody_in_an_unreadable_change_gets_an_ordinal() -> None:
    """Whoever reads the log counts the same people, whatever stood between."""
    follower, sound = Follower(), Follower()
    broken = change(PERSON, addresses=b"")
    people = [bytes([number]) * 16 for number in range(3)]
    sound.take(topics.AUDIENCE, *(joined(offset, person) for offset, person in enumerate(people)))
    follower.take(topics.AUDIENCE, joined(0, people[0]), LogRecord(1, NOW_MS, None, b"{}"), joined(2, people[1]))
    follower.take(topics.AUDIENCE, record(3, Kind.AUDIENCE, broken), joined(4, people[2]), stop(5))
    known = [each.facts.shard(SHARD).audience.rows(range(3)).recipients for each in (sound, follower)]
    assert known[0] == known[1] == b"".join(people)
    assert [letter.offset for letter in follower.letters()] == [1, 3, 5]


def test_the_older_entry_stays_and_the_next_one_ends_the_alarm() -> None:
    """By key: an operator mends it by applying the entry again."""
    follower, shop = Follower(), Business("shop", "Shop")
    key = key_of(shop).encode()

    def entries(*values: bytes | None) -> Sequence[LogRecord]:
        return [LogRecord(offset, NOW_MS, key, value) for offset, value in enumerate(values)]  # type: ignore[arg-type]

    sound = msgspec.json.encode(shop)
    follower.take(topics.REGISTRY, *entries(sound, b"{", b"{}"), partition=0)
    assert follower.facts.registry.businesses == {"shop": shop}
    assert follower.aside.count(topics.REGISTRY) == 1
    follower.take(topics.REGISTRY, *entries(sound), partition=0)
    assert follower.aside.count(topics.REGISTRY) == 0
    follower.take(topics.REGISTRY, *entries(b"{", None), partition=0)
    assert (follower.facts.registry.businesses, follower.aside.count(topics.REGISTRY)) == ({}, 0)


def test_words_and_sizes_after_an_unreadable_one_hold() -> None:
    """Of controls and of the sizes of lists, too."""
    follower = Follower()
    pause = ControlWord(ControlScope.SUBJECT, "shop", "flight/1", ControlAction.PAUSE, NOW_MS, NOW_MS)
    follower.take(topics.CONTROLS, LogRecord(0, NOW_MS, b"k", b"{}"), record(1, Kind.CONTROL, pause), partition=0)
    assert list(follower.facts.said_ms) == [1]
    size = LogRecord(1, NOW_MS, b"l", msgspec.json.encode(ListSize("shop", "offers", SHARD, 5, 9)))
    follower.take(topics.SIZES, LogRecord(0, NOW_MS, b"k", b"["), size, partition=0)
    assert follower.sizes.people("shop", "offers") == 5


def test_a_flood_writes_no_flood_of_letters() -> None:
    """Each record counts, but only the first hundred are written to the dead letters."""
    follower = Follower()
    flood = [LogRecord(offset, NOW_MS, None, b"{}") for offset in range(1_000)]
    follower.take(topics.SUPPRESSIONS, *flood, stop(1_000))
    assert len(follower.letters()) == set_aside.MOST_LETTERS
    assert follower.aside.count(topics.SUPPRESSIONS) == 1_000
    assert refused(follower) is Reason.STOPPED


@pytest.mark.parametrize("seed", range(40))
def test_no_spoilt_record_stops_a_follower(seed: int) -> None:
    """Bytes changed, cut out or doubled, at random: whatever they say then, the next STOP holds."""
    draw, follower = random.Random(seed), Follower()
    sound = {
        topics.SUPPRESSIONS: stop(0).value,
        topics.AUDIENCE: joined(0, PERSON).value,
        topics.CONTROLS: record(0, Kind.CONTROL, ControlWord(ControlScope.LANE, "", "", 1, NOW_MS, NOW_MS)).value,
        topics.SIZES: msgspec.json.encode(ListSize("shop", "offers", SHARD, 5, 9)),
        topics.REGISTRY: msgspec.json.encode(Business("shop", "Shop")),
    }
    for offset in range(200):
        topic = draw.choice(list(sound))
        value = spoilt(draw, sound[topic])
        if topic != topics.AUDIENCE or not newer(value):  # that is an exit
            follower.take(topic, LogRecord(offset, NOW_MS, b"business/shop", value))
    follower.take(topics.SUPPRESSIONS, stop(1_000, person=b"a" * 16))
    assert refused(follower, b"a" * 16) is Reason.STOPPED


def newer(value: bytes) -> bool:
    """Whether a newer release may have written it."""
    try:
        head_of(value)
    except NewerRecordError:
        return True
    except UnreadableRecordError:
        return False
    return False


def spoilt(draw: random.Random, value: bytes) -> bytes:
    """A record with one to three places of it changed."""
    spoiling = bytearray(value)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(spoiling) or 1)
        match draw.randrange(3):
            case 0:
                spoiling[at : at + 1] = bytes((draw.randrange(256),))
            case 1:
                del spoiling[at : at + draw.randrange(8)]
            case _:
                spoiling[at:at] = spoiling[at : at + draw.randrange(8)]
    return bytes(spoiling)
