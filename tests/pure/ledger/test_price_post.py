"""Prices by card, and posting by the union of ranks: once, balanced, and the first price stands."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from broker.charging import MisshapenChargeError, Posting, Price, UnpricedError, post, price_of
from schemas.facts import Charge
from schemas.lanes import Category
from schemas.registry import PriceCard

CARDS = {
    1: PriceCard(1, "USD", {"utility": {"1": 3_400, "*": 15_000}, "marketing": {"91": 10_700}}),
    2: PriceCard(2, "EUR", {"utility": {"*": 1}}),
}

PRICES = (
    ("the market's own price", 1, Category.UTILITY, 1, Price(3_400, "USD")),
    ("every other market", 1, Category.UTILITY, 49, Price(15_000, "USD")),
    ("the card fixed at acceptance", 2, Category.UTILITY, 1, Price(1, "EUR")),
    ("a market without a star", 1, Category.MARKETING, 91, Price(10_700, "USD")),
)


@pytest.mark.parametrize(("row", "card", "category", "market", "price"), PRICES, ids=[row[0] for row in PRICES])
def test_a_price_is_looked_up_by_card_category_and_market(
    row: str, card: int, category: int, market: int, price: Price
) -> None:
    """The market's own price, else that of every other."""
    assert price_of(CARDS, card, category, market) == price


@pytest.mark.parametrize(
    ("card", "category", "market", "says"),
    [
        (3, Category.UTILITY, 1, "price card 3 is not registered"),
        (1, Category.AUTHENTICATION, 1, "no price for authentication in market 1"),
        (1, Category.MARKETING, 49, "no price for marketing in market 49, and none for every other"),
    ],
)
def test_a_price_is_never_guessed(card: int, category: int, market: int, says: str) -> None:
    """What the card does not say is a fault with a sentence."""
    with pytest.raises(UnpricedError, match=says):
        price_of(CARDS, card, category, market)


def charge(
    ranks: Iterable[int], *, unit_micro: int = 5, currency: str = "USD", category: int = Category.UTILITY
) -> Charge:
    """A charge for some ranks of one request in one shard."""
    packed = BitMap(ranks).serialize()
    return Charge("shop", "shop/main", bytes(16), packed, unit_micro, currency, 1, category, 49, 10, 20)


class Held:
    """What was charged of one (request, shard), by price."""

    def __init__(self) -> None:
        self.by_price: dict[Price, BitMap] = {}

    def post(self, one: Charge) -> Posting:
        """Post and remember."""
        posting = post(self.by_price, one)
        self.by_price[posting.price] = self.by_price.get(posting.price, BitMap()) | posting.new
        return posting


def test_a_posting_is_two_entries_that_sum_to_zero() -> None:
    """The business owes, the platform has earned, by category."""
    posting = Held().post(charge([1, 2, 9], unit_micro=7))
    assert [(e.account, e.currency, e.amount_micro) for e in posting.entries] == [
        ("receivable", "USD", 21),
        ("revenue.utility", "USD", -21),
    ]


def test_only_what_is_new_is_posted() -> None:
    """Overlapping and repeated charges add their new ranks alone."""
    held = Held()
    held.post(charge(range(10)))
    overlapping, repeated = held.post(charge(range(5, 12))), held.post(charge(range(12)))
    assert (list(overlapping.new), overlapping.repeated) == ([10, 11], 5)
    assert (list(repeated.new), repeated.repeated, repeated.entries) == ([], 12, ())


@pytest.mark.parametrize("other", [{"unit_micro": 6}, {"currency": "EUR"}])
def test_the_first_price_of_a_message_stands(other: dict[str, object]) -> None:
    """The same message at another price is a conflict and is not posted; the others of that charge are."""
    held = Held()
    held.post(charge([1, 2]))
    changed = {"unit_micro": 5, "currency": "USD"} | other
    posting = held.post(charge([2, 3], unit_micro=int(str(changed["unit_micro"])), currency=str(changed["currency"])))
    assert (list(posting.conflict), list(posting.new), posting.repeated) == ([2], [3], 0)


@pytest.mark.parametrize(
    "broken",
    [
        Charge("shop", "s", bytes(16), b"", 5, "USD", 1, Category.UTILITY, 49, 0, 0),
        Charge("shop", "s", bytes(16), b"no bitmap at all", 5, "USD", 1, Category.UTILITY, 49, 0, 0),
        charge([1], unit_micro=-1),
        charge([1], category=99),
    ],
)
def test_a_misshapen_charge_is_refused(broken: Charge) -> None:
    """No ranks, a negative price, an unknown category: never guessed."""
    with pytest.raises(MisshapenChargeError):
        post({}, broken)


charges = st.builds(charge, st.sets(st.integers(0, 30), min_size=1), unit_micro=st.sampled_from((0, 5)))


@given(st.data(), st.lists(charges, min_size=1, max_size=6))
def test_regrouping_and_repetition_do_not_change_what_is_owed(data: st.DataObject, records: list[Charge]) -> None:
    """At one price, any order, repetition and regrouping of charges posts each rank once."""
    same = [charge(BitMap.deserialize(one.ranks)) for one in records]
    again = data.draw(st.permutations(same + data.draw(st.lists(st.sampled_from(same)))))
    cut = [charge(part) for one in again for part in halves(BitMap.deserialize(one.ranks)) if part]
    for order in (same, again, cut):
        held = Held()
        entries = [entry for one in order for entry in held.post(one).entries]
        union = BitMap.union(*(BitMap.deserialize(one.ranks) for one in same))
        assert sum(e.amount_micro for e in entries if e.account == "receivable") == 5 * len(union)
        assert sum(e.amount_micro for e in entries) == 0


def halves(ranks: BitMap) -> tuple[list[int], list[int]]:
    """A set of ranks in two parts."""
    return [rank for rank in ranks if rank % 2], [rank for rank in ranks if not rank % 2]


@given(st.lists(charges, max_size=8))
def test_every_rank_is_posted_once_whatever_the_prices(records: list[Charge]) -> None:
    """New, repeated and conflicting ranks are all of a charge, and no rank is ever new twice."""
    held, seen = Held(), BitMap()
    for one in records:
        posting = held.post(one)
        assert len(posting.new) + posting.repeated + len(posting.conflict) == len(BitMap.deserialize(one.ranks))
        assert not posting.new & seen
        seen |= posting.new
        assert sum(entry.amount_micro for entry in posting.entries) == 0
