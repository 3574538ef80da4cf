"""A second gateway, small and in memory: it knows neither names nor epochs, and shows whatever comes as often as it comes.

It is like a platform with one HTTP call a message and no idempotency key (WhatsApp's Cloud API, SMPP): a message may be left
without an answer while its neighbours have theirs. It reports one status a post, signed without a time; its codes are its own.
"""

import hashlib
import hmac
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from broker.deliver.policy import CODES, CodeTable, Handling
from schemas.gateway_api import Code, Frame, FrameAnswer, Refused, ReportRun, Reports, Section
from schemas.ids import NAME_BYTES
from schemas.lanes import Lane
from schemas.reasons import Reason
from streams.gateway.port import BodyCheck, Kind, Throttled, UnbelievedError, Unknown, UnknownKind, UnreadableError
from streams.runtime import clock

NO_SUCH_NUMBER: Final = 404
BUSY: Final = 429
DOWN: Final = 503
RECORDING_CODES: Final[CodeTable] = {
    **CODES,
    NO_SUCH_NUMBER: Reason.UNREACHABLE,
    BUSY: Handling.PACED,
    DOWN: Handling.ILL,
}
SIGNATURE_HEADER: Final = "recording-signature"
_HEX_DIGITS: Final = 64


class Fate(NamedTuple):
    """Describes what becomes of a message: whether a person sees it, and the code of the answer."""

    shown: bool = True
    code: int = Code.ACCEPTED
    retry_after_ms: int = 0


SHOWN_UNANSWERED: Final = Fate(code=Code.NO_ANSWER)
LOST: Final = Fate(shown=False, code=Code.NO_ANSWER)


class Shown(NamedTuple):
    """Names a message that a person sees: the request, the person, and where its reports belong."""

    request: str
    recipient: bytes
    ref: str
    rank: int


class RecordingGateway:
    """Keeps what it showed. ``now_ms`` is the clock that it judges by."""

    dedupes = False
    codes = RECORDING_CODES

    def __init__(self, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._now_ms = now_ms
        self.shown: list[Shown] = []
        self.fates: deque[Fate] = deque()
        """Of the next messages; those after them are shown and accepted."""
        self.trouble: deque[UnknownKind | int] = deque()
        """Of the next frames: taken and never answered, or refused as a whole for so many milliseconds."""
        self.away = False
        """Nobody listens."""
        self.answering: Callable[[], Awaitable[object]] | None = None
        """Is waited for between taking a frame and answering it."""
        self.knocks = 0
        """Calls while nobody listened."""

    async def hello(self, lane: Lane, shard: int, epoch: int, *, timeout_ms: int) -> None:  # noqa: ARG002 - the port's
        """It has no epochs."""
        self._demand_listener()

    async def send(self, frame: Frame, *, timeout_ms: int) -> FrameAnswer:  # noqa: ARG002 - the port's
        """Take message by message."""
        self._demand_listener()
        trouble = self.trouble.popleft() if self.trouble else None
        if isinstance(trouble, int):
            raise Throttled(trouble)
        sections = tuple(tuple(self._taken(frame, section)) for section in frame.sections)
        if self.answering is not None:
            await self.answering()
        if trouble is not None:
            raise Unknown(trouble)
        return FrameAnswer(self._now_ms(), sections)

    async def drop(self, shard: int) -> None:
        """It keeps no connection."""

    async def close(self) -> None:
        """It keeps nothing open."""

    def counts(self) -> Counter[tuple[str, bytes]]:
        """How often each person saw each request."""
        return Counter((one.request, one.recipient) for one in self.shown)

    def _demand_listener(self) -> None:
        if self.away:
            self.knocks += 1
            raise Unknown(UnknownKind.REFUSED)

    def _taken(self, frame: Frame, section: Section) -> Iterator[Refused]:
        ranks = [rank for first, count in section.ranks for rank in range(first, first + count)]
        for position, rank in enumerate(ranks):
            recipient = section.recipients[position * NAME_BYTES : (position + 1) * NAME_BYTES]
            late = self._now_ms() > frame.not_after_ms
            fate = Fate(shown=False, code=Code.STALE_FRAME) if late else self._fate()
            if fate.shown:
                self.shown.append(Shown(section.request, recipient, section.ref, rank))
            if fate.code != Code.ACCEPTED:
                yield Refused(position, fate.code, fate.retry_after_ms)

    def _fate(self) -> Fate:
        return self.fates.popleft() if self.fates else Fate()


class _Status(msgspec.Struct, frozen=True):
    """Holds the body of one post; ``tracker`` is the reference and the rank that the message was sent with."""

    status: str
    at_s: int
    """When the status was reached, seconds since the epoch."""
    tracker: tuple[str, int]


_statuses: Final = msgspec.json.Decoder(_Status)


class RecordingReports:
    """Takes one status a post."""

    path = "/recording"
    signing = f"Sign the body: {SIGNATURE_HEADER}, HMAC-SHA256 in hexadecimal digits."

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def check_of(self, headers: Mapping[str, str], now_ms: int) -> BodyCheck:  # noqa: ARG002 - the port's
        """Return the check of the signature; the head tells no time."""
        given = headers.get(SIGNATURE_HEADER, "")
        if len(given) != _HEX_DIGITS or not given.isascii():
            raise UnbelievedError("bad_signature")
        return lambda body: hmac.compare_digest(given, self._signature(body))

    def reports(self, body: bytes) -> Reports:
        """Return the one report; its id is a hash of what it says, for the post may come again."""
        try:
            told = _statuses.decode(body)
        except msgspec.MsgspecError as error:
            raise UnreadableError(str(error)) from error
        ref, rank = told.tracker
        run = ReportRun(ref, told.status, ((rank, 1),), told.at_s * 1_000)
        return Reports(hashlib.sha256(body).hexdigest(), (run,))

    def posted(self, shown: Iterable[Shown], status: str, at_ms: int) -> Iterator[tuple[dict[str, str], bytes]]:
        """Yields the posts about messages: their headers and bodies."""
        for one in shown:
            body = msgspec.json.encode(_Status(status, at_ms // 1_000, (one.ref, one.rank)))
            yield {SIGNATURE_HEADER: self._signature(body)}, body

    def _signature(self, body: bytes) -> str:
        return hmac.digest(self._secret, body, "sha256").hex()


SECRET: Final = b"recording"
KIND: Final = Kind(
    client=lambda _settings, _lane: RecordingGateway(), mapping=lambda _settings: RecordingReports(SECRET)
)
"""As a row of ``streams/gateway/kinds.py`` would have it."""
