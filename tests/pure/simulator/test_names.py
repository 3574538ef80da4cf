"""The gateway's dedupe: a name is new once, whatever the order, size and repetition of columns."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.simulator.accepted import Names
from streams.simulator.id_set import IdTable

IDS = st.integers(0, 300).map(lambda number: number.to_bytes(16))
"""Few and alike, so that they repeat and crowd the table."""
COLUMNS = st.lists(st.lists(IDS, min_size=1, max_size=120), min_size=1, max_size=12)


def _repeats(held: set[bytes], column: list[bytes]) -> list[int]:
    """The model: positions of ids that are held, or stand earlier in the column."""
    seen, repeats = set(held), []
    for position, each in enumerate(column):
        if each in seen:
            repeats.append(position)
        seen.add(each)
    return repeats


@given(COLUMNS)
@settings(max_examples=200, deadline=None)
def test_names_agree_with_a_set(columns: list[list[bytes]]) -> None:
    """Through the change from a few to many, the names say what a plain set says."""
    names, held = Names(keep_ms=10), set[bytes]()
    for column in columns:
        packed = b"".join(column)
        assert list(names.known(b"r", packed)) == [at for at, each in enumerate(column) if each in held]
        assert list(names.claim(b"r", packed, 0)) == _repeats(held, column)
        held.update(column)
        assert len(names) == len(held)
    assert names.known(b"another", b"".join(columns[0])) == ()


@given(COLUMNS)
@settings(max_examples=200, deadline=None)
def test_table_agrees_with_a_set(columns: list[list[bytes]]) -> None:
    """A table that grows several times finds every id that it was given and no other."""
    table, held = IdTable(), set[bytes]()
    for column in columns:
        fresh = table.add(b"".join(column)).tolist()
        assert [at for at, new in enumerate(fresh) if not new] == _repeats(held, column)
        held.update(column)
        everybody = [number.to_bytes(16) for number in range(301)]
        assert table.held(b"".join(everybody)).tolist() == [each in held for each in everybody]
    assert table.count == len(held)


def test_halves_are_not_confused() -> None:
    """Two ids that share one half of their bytes are two ids."""
    low, high = b"a" * 8, b"b" * 8
    table = IdTable()
    table.add(low + high)
    assert table.held(low + high + low + low + high + high + high + low).tolist() == [True, False, False, False]


def test_names_expire_with_their_request() -> None:
    """A name lives as long as was said from its request's first acceptance, and is new again after that."""
    names = Names(keep_ms=100)
    names.claim(b"early", b"x" * 16, 0)
    names.claim(b"late", b"x" * 16, 50)
    names.claim(b"early", b"y" * 16, 50)
    assert names.expire(100) == 0
    assert names.expire(101) == 1
    assert list(names.known(b"early", b"y" * 16)) == []
    assert list(names.known(b"late", b"x" * 16)) == [0]
