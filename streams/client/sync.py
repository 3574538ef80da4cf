"""The same client for programs without an event loop: one thread with a loop of its own does the work.

Its methods may be called from several threads at once. Iterators are drawn in the caller's thread.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.reasons import Fault
from schemas.status import BilledCharge, Status
from streams.client.client import IN_FLIGHT, WAIT_S, Client, ToPublish
from streams.client.events import Event
from streams.client.following import BillPosition, Position
from streams.client.results import Outcome, Published
from streams.client.sealing import SealKey
from streams.client.waiting import Until
from streams.kafka.publisher import CONNECT_S, DEADLINE_S
from streams.runtime.kafka_access import Address

_T = TypeVar("_T")
_Item_co = TypeVar("_Item_co", covariant=True)
_END: Final = object()


class SyncClient:
    """:class:`Client`, blocking. A context manager; what each method does, and raises, is said there."""

    def __init__(
        self,
        bootstrap: Address | None = None,
        *,
        seal_key: SealKey | None = None,
        patience_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._bootstrap = bootstrap
        self._options: dict[str, Any] = {"seal_key": seal_key, "patience_s": patience_s, "connect_s": connect_s}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        """Start the thread and connect; :class:`NoBrokerError` if nobody answers."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fanfare-client", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(self._connected())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                self._run(client.__aexit__(None, None, None))
        finally:
            self._end()

    def publish(self, lane: Lane | str, event: Event, *, codes: Mapping[str, str] | None = None) -> Published:
        """As :meth:`Client.publish`."""
        return self._run(self._connection.publish(lane, event, codes=codes))

    def publish_many(self, events: Iterable[ToPublish], *, in_flight: int = IN_FLIGHT) -> Iterator[Outcome]:
        """As :meth:`Client.publish_many`; ``events`` may be a generator that blocks."""
        client = self._connection
        window = client.window(in_flight)
        try:
            for each in events:
                yield from self._run(client.advance(window, each))
            while len(window):
                yield self._run(window.take())
        finally:
            self._call(window.give_up)

    def seal(self, lane: Lane | str, event: Event, codes: Mapping[str, str]) -> Event:
        """As :meth:`Client.seal`."""
        return self._run(self._connection.seal(lane, event, codes))

    def check(self, lane: Lane | str, event: Event, *, registry: Registry | None = None) -> tuple[Fault, ...]:
        """As :meth:`Client.check`."""
        return self._connection.check(lane, event, registry=registry)

    def validate(self, lane: Lane | str, event: Event) -> None:
        """As :meth:`Client.validate`."""
        self._connection.validate(lane, event)

    def registry(self) -> Registry:
        """As :meth:`Client.registry`."""
        return self._run(self._connection.registry())

    def follow(
        self,
        business: str,
        *,
        since: int | None = None,
        position: str | Position | None = None,
        silence_s: float | None = None,
    ) -> "SyncFollowing[Status]":
        """As :meth:`Client.follow`, but the iteration ends when nothing has come for ``silence_s``."""
        return SyncFollowing(self, self._connection.follow(business, since=since, position=position), silence_s)

    def follow_bill(
        self,
        business: str,
        *,
        since: int | None = None,
        position: str | BillPosition | None = None,
        silence_s: float | None = None,
    ) -> "SyncFollowing[BilledCharge]":
        """Follows as :meth:`Client.follow_bill`, but the iteration ends when nothing has come for ``silence_s``."""
        return SyncFollowing(self, self._connection.follow_bill(business, since=since, position=position), silence_s)

    def wait(
        self, sent: Published, *, until: Until = "closed", timeout_s: float = WAIT_S, since: int | None = None
    ) -> Status:
        """As :meth:`Client.wait`."""
        return self._run(self._connection.wait(sent, until=until, timeout_s=timeout_s, since=since))

    def wait_all(
        self,
        sent: Iterable[Published],
        *,
        until: Until = "closed",
        timeout_s: float = WAIT_S,
        since: int | None = None,
    ) -> Mapping[str, Status]:
        """As :meth:`Client.wait_all`."""
        return self._run(self._connection.wait_all(list(sent), until=until, timeout_s=timeout_s, since=since))

    @property
    def _connection(self) -> Client:
        if self._client is None:
            raise RuntimeError("the client is not open: use it in a with statement")
        return self._client

    async def _connected(self) -> Client:
        return await Client(self._bootstrap, **self._options).__aenter__()

    def _run(self, doing: Coroutine[Any, Any, _T]) -> _T:
        """Returns the result of ``doing``, run in the loop's thread; an interruption of the caller ends it there too."""
        if self._loop is None:
            doing.close()
            raise RuntimeError("the client is not open: use it in a with statement")
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _call(self, doing: Any) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(doing)

    def _end(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_nothing_left(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Follower(Protocol[_Item_co]):
    """Gives what is followed, item by item: statuses or a bill."""

    @property
    def position(self) -> str | None:
        """Returns where it stands after the item that was given last."""
        ...

    async def __anext__(self) -> _Item_co: ...

    async def aclose(self) -> None:
        """Leaves the topic."""
        ...


class SyncFollowing(Generic[_Item_co]):
    """An iterator of what is followed. ``position`` as in :class:`Following`; ``close`` leaves the topic, and so does its end."""

    def __init__(self, client: SyncClient, following: Follower[_Item_co], silence_s: float | None) -> None:
        self._client = client
        self._following = following
        self._silence_s = silence_s

    @property
    def position(self) -> str | None:
        """Where it stands after the item that was given last."""
        return self._following.position

    def __iter__(self) -> Iterator[_Item_co]:
        try:
            while (item := self._client._run(self._next())) is not _END:  # noqa: SLF001 - two halves of one thing
                yield item
        finally:
            self.close()

    def close(self) -> None:
        """Leave the topic; may be called twice."""
        with contextlib.suppress(RuntimeError):
            self._client._run(self._following.aclose())  # noqa: SLF001 - two halves of one thing

    async def _next(self) -> Any:
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._following.__anext__()
        except (StopAsyncIteration, TimeoutError):
            return _END


async def _nothing_left() -> None:
    """Cancel what still runs in this loop and wait for it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
