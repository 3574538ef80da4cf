"""The port that gateways are reached by: what deliver asks of one, what the webhook asks of its reports, and how a call may end.

A gateway is one module beside this one, and a row in ``kinds.py``. It brings its client (:class:`Gateway`), the table of its
codes and the mapping of its reports (:class:`ReportMapping`), and passes the suite in ``tests/contract/test_gateways.py``.

    GatewayError
     +-- Fenced        a higher epoch owns the shard; nothing of this frame was taken
     +-- Throttled     nothing was taken; come again later: it sets the pace, or it is away
     +-- Unknown       no answer that can be read: the frame may have been taken or not

    ReportError
     +-- UnbelievedError   nothing says that the gateway has sent it
     +-- UnreadableError   the gateway has sent it, and it is no report
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from broker.deliver.policy import CodeTable
from schemas.gateway_api import Frame, FrameAnswer, Reports
from schemas.lanes import Lane
from streams.runtime.settings import Settings


class GatewayError(Exception):
    """A call to the gateway that did not end in an answer."""


class Fenced(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """A higher epoch owns the shard. Nothing of the frame was taken, and nothing of this owner will ever be again."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the gateway has seen epoch {epoch}")
        self.epoch = epoch


class Throttled(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """The gateway takes nothing at present. Nothing of the frame was taken.

    ``unavailable``: it is away, and says until when. That is a failure of its own and no matter of rates.
    """

    def __init__(self, retry_after_ms: int, *, unavailable: bool = False) -> None:
        super().__init__(f"the gateway asks for {retry_after_ms} ms of patience")
        self.retry_after_ms = retry_after_ms
        self.unavailable = unavailable

    @property
    def how(self) -> str:
        """Returns the word of the metric."""
        return "unavailable" if self.unavailable else "throttled"


class UnknownKind(StrEnum):
    """Why nothing is known about a call; labels of metrics, too."""

    REFUSED = "refused"
    """No connection: surely nothing was taken."""
    RESET = "reset"
    TIME_OUT = "time_out"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"
    """An answer that breaks the contract: not JSON, wrong shape, positions outside the frame."""
    UNEXPECTED_STATUS = "unexpected_status"
    """A status that the contract does not know, 4xx mostly: a defect on one of the two sides."""


class Unknown(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """No answer that can be read. What then becomes of the messages is the engine's to say (PROTOCOL.md rule 10)."""

    def __init__(self, kind: UnknownKind) -> None:
        super().__init__(kind.value)
        self.kind = kind

    @property
    def surely_not_taken(self) -> bool:
        """Returns whether no byte of the frame can have reached the gateway."""
        return self.kind is UnknownKind.REFUSED


class Gateway(Protocol):
    """A gateway for one lane. Used within the event loop that owns the shards; closed when done."""

    @property
    def dedupes(self) -> bool:
        """Returns whether it takes a (request, person) once, however often it comes: then what may have been taken goes again."""
        ...

    @property
    def codes(self) -> CodeTable:
        """Returns the consequence of each code in its answers. Extend :data:`broker.deliver.policy.CODES`."""
        ...

    async def hello(self, lane: Lane, shard: int, epoch: int, *, timeout_ms: int) -> None:
        """Announce ``epoch`` for ``shard``: lower ones are refused from here on. Raises :class:`GatewayError`.

        A gateway that knows no epochs returns at once; then a paused owner's last frame ends by ``not_after_ms`` alone.
        """
        ...

    async def send(self, frame: Frame, *, timeout_ms: int) -> FrameAnswer:
        """Hand ``frame`` over; the answer's exceptions lie within the frame. Raises :class:`GatewayError`.

        Where each message is a call of its own, they leave in order until ``not_after_ms``, and the rest is ``STALE_FRAME``; one
        without an answer is ``NO_ANSWER``, and the others keep theirs. ``at_ms`` is the gateway's time, or ours if it tells none.
        """
        ...

    async def drop(self, shard: int) -> None:
        """Close what is open for a shard that this process no longer owns."""
        ...

    async def close(self) -> None:
        """Close everything."""
        ...


class ReportError(Exception):
    """A post to the webhook that is not taken."""


class UnbelievedError(ReportError):
    """Nothing says that the gateway has sent it. ``why`` is a word of the metric."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnreadableError(ReportError):
    """It is no report of the gateway's."""


BodyCheck = Callable[[bytes], bool]
"""Returns whether the gateway has signed this body."""


class ReportMapping(Protocol):
    """Turns what a gateway posts into reports. Keeps nothing; a post may come any number of times."""

    @property
    def path(self) -> str:
        """Returns where the gateway posts to."""
        ...

    @property
    def signing(self) -> str:
        """Returns the sentence that tells a gateway how to sign."""
        ...

    def check_of(self, headers: Mapping[str, str], now_ms: int) -> BodyCheck:
        """Return the check of the body that belongs to this head; raises :class:`UnbelievedError` if none can pass."""
        ...

    def reports(self, body: bytes) -> Reports:
        """Return what a body says that has passed; raises :class:`UnreadableError`."""
        ...


class Kind(NamedTuple):
    """Makes both sides of a gateway from the settings."""

    client: Callable[[Settings, Lane], Gateway]
    mapping: Callable[[Settings], ReportMapping]
