"""A partition of plan on the bench: a registry, events as producers write them, and a log in memory."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from broker.audience.sizes import ListSizes
from broker.plan.decode import PlanInput
from broker.plan.outputs import Answer, Direct, outputs
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import PlanStep, decide
from broker.registry.fold import Registry
from schemas.ids import partition_of
from schemas.lanes import MINUTE_MS, Category, Lane
from schemas.plan_journal import Origin, Planned, PlannedBatch
from schemas.registry import Business, Deployment, Entry, Key, Parameter, PriceCard, Sender, Template
from schemas.request import NOTIFICATION_TYPE
from schemas.status import DeadLetter, Status
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from schemas.wire.sealed import AddressBook
from schemas.wire.timestamps import text_of

NOW_MS: Final = 1_790_000_000_000
SHARDS: Final = 8
BUSINESS: Final = "airline"
SEALED: Final = "k1." + "A" * 80
PEPPER: Final = b"p" * 32
BOOK: Final = AddressBook({1: b"k" * 32})

CONTENT: Final[dict[Category, dict[str, Any]]] = {
    Category.AUTHENTICATION: {"template": "code", "params": {"code": {"sealed": SEALED}}},
    Category.UTILITY: {"template": "delay", "params": {"flight": "UA1"}},
    Category.MARKETING: {"template": "offer", "params": {"city": "Rome"}},
}

WHOLE: Final = {lane.word: 100 for lane in Lane}
"""Each test uses a number in one lane, which then has all of it."""

ENTRIES: Final[tuple[Entry, ...]] = (
    Business(BUSINESS, "Airline", test_numbers=("+12015550001", "+12015550002")),
    Business("sleeper", "Sleeper", active=False),
    Business("loner", "Loner"),
    Sender("airline/main", BUSINESS, "+12015550100", rate_per_s=100, default=True, shares=WHOLE),
    Sender("airline/slow", BUSINESS, "+12015550101", rate_per_s=1, shares=WHOLE),
    Sender("airline/off", BUSINESS, "+12015550102", active=False),
    Sender("airline/codes", BUSINESS, "+12015550104", shares={"otp": 100}),
    Sender("sleeper/main", "sleeper", "+12015550103"),
    Template("code", "authentication", (Parameter("code", sealed=True),), {"en": "{code}"}),
    Template(
        "delay",
        "utility",
        (Parameter("flight"),),
        {"en": "{flight}", "es": "{flight}", "hi": "{flight}"},
        "es",
        version=3,
    ),
    Template("offer", "marketing", (Parameter("city"),), {"en": "{city}"}),
    Template("private", "utility", (), {"en": "x"}, business="loner"),
    Template("old", "utility", (), {"en": "x"}, active=False),
    PriceCard(1, "USD", {"authentication": {"*": 1}, "utility": {"*": 1}, "marketing": {"*": 1}}),
    PriceCard(2, "USD", {"authentication": {"*": 2}, "utility": {"*": 2}, "marketing": {"*": 2}}),
    Key("k1", "seal", "00" * 32),
    Deployment("dev", SHARDS),
)


def address(person: int) -> str:
    """The address of one of a thousand people."""
    return f"tel:+1201555{person:04d}" if person < 200 else f"tel:+1202555{person:04d}"


def registry() -> Registry:
    """What the bench's businesses have registered."""
    filled = Registry()
    for entry in ENTRIES:
        filled.add(entry)
    return filled


def policy(lane: Lane = Lane.UPDATE, business: str = BUSINESS) -> PlanPolicy:
    """The policy of the partition that the business belongs to."""
    partition = partition_of(business.encode(), SHARDS)
    return PlanPolicy.of(lane, partition, pepper=PEPPER, address_book=BOOK)


def event(
    lane: Lane = Lane.UPDATE, *, data: dict[str, Any] | None = None, people: Sequence[int] = (1,), **attributes: Any
) -> dict[str, Any]:
    """A sound event; ``data`` and ``attributes`` replace fields, None removes one."""
    content = {
        **CONTENT[lane.rules.category],
        "to": {"list": "offers"} if lane.rules.marketing else {"recipients": [_person(person) for person in people]},
    }
    whole = {
        "specversion": "1.0",
        "type": NOTIFICATION_TYPE,
        "source": f"//{BUSINESS}/ops",
        "id": "1",
        "time": text_of(NOW_MS),
        "expirytime": text_of(NOW_MS + 10 * MINUTE_MS),
        "data": _without_none(content | (data or {})),
    }
    return _without_none(whole | attributes)


def _person(person: int) -> dict[str, Any]:
    return {"address": address(person)}


def given(whole: dict[str, Any] | bytes, offset: int = 0, **fields: Any) -> PlanInput:
    """An event as a record of the business's partition; ``fields`` replace those of the record."""
    value = whole if isinstance(whole, bytes) else msgspec.json.encode(whole)
    business = (
        BUSINESS if isinstance(whole, bytes) else str(whole.get("source", "")).removeprefix("//").partition("/")[0]
    )
    partition = partition_of(business.encode(), SHARDS)
    record = PlanInput(Origin(partition, offset), business.encode(), value, (), NOW_MS)
    return msgspec.structs.replace(record, **fields)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


class Bench:
    """One partition: decides, appends to a log in memory, applies, and keeps all that went out."""

    def __init__(self, lane: Lane = Lane.UPDATE) -> None:
        self.policy = policy(lane)
        self.registry = registry()
        self.sizes = ListSizes()
        self.state = PlanState()
        self.log: list[bytes] = []
        self.now_ms = NOW_MS
        self.direct: list[Any] = []
        self.work: list[bytes] = []
        """Every work item that went out, as bytes, with its shard."""

    def decide(self, *inputs: PlanInput) -> PlanStep:
        """One step over the state as it is; nothing is appended."""
        return decide(inputs, self.state, self.registry, self.policy, self.now_ms, sizes=self.sizes)

    def run(self, *inputs: PlanInput, append: bool = True, emit: bool = True) -> PlanStep:
        """One step and what the shell does with it; it may die before the append or before the outputs."""
        step = self.decide(*inputs)
        if append and step.journal:
            self.append(Kind.PLANNED, PlannedBatch(step.journal), step.at_ms)
        if append and emit:
            self.direct.extend(step.direct)
            for entry in (*step.journal, *step.again):
                self.emit(entry)
        return step

    def append(self, kind: Kind, batch: PlannedBatch, at_ms: int) -> None:
        """Append one record and apply it."""
        header = Header(kind, self.policy.lane, self.policy.shard, 1, at_ms)
        self.log.append(pack(header, batch))
        self.state.apply(header, batch, len(self.log) - 1)

    def forget(self) -> None:
        """The end of a round: the journal says how late it is, and what is over is dropped."""
        self.append(Kind.PLAN_RESTATED, PlannedBatch(()), max(self.now_ms, self.state.last_ms))
        self.state.forget()

    def emit(self, entry: Planned) -> None:
        """Write the outputs of an entry."""
        made = outputs(entry, SHARDS)
        self.work.extend(msgspec.msgpack.encode((shard, item)) for shard, item in made.work.items())
        if made.answer is not None:
            self.direct.append(made.answer)

    def folded(self, committed: int = 0) -> PlanState:
        """The state as the next owner reads it from the log."""
        return fold(self.log, committed)

    def crash(self, committed: int = 0) -> None:
        """The owner dies; the next one has the log alone."""
        self.state = self.folded(committed)


def told(direct: Direct) -> Status | DeadLetter:
    """What somebody is told: the business, or whoever reads dead letters."""
    match direct:
        case Answer():
            return direct.status
        case DeadLetter():
            return direct
        case _:
            raise AssertionError(f"not an answer: {direct}")


def fold(log: Sequence[bytes], committed: int = 0) -> PlanState:
    """A state read from a log."""
    state = PlanState(committed)
    for offset, record in enumerate(log):
        state.apply(head_of(record), body_of(record, PlannedBatch), offset)
    return state


def facts(state: PlanState, now_ms: int) -> object:
    """All that later decisions can see of a state."""
    names = {name: held for name, held in state.names.items() if held.keep_ms > now_ms}
    owed = {sender: held.free_us for sender, held in state.free.items() if held.free_us > now_ms * 1000}
    known = {name: msgspec.structs.replace(held, stated_ms=0) for name, held in names.items()}
    return known, owed, {offset: held.entry for offset, held in state.unfinished.items()}
