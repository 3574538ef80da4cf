"""The gateways that the contract suite is run over, each with the handles by which a test makes it do what gateways do."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from schemas.gateway_api import Code
from schemas.lanes import Lane
from streams.gateway.frames import KIND as FRAMES
from streams.gateway.port import Gateway, ReportMapping, UnknownKind
from streams.runtime import clock
from streams.runtime.settings import load
from tests.support import recording_gateway
from tests.support.listeners import Hearing, Listening, hearing, listening
from tests.support.programs import until
from tests.support.recording_gateway import BUSY, NO_SUCH_NUMBER, Fate, RecordingGateway, RecordingReports

Post = tuple[dict[str, str], bytes]
"""Headers and body of what came to the webhook."""


class Trial(Protocol):
    """A gateway under trial. What a handle does holds for the next frame alone, but for ``leave``."""

    no_such_number: int
    """Its code for a number that nobody has."""
    busy: int
    """Its code for a throttle."""

    @property
    def gateway(self) -> Gateway:
        """Return its client."""
        ...

    @property
    def mapping(self) -> ReportMapping:
        """Return the mapping of its reports."""
        ...

    def shown(self) -> Counter[tuple[str, bytes]]:
        """Return how often each person saw each request."""
        ...

    async def refuse(self, code: int, messages: int) -> None:
        """Refuse so many messages, and show them to nobody."""
        ...

    async def be_silent(self) -> None:
        """Take a frame and show it, and never answer."""
        ...

    async def throttle(self, wait_ms: int) -> None:
        """Take nothing of a frame, and ask to wait."""
        ...

    async def leave(self) -> None:
        """Listen no more."""
        ...

    async def posts(self, status: str, messages: int) -> list[Post]:
        """Return what it has posted, once that holds so many messages of ``status``."""
        ...


class SimulatedTrial:
    """The simulated gateway, a process of its own."""

    no_such_number: int = Code.UNDELIVERABLE
    busy: int = Code.SENDER_THROTTLED

    def __init__(self, listener: Listening, webhook: Hearing) -> None:
        settings = load(gateway_campaign=listener.url)
        self.gateway: Gateway = FRAMES.client(settings, Lane.CAMPAIGN)
        self.mapping: ReportMapping = FRAMES.mapping(settings)
        self._listener = listener
        self._webhook = webhook

    def shown(self) -> Counter[tuple[str, bytes]]:
        """By its log."""
        return self._listener.visible()

    async def refuse(self, code: int, messages: int) -> None:
        """By a fault."""
        await self._listener.faults({"kind": "message", "code": code, "count": messages})

    async def be_silent(self) -> None:
        """By a fault."""
        await self._listener.faults({"kind": "accept_then_reset", "count": 1})

    async def throttle(self, wait_ms: int) -> None:
        """By a fault."""
        await self._listener.faults({"kind": "throttle", "ms": wait_ms, "count": 1})

    async def leave(self) -> None:
        """By a kill."""
        await self._listener.kill()

    async def posts(self, status: str, messages: int) -> list[Post]:
        """As its webhook took them."""
        await until(lambda: len(self._webhook.heard(status)) >= messages)
        return self._webhook.taken


class RecordingTrial:
    """The recording gateway."""

    no_such_number: int = NO_SUCH_NUMBER
    busy: int = BUSY

    def __init__(self) -> None:
        self.gateway = RecordingGateway()
        self.mapping = RecordingReports(recording_gateway.SECRET)

    def shown(self) -> Counter[tuple[str, bytes]]:
        """As it has kept them."""
        return self.gateway.counts()

    async def refuse(self, code: int, messages: int) -> None:
        """By the fate of the next messages."""
        self.gateway.fates.extend([Fate(shown=False, code=code)] * messages)

    async def be_silent(self) -> None:
        """By the trouble of the next frame."""
        self.gateway.trouble.append(UnknownKind.RESET)

    async def throttle(self, wait_ms: int) -> None:
        """By the trouble of the next frame."""
        self.gateway.trouble.append(wait_ms)

    async def leave(self) -> None:
        """It is away."""
        self.gateway.away = True

    async def posts(self, status: str, messages: int) -> list[Post]:
        """One a message."""
        return list(self.mapping.posted(self.gateway.shown[:messages], status, clock.now_ms()))


@contextlib.asynccontextmanager
async def _simulated(folder: Path) -> AsyncIterator[Trial]:
    async with (
        hearing() as webhook,
        listening(folder, webhook.url, "--profile", "online", "--no-limits") as listener,
    ):
        trial = SimulatedTrial(listener, webhook)
        try:
            yield trial
        finally:
            await trial.gateway.close()


@contextlib.asynccontextmanager
async def _recording(_folder: Path) -> AsyncIterator[Trial]:
    yield RecordingTrial()


TRIALS: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Trial]]]] = {
    "simulated": _simulated,
    "recording": _recording,
}
