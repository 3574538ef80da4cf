"""A bench for deliver: one shard's engine with a log in a list and a gateway that answers from a table. No clock, no sleep."""

from collections.abc import Callable, Sequence

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.claims import Claims
from broker.deliver.decide import Facts
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import Append, ShardState, body_of_outcome
from broker.journal import Fold
from broker.standing import Controls
from schemas.facts import AudienceChange, ControlAction, ControlScope, ControlWord
from schemas.gateway_api import FrameAnswer, Refused
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim, Origin, Rows, Terms, WorkItem
from schemas.wire.columns import i64s, u16s
from schemas.wire.header import Header, Kind, head_of, pack

NOW_MS = 1_900_000_000_000
HOUR_MS = 3_600_000


def name(number: int) -> bytes:
    """The 16 bytes of request or person ``number``."""
    return number.to_bytes(16)


def terms(**fields: object) -> Terms:
    """Terms of an update of one airline, good for an hour."""
    base: dict[str, object] = {
        "business": "airline",
        "sender": "airline/main",
        "template": "delay",
        "template_version": 1,
        "category": 2,
        "card": 1,
        "params": {},
        "time_ms": NOW_MS,
        "expires_ms": NOW_MS + HOUR_MS,
        "keep_ms": NOW_MS + 48 * HOUR_MS,
        "source": "//airline/ops",
        "id": "1",
    }
    return Terms(**(base | fields))  # type: ignore[arg-type]


def rows(people: Sequence[int]) -> Rows:
    """Explicit recipients."""
    count = len(people)
    return Rows(b"".join(map(name, people)), b"a" * 33 * count, b"en" * count, u16s([1] * count))


def explicit(request: int, people: Sequence[int], **fields: object) -> WorkItem:
    """Work for explicit recipients."""
    return WorkItem(name(request), terms(**fields), rows(people))


def listed(request: int, list_id: str, **fields: object) -> WorkItem:
    """Work for a list."""
    return WorkItem(name(request), terms(**fields), None, list_id)


def change(
    list_id: str,
    people: Sequence[int],
    *,
    join: bool = True,
    at_ms: int = NOW_MS,
    acted: bool = False,
    offers: bool = False,
) -> AudienceChange:
    """People join or leave a list of the airline; ``acted``: by an act of their own, ``offers``: to be sent marketing."""
    row = rows(people)
    evidence = i64s([at_ms] * len(people))
    columns = (row.recipients, row.addresses, row.locales, row.markets, evidence)
    return AudienceChange("airline", list_id, join, *columns, at_ms, "", acted, offers)


Answering = Callable[[Batch], FrameAnswer]


def all_accepted(batch: Batch) -> FrameAnswer:
    """The gateway takes everything."""
    return FrameAnswer(NOW_MS, tuple(() for _ in batch.parts))


def refusing(*codes: tuple[int, int, int]) -> Answering:
    """The gateway refuses these (position, code, retry after) of the first section."""
    return lambda batch: FrameAnswer(NOW_MS, (tuple(Refused(*code) for code in codes), *(() for _ in batch.parts[1:])))


class Bench:
    """One shard. ``log`` is its journal; ``sent`` what reached the gateway, by (request, rank)."""

    def __init__(self, lane: Lane = Lane.UPDATE, shard: int = 0, **policy: object) -> None:
        base = DeliverPolicy.of(lane, shard, b"ref")
        fields = {field: getattr(base, field) for field in base.__struct_fields__} | policy
        self.policy = DeliverPolicy(**fields)
        self.log: list[bytes] = []
        self.now = NOW_MS
        self.consent, self.audience = Consent(), Audience()
        self.suppressed_upto = -1
        self.controls = Controls()
        self.fresh = True
        self.uncommitted_ms: int | None = None
        self.audience_age_ms = 0
        self.stepped_ms = 0
        """How far the wall clock was put forward, which the monotonic one does not show."""
        self.sent: list[tuple[int, int]] = []
        self.finished: list[Origin] = []
        self.epoch = 0
        self.answering: Answering = all_accepted
        self.claims, self.appended = Claims(), 0
        self.restart()

    def restart(self) -> None:
        """A new owner: everything is folded from the log."""
        self.epoch += 1
        self.state, fold = ShardState(self.policy, self.audience), Fold()
        for record in self.log:
            self._fold(record, fold)
        self.claim(self.claims.floor)
        self.engine = Engine(self.policy, self.state, epoch=self.epoch, now_ms=self.now, claims=self.claims)

    def claim(self, floor: int) -> None:
        """The owner claims the journal; no claim stands in ``log``, but they count among what was appended."""
        header = Header(Kind.CLAIM, self.policy.lane, 0, self.epoch, self.now)
        self.claims.fold(header, pack(header, Claim("", 0, floor)), self.appended)
        self.appended += 1

    def _fold(self, record: bytes, fold: Fold) -> None:
        header = fold.admit(record)
        assert header is not None
        body = body_of_outcome(header, record)
        assert body is not None
        self.state.apply(header, body)

    def facts(self) -> Facts:
        """What the tails know: everything, or nothing fresh."""
        fresh, monotonic = self.now if self.fresh else 0, self.now - self.stepped_ms
        return Facts(
            self.consent,
            self.audience,
            self.suppressed_upto,
            suppressed_fresh_ms=fresh,
            audience_read_ms=monotonic - self.audience_age_ms if self.fresh else -1,
            monotonic_ms=monotonic,
            controls=self.controls,
            uncommitted_ms=self.uncommitted_ms,
        )

    def say(self, action: ControlAction, request: int, at_ms: int | None = None) -> None:
        """A word about a request is acknowledged and tailed."""
        at_ms = self.now if at_ms is None else at_ms
        word = ControlWord(ControlScope.REQUEST, "airline", text_of(name(request)), action, at_ms, at_ms)
        self.controls.apply(word, self.controls.upto + 1)

    def take(self, *items: WorkItem) -> None:
        """Work arrives, each item at its own offset."""
        for item in items:
            self.engine.take(item, Origin(0, int.from_bytes(item.request)), self.now)

    def append(self) -> bool:
        """One append, acknowledged at once."""
        append = self.engine.step(self.now, self.facts())
        if append is None:
            return False
        self.fold(append)
        return True

    def fold(self, append: Append) -> None:
        """An append is acknowledged: it stands in the journal."""
        record = pack(Header(append.kind, self.policy.lane, 0, self.epoch, append.at_ms), append.body)
        self.log.append(record)
        self.claims.fold(head_of(record), record, self.appended)
        self.appended += 1
        fold = Fold()
        fold.epoch = self.epoch
        self._fold(record, fold)
        self.finished += self.engine.acked(append)

    def send(self) -> Batch | None:
        """The next frame leaves; it is not answered yet."""
        batch = self.engine.frame(self.now, self.facts())
        if batch is not None:
            self.sent += [(int.from_bytes(part.request), rank) for part in batch.parts for rank in part.ranks]
        return batch

    def run(self, rounds: int = 50) -> None:
        """Appends and frames until nothing moves."""
        for _ in range(rounds):
            moved = self.append()
            batch = self.send()
            if batch is not None:
                self.engine.answered(batch, self.answering(batch), self.now)
            if not moved and batch is None and not self.append():
                return
        raise AssertionError("the shard does not come to rest")
