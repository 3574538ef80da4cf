"""The charges that follow from ranks newly seen as delivered: one for each market, with its price."""

from collections.abc import Iterator, Mapping

from broker.ledger import price_of
from broker.settle.message_state import RankSet, roaring
from broker.settle.request_state import Account
from schemas.facts import Charge
from schemas.registry import PriceCard


def charges_of(account: Account, delivered: RankSet, cards: Mapping[int, PriceCard]) -> Iterator[Charge]:
    """Charges for ``delivered`` (not empty); raises :class:`broker.ledger.UnpricedError`."""
    assert account.ranks is not None
    for market, ranks in account.ranks.by_market(delivered).items():
        # The card was fixed at acceptance, so the same ranks cost the same whoever charges them and how often.
        price = price_of(cards, account.card, account.category, market)
        yield Charge(
            business=account.business,
            sender=account.sender,
            request=account.request,
            ranks=roaring(ranks),
            unit_micro=price.unit_micro,
            currency=price.currency,
            card=account.card,
            category=account.category,
            market=market,
            first_ms=account.first_ms,
            last_ms=account.last_ms,
            source=account.source,
            id=account.id,
            labels=account.labels,
        )
