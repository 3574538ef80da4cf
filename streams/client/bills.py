"""The bill of a business as it grows, posting by posting, from a place that can be written down and come back to."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple, Self

from schemas import topics
from schemas.status import BilledCharge
from schemas.wire.cloudevents import decode_charge
from streams.client.errors import BillUnreadableError
from streams.kafka.scan import Record, ScanError, follow
from streams.runtime.kafka_access import Address


class BillPosition(NamedTuple):
    """Where a reader of a billing topic stands."""

    next: int
    """The offset of the first record that was not read."""
    serial: int
    """Of the newest posting that was read; 0 before the first."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Converts back what ``str`` made; ``ValueError`` if it is no such text."""
        after, _, serial = text.partition("/")
        if not (after.isdecimal() and serial.isdecimal()):
            raise ValueError(
                "a position in a bill looks like 40/39: write down what a follower's position says, as it stands"
            )
        return cls(int(after), int(serial))

    def __str__(self) -> str:
        return f"{self.next}/{self.serial}"


class BillReading:
    """Records in, postings out, each once; knows its position. Pure."""

    def __init__(self, position: BillPosition | None = None) -> None:
        self.position = position

    def apply(self, record: Record) -> BilledCharge | None:
        """Returns the posting in the next record; None if there is none in it, or one that was read before."""
        charge = decode_charge(record.value or b"")
        newest = 0 if self.position is None else self.position.serial
        if charge is None or charge.serial <= newest:
            self.position = BillPosition(record.offset + 1, newest)
            return None
        self.position = BillPosition(record.offset + 1, charge.serial)
        return charge


class BillFollowing:
    """An asynchronous iterator of postings, for ever. Leave it by ``break``, or close it with ``aclose``.

    ``position`` is where it stands after the posting that was yielded last; ``None`` before anything was read.
    """

    def __init__(
        self,
        bootstrap: Address,
        business: str,
        *,
        since_ms: int | None = None,
        position: str | BillPosition | None = None,
    ) -> None:
        self._reading = BillReading(BillPosition.of(position) if isinstance(position, str) else position)
        # As for statuses: the generator must not refer to this object, or both are left to the garbage collector.
        self._charges = _charges(self._reading, bootstrap, business, since_ms)

    @property
    def position(self) -> str | None:
        """Returns where it stands, to be given to another follower of this business's bill later."""
        return None if self._reading.position is None else str(self._reading.position)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BilledCharge:
        return await anext(self._charges)

    async def aclose(self) -> None:
        """Leaves the topic."""
        await self._charges.aclose()


async def _charges(
    reading: BillReading, bootstrap: Address, business: str, since_ms: int | None
) -> AsyncGenerator[BilledCharge, None]:
    offset = None if reading.position is None else reading.position.next
    try:
        async with aclosing(follow(bootstrap, topics.billing(business), since_ms=since_ms, offset=offset)) as records:
            async for record in records:
                charge = reading.apply(record)
                if charge is not None:
                    yield charge
    except ScanError as error:
        raise BillUnreadableError(str(error)) from error
