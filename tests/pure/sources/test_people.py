"""The people of the replayed days."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dev.sources.seeded_people import MARKETS, POPULATION, Person, person


@given(seed=st.integers(0, 10**6), index=st.integers(0, POPULATION - 1))
def test_everybody_has_a_valid_number_of_their_country(seed: int, index: int) -> None:
    """Whatever the seed, a number is valid, belongs to one of the markets, and is in normal form (E.164)."""
    who = person(seed, index)
    number = phonenumbers.parse(who.address.removeprefix("tel:"))
    assert phonenumbers.is_valid_number(number)
    assert str(number.country_code) in {market.calling_code for market in MARKETS}
    assert f"tel:{phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)}" == who.address
    assert person(seed, index) == who


def test_no_two_people_share_a_number() -> None:
    """Forty thousand people from both ends of a seed have forty thousand numbers."""
    indices = [*range(20_000), *range(POPULATION - 20_000, POPULATION)]
    assert len({person(7, index).address for index in indices}) == len(indices)


def test_no_market_runs_out() -> None:
    """Every market has a number for everybody, and stepping through them meets each once."""
    for market in MARKETS:
        assert market.size >= POPULATION
        assert len({market.number(count) for count in range(0, market.size, market.size // 1_000)}) >= 1_000


@pytest.mark.parametrize("index", [-1, POPULATION])
def test_nobody_beyond_the_population(index: int) -> None:
    """Nobody stands outside the seed's people."""
    with pytest.raises(IndexError):
        person(1, index)


def test_seeds_differ() -> None:
    """Another seed has other people."""
    assert [person(1, index) for index in range(9)] != [person(2, index) for index in range(9)]
    assert isinstance(person(1, 0), Person)
