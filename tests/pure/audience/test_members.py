"""Members: ordinals by first appearance, membership by evidence time, columns of people."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audience.consent import Returns
from broker.audience.members import Audience
from schemas.facts import AudienceChange
from schemas.wire.columns import i64s, u16s


@dataclass(frozen=True)
class Person:
    """One row of a change."""

    number: int
    at_ms: int = 1_000
    locale: bytes = b"en"
    market: int = 49

    @property
    def recipient(self) -> bytes:
        """16 bytes."""
        return self.number.to_bytes(16)

    @property
    def address(self) -> bytes:
        """33 bytes, as if sealed."""
        return b"\1" + self.number.to_bytes(32)


def change(
    people: Sequence[Person],
    *,
    join: bool = True,
    list_id: str = "news",
    received_ms: int = 9_000,
    acted: bool = False,
    offers: bool = False,
) -> AudienceChange:
    """People who join or leave a list of the business ``shop``; ``acted``: by an act of their own, ``offers``: for marketing."""
    return AudienceChange(
        "shop",
        list_id,
        join,
        b"".join(p.recipient for p in people),
        b"".join(p.address for p in people),
        b"".join(p.locale for p in people),
        u16s(p.market for p in people),
        i64s(p.at_ms for p in people),
        received_ms,
        "",
        acted,
        offers,
    )


def audience_of(*changes: AudienceChange) -> Audience:
    """The fold of some changes."""
    audience = Audience()
    for offset, one in enumerate(changes):
        audience.apply(one, offset)
    return audience


def names_in(audience: Audience, list_id: str = "news") -> set[int]:
    """The numbers of those who are in a list."""
    rows = audience.rows(list(audience.freeze("shop", list_id))).recipients
    return {int.from_bytes(rows[at : at + 16]) for at in range(0, len(rows), 16)}


def test_ordinals_are_the_order_of_first_appearance_and_dense() -> None:
    """A person keeps the first ordinal, whichever list is named and however often."""
    audience = audience_of(
        change([Person(7), Person(5), Person(7)]),
        change([Person(5), Person(9)], list_id="offers"),
        change([Person(3)], join=False),
    )
    assert len(audience) == 4
    rows = audience.rows([0, 1, 2, 3]).recipients
    assert [int.from_bytes(rows[at : at + 16]) for at in range(0, 64, 16)] == [7, 5, 9, 3]
    assert audience.upto == 2


def test_nothing_was_applied_yet() -> None:
    """An empty audience stands before the first offset and holds nobody."""
    audience = Audience()
    assert audience.upto == -1
    assert not audience.freeze("shop", "news")
    assert not audience.joined("shop", "news", 0)


LEAVING = (
    ("leaving later ends it", 2_000, 9_000, False),
    ("leaving earlier changes nothing", 500, 9_000, True),
    ("at the same time leaving wins", 1_000, 9_000, False),
    ("a clock ahead counts as received", 99_000, 900, True),
)


@pytest.mark.parametrize(("row", "at_ms", "received_ms", "joined"), LEAVING, ids=[row[0] for row in LEAVING])
@pytest.mark.parametrize("turned", [False, True])
def test_evidence_time_decides(*, row: str, at_ms: int, received_ms: int, joined: bool, turned: bool) -> None:
    """Evidence time decides who is in, and not the order of the log."""
    changes = [change([Person(1)]), change([Person(1, at_ms)], join=False, received_ms=received_ms)]
    if turned:
        changes.reverse()
    audience = audience_of(*changes)
    assert audience.joined("shop", "news", 0) is joined
    assert list(audience.freeze("shop", "news")) == [0] * joined


def test_one_change_may_name_a_person_twice() -> None:
    """The latest row of a person counts, whichever comes first."""
    audience = audience_of(change([Person(1, 3_000, b"fr"), Person(1, 2_000, b"de")]))
    assert audience.rows([0]).locales == b"fr"


def test_lists_are_apart() -> None:
    """Leaving one list leaves the other alone."""
    audience = audience_of(
        change([Person(1)]), change([Person(1)], list_id="offers"), change([Person(1, 2_000)], join=False)
    )
    assert names_in(audience) == set()
    assert names_in(audience, "offers") == {1}


def test_a_frozen_list_stays_as_it_was() -> None:
    """What was frozen does not follow later changes."""
    audience = audience_of(change([Person(1), Person(2)]))
    frozen = audience.freeze("shop", "news")
    audience.apply(change([Person(1, 2_000)], join=False), 1)
    assert list(frozen) == [0, 1]
    assert list(audience.freeze("shop", "news")) == [1]


def test_rows_come_in_the_order_asked() -> None:
    """Columns follow the ordinals, which may be a numpy array."""
    people = [Person(n, locale=bytes((97 + n, 98)), market=n + 1) for n in range(5)]
    rows = audience_of(change(people)).rows(np.array([3, 0, 3], dtype=np.uint32))
    assert rows.recipients == people[3].recipient + people[0].recipient + people[3].recipient
    assert rows.addresses == people[3].address + people[0].address + people[3].address
    assert rows.locales == b"dbabdb"
    assert list(rows.markets) == [4, 1, 4]
    assert all(type(market) is int for market in rows.markets)


def test_an_ordinal_never_given_out_is_refused() -> None:
    """Asking for a person that is not there is a fault."""
    with pytest.raises(IndexError):
        audience_of(change([Person(1)])).rows([1])


@pytest.mark.parametrize("field", ["evidence_ms", "addresses", "locales", "markets"])
def test_columns_of_different_lengths_are_refused_and_change_nothing(field: str) -> None:
    """A change that does not fit together is a fault."""
    whole = change([Person(1), Person(2)])
    broken = msgspec.structs.replace(whole, **{field: getattr(whole, field)[:-8]})
    audience = Audience()
    with pytest.raises(ValueError, match="different lengths"):
        audience.apply(broken, 0)
    assert (len(audience), audience.upto) == (0, -1)


def test_a_leaver_needs_no_address() -> None:
    """Who only leaves has an ordinal and an empty profile until they join."""
    leaver = msgspec.structs.replace(change([Person(1, 5)], join=False), addresses=b"", locales=b"", markets=b"")
    audience = audience_of(leaver, change([Person(1)]))
    assert audience.rows([0]).addresses == Person(1).address
    assert audience.joined("shop", "news", 0)


people_of = st.builds(
    Person, st.integers(0, 40), st.integers(0, 5), st.sampled_from((b"de", b"en", b"fr")), st.integers(1, 3)
)
changes_of = st.builds(
    change,
    st.lists(people_of, min_size=1, max_size=60),
    join=st.booleans(),
    list_id=st.sampled_from(("news", "offers")),
    received_ms=st.integers(2, 6),
    acted=st.booleans(),
    offers=st.booleans(),
)


def portrait(audience: Audience) -> tuple[object, ...]:
    """Everything but the ordinals."""
    everybody = audience.rows(list(range(len(audience))))
    rows = zip(
        (everybody.recipients[at : at + 16] for at in range(0, len(everybody.recipients), 16)),
        (everybody.locales[at : at + 2] for at in range(0, len(everybody.locales), 2)),
        everybody.markets,
        strict=True,
    )
    returns = {
        int.from_bytes(everybody.recipients[16 * at : 16 * at + 16]): (
            audience.returns("shop", "news", at),
            audience.returns("shop", "offers", at),
            audience.returns("shop", "none", at),
        )
        for at in range(len(audience))
    }
    return names_in(audience), names_in(audience, "offers"), sorted(rows), sorted(returns.items())


@given(st.data(), st.lists(changes_of, min_size=1, max_size=6))
def test_order_and_repetition_change_nothing(data: st.DataObject, changes: list[AudienceChange]) -> None:
    """Any order of the same changes, any of them repeated, gives the same members with the same columns."""
    again = data.draw(st.permutations(changes + data.draw(st.lists(st.sampled_from(changes), max_size=4))))
    assert portrait(audience_of(*again)) == portrait(audience_of(*changes))


@given(st.lists(changes_of, max_size=6))
def test_members_agree_with_the_definition(changes: list[AudienceChange]) -> None:
    """The fold says what sorting all words about a person by time, and asking the last one, says."""
    words: dict[tuple[str, int], tuple[int, bool]] = {}
    for one in changes:
        stamps = np.frombuffer(one.evidence_ms, dtype=">i8").tolist()
        for row, at_ms in enumerate(stamps):
            key = one.list, int.from_bytes(one.recipients[16 * row : 16 * row + 16])
            word = min(at_ms, one.received_ms), not one.join
            words[key] = max(words.get(key, word), word)
    audience = audience_of(*changes)
    for list_id in ("news", "offers"):
        expected = {number for (named, number), (_, left) in words.items() if named == list_id and not left}
        assert names_in(audience, list_id) == expected


@given(st.lists(changes_of, max_size=6))
def test_returns_agree_with_the_definition(changes: list[AudienceChange]) -> None:
    """The latest act by which a person joined, of the list and of any list for its offers, whatever came after it."""
    acts: dict[tuple[str, int], int] = {}
    for one in changes:
        for row, at_ms in enumerate(np.frombuffer(one.evidence_ms, dtype=">i8").tolist()):
            number, capped_ms = int.from_bytes(one.recipients[16 * row : 16 * row + 16]), min(at_ms, one.received_ms)
            for named in (one.list, "any for offers") if one.offers else (one.list,):
                if one.join and one.acted:
                    acts[named, number] = max(capped_ms, acts.get((named, number), -1))
    audience = audience_of(*changes)
    everybody = audience.rows(list(range(len(audience)))).recipients
    for ordinal in range(len(audience)):
        number = int.from_bytes(everybody[16 * ordinal : 16 * ordinal + 16])
        for named in ("news", "offers", "none"):
            expected = Returns(acts.get((named, number), -1), acts.get(("any for offers", number), -1))
            assert audience.returns("shop", named, ordinal) == expected
