"""Follows what one business is told and charged, as it comes, from a place that can be written down and come back to."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NamedTuple, Self

from schemas import topics
from schemas.status import BilledCharge, Status
from schemas.wire.cloudevents import decode_charge, decode_status
from streams.client.progress import Progress
from streams.client.results import BillUnreadableError, StatusUnreadableError
from streams.kafka.scan import Record, ScanError, follow
from streams.runtime.kafka_access import Address

_LATE_MS: Final = 3_600_000
"""By so much plan's word may be written after those of shards."""

_TIDY_EVERY: Final = 1_000
"""Words."""


class Position(NamedTuple):
    """Where a reader of a status topic stands: offsets of its one partition."""

    first: int
    """Of the oldest word about a request that is still open: read again from here, sums are whole."""
    next: int
    """Of the first record that was not read."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The inverse of ``str``; ``ValueError`` if it is no such text."""
        first, _, after = text.partition("..")
        if not (first.isdecimal() and after.isdecimal()) or not int(first) <= int(after):
            raise ValueError("a position looks like 12..40: write down what a follower's position says, as it stands")
        return cls(int(first), int(after))

    def __str__(self) -> str:
        return f"{self.first}..{self.next}"


class Reading:
    """Words in, merged statuses out; knows its position. Pure.

    Who begins in the middle hears of requests whose beginning was not read. Those that ended before are forgotten after a
    while; a word about one that is said again, after a crash, is told again.
    """

    def __init__(self, position: Position | None = None) -> None:
        self._progress = Progress()
        self._opened: dict[str, int] = {}
        self._resumed = position
        self._until_tidy = _TIDY_EVERY
        self.position = position
        self.word: Status | None = None
        """Last status, by plan or by one shard."""

    def apply(self, offset: int, status: Status | None) -> Status | None:
        """The merged status that the record at ``offset`` makes, ``None`` if it says nothing new.

        What stands before the place that was come back to was told then, and counts only for the sums.
        """
        if self._resumed is not None and offset >= self._resumed.next:
            self._resumed, self._until_tidy = None, 0
        self.word = status
        merged = None if status is None else self._heard(offset, status)
        if self._resumed is not None:
            return None
        self.position = Position(next(iter(self._opened.values()), offset + 1), offset + 1)
        return merged

    def _heard(self, offset: int, status: Status) -> Status | None:
        merged = self._progress.apply(status)
        if self._progress.is_open(status.request):
            self._opened.setdefault(status.request, offset)
        else:
            self._opened.pop(status.request, None)
        self._until_tidy -= 1
        if self._until_tidy < 0:
            self._until_tidy = _TIDY_EVERY
            for request in self._progress.drop_unjudged(status.at_ms - _LATE_MS):
                del self._opened[request]
        return merged


class Following:
    """An asynchronous iterator of merged statuses, for ever. Leave it by ``break``, or close it with ``aclose``.

    ``position`` is where it stands after the status that was yielded last; ``None`` before anything was read.
    """

    def __init__(
        self, bootstrap: Address, business: str, *, since_ms: int | None = None, position: str | Position | None = None
    ) -> None:
        place = Position.of(position) if isinstance(position, str) else position
        self._reading = Reading(place)
        # The generator must not refer to this object: a ring would leave it, and its connection, to the garbage collector.
        self._statuses = _merged(heard(self._reading, bootstrap, business, since_ms=since_ms, place=place))

    @property
    def position(self) -> str | None:
        """Where it stands, to be given to another follower of this business later."""
        return None if self._reading.position is None else str(self._reading.position)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Status:
        return await anext(self._statuses)

    async def aclose(self) -> None:
        """Leave the topic."""
        await self._statuses.aclose()


async def _merged(statuses: AsyncGenerator[Status | None, None]) -> AsyncGenerator[Status, None]:
    async with aclosing(statuses):
        async for merged in statuses:
            if merged is not None:
                yield merged


async def heard(
    reading: Reading, bootstrap: Address, business: str, *, since_ms: int | None = None, place: Position | None = None
) -> AsyncGenerator[Status | None, None]:
    """Read on for ever: for each word the merged status that it makes, ``None`` if it says nothing new."""
    offset = None if place is None else place.first
    try:
        async with aclosing(follow(bootstrap, topics.status(business), since_ms=since_ms, offset=offset)) as records:
            async for record in records:
                yield reading.apply(record.offset, decode_status(record.value or b""))
    except ScanError as error:
        raise StatusUnreadableError(str(error)) from error


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
