"""From stops that are to be confirmed to the requests that ask for it, as far as there is somebody to ask and to tell."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from broker.confirmation import Confirmation, Confirmed, Lifted, event_of
from broker.registry.fold import Registry, share_of
from schemas import topics
from schemas.ids import partition_of
from schemas.registry import CONFIRMATION_LANE
from schemas.wire.sealed import AddressBook, SealError
from streams.kafka.producer import Outgoing
from streams.runtime import metrics

_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)
_encoder: Final = msgspec.json.Encoder()


class Confirmer:
    """Asks in the business's name, from the number that was written to if that may send updates, else from its default."""

    def __init__(self, registry: Registry, address_book: AddressBook, *, pepper: bytes, shards: int) -> None:
        self._registry = registry
        self._address_book = address_book
        self._pepper = pepper
        self._shards = shards
        self._confirmed = Confirmed()

    def records(self, confirmations: Sequence[Confirmation], lifted: Iterable[Lifted]) -> list[Outgoing]:
        """Returns a record of ``requests.update`` for each stop that can and must be confirmed; the others are counted."""
        found: list[Outgoing] = []
        news = list(self._confirmed.news(confirmations, lifted))
        metrics.CONFIRMATIONS.of("known").inc(len(confirmations) - len(news))
        for confirmation in news:
            record = self._record(confirmation)
            outcome = record if isinstance(record, str) else "asked"
            metrics.CONFIRMATIONS.of(outcome).inc()
            if not isinstance(record, str):
                found.append(record)
        return found

    def _record(self, confirmation: Confirmation) -> Outgoing | str:
        """Returns the record, or the outcome that says why there is none."""
        business = self._registry.businesses.get(confirmation.business)
        if business is None or self._registry.template_for(business.id, confirmation.template) is None:
            return "no_template"
        asked = self._registry.sender_for(business.id, confirmation.sender)
        fit = asked is not None and asked.active and share_of(asked, CONFIRMATION_LANE) > 0
        if not fit and self._registry.sender_for(business.id, None) is None:
            return "no_sender"
        try:
            address = self._address_book.open(confirmation.address)
        except SealError:
            return "no_address"
        sender = confirmation.sender if fit else None
        event = event_of(confirmation, address, name=business.name, sender=sender, pepper=self._pepper)
        key = business.id.encode()
        partition = partition_of(key, self._shards)
        topic = topics.requests(CONFIRMATION_LANE)
        return Outgoing(topic, _encoder.encode(event), key=key, partition=partition, headers=_HEADERS)
