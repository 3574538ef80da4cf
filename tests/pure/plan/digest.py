"""The verdicts of plan on seeded inputs as a digest: ``python -m tests.pure.plan.digest 100000`` prints it.

Two numbers: ``bytes`` is of all that plan appends and says; ``verdicts`` leaves the sentences out, so that a reworded one
changes the first alone.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from broker.plan.control_events import ControlRecord
from broker.plan.decode import PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import Answer, Direct, Rerouted, outputs
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState, restatement
from broker.plan.step import PlanStep, decide
from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.plan_journal import Origin, Planned, PlannedBatch
from schemas.reasons import Reason
from schemas.registry import Parameter, PriceCard, Sender, Template
from schemas.status import DeadLetter
from schemas.wire.header import Header, Kind
from tests.pure.plan.inputs import BOOK, PEPPER, SHARDS, Producers, registry, sizes

RECORDED: Final = {
    5_000: (
        "dbb6719d195b93e102f1dedc26c3f61381ee10103123f33f02a1aaa583de1f35",
        "18b7aee942859b943193f832141419ee2b1d3859b230fba44824f4fd5feb9d34",
    ),
    100_000: (
        "9c44a856e94e1e1e0d3a8034bc3b794db7b7a2fc6f459c3112125b46b0bae66c",
        "62cfcc4dce7c3765acb368563f172d09b96a422d42a5fb10145c9b685179755a",
    ),
}
"""``bytes`` and ``verdicts`` by how many inputs. Whoever rewords a sentence records the first anew; the second stays."""

BEGIN_MS: Final = 1_790_000_000_000
_encoder: Final = msgspec.msgpack.Encoder()


class Digest(NamedTuple):
    """What plan made of the inputs."""

    bytes: str
    """Of everything, sentences included."""
    verdicts: str
    """Of everything but sentences."""
    outcomes: Counter[str]


class _Partition:
    """A partition of a lane: what waits there, what was taken, and the state."""

    def __init__(self, lane: Lane, shard: int) -> None:
        self.policy = PlanPolicy.of(lane, shard, pepper=PEPPER, address_book=BOOK)
        self.state = PlanState()
        self.waiting: list[PlanInput] = []
        self.taken: list[PlanInput] = []
        self.end = 0

    def receive(self, key: bytes | None, value: bytes | None, headers: Any, now_ms: int) -> None:
        """Take a record into the log."""
        self.waiting.append(PlanInput(Origin(self.policy.shard, self.end), key, value, headers, now_ms))
        self.end += 1


class _Run:
    """All partitions, a clock, a registry that changes, and the digests of what went out."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.producers = Producers(self.rng)
        self.partitions = {(lane, shard): _Partition(lane, shard) for lane in Lane for shard in range(SHARDS)}
        self.registry, self.sizes = registry(), sizes()
        self.now_ms = BEGIN_MS
        self.bytes, self.verdicts = hashlib.sha256(), hashlib.sha256()
        self.outcomes: Counter[str] = Counter()
        self.versions = 9

    def publish(self, count: int) -> None:
        """Draw records and put them where their producers send them."""
        for _ in range(count):
            said = self.producers.draw(self.now_ms)
            self.partitions[said.lane, said.partition].receive(said.key, said.value, said.headers, self.now_ms)

    def weather(self) -> None:
        """Time passes, and the operator changes the registry."""
        self.now_ms += self.rng.choice((0, 1, 30, 200, 1_000))
        roll = self.rng.random()
        if roll < 0.02:
            self.now_ms += self.rng.choice((MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 26 * HOUR_MS))
        elif roll < 0.03:
            self.versions += 1
            self.registry.add(self._change())

    def _change(self) -> Template | PriceCard | Sender:
        active = self.rng.random() < 0.9
        match self.rng.randrange(3):
            case 0:
                texts = {"en": "{city}", "es": "{city}"}
                return Template("offer", "marketing", (Parameter("city"),), texts, version=self.versions)
            case 1:
                prices = {"utility": {"*": 3}, "authentication": {"*": 3}} | ({"marketing": {"*": 3}} if active else {})
                return PriceCard(self.versions, "USD", prices)
            case _:
                return Sender("airline/main", "airline", "+12015550100", active=active, rate_per_s=400, default=True)

    def serve(self, part: _Partition) -> int:
        """Decide all that waits in a partition, with crashes between; how many inputs were decided."""
        decided = 0
        while part.waiting:
            batch = part.waiting[: self.rng.choice((1, 5, 256))]
            step = decide(batch, part.state, self.registry, part.policy, self.now_ms, sizes=self.sizes)
            decided += step.consumed
            self.note(step)
            roll = self.rng.random()
            if roll < 0.02:
                continue
            self.append(part, Kind.PLANNED, step.journal, step.at_ms)
            if roll < 0.05:
                continue
            part.taken = (part.taken + part.waiting[: step.consumed])[-40:]
            del part.waiting[: step.consumed]
            self._move(part.policy.lane, step)
        return decided

    def _move(self, lane: Lane, step: PlanStep) -> None:
        """Records that belong elsewhere are published there; sometimes twice, as a crash leaves them."""
        for one in step.direct:
            if isinstance(one, Rerouted):
                for _ in range(self.rng.choice((1, 1, 1, 2))):
                    self.partitions[lane, one.partition].receive(one.key, one.value, one.headers, self.now_ms)

    def append(self, part: _Partition, kind: Kind, entries: Sequence[Planned], at_ms: int) -> None:
        """Append to the journal and fold it."""
        if entries or kind is Kind.PLAN_RESTATED:
            header = Header(kind, part.policy.lane, part.policy.shard, 1, at_ms)
            part.state.apply(header, PlannedBatch(tuple(entries)), part.state.upto + 1)

    def keep_house(self, part: _Partition) -> None:
        """Redeliver, commit, restate and forget, as owners do now and then."""
        roll = self.rng.random()
        if roll < 0.05:
            part.waiting.extend(part.taken[self.rng.randrange(len(part.taken) + 1) :])
        elif roll < 0.12:
            part.state.committed(part.end)
        elif roll < 0.14:
            self.append(part, Kind.PLAN_RESTATED, (), max(self.now_ms, part.state.last_ms))
            now_ms = part.state.last_ms
            body = restatement(part.state, part.policy.shard, now_ms=now_ms, before_ms=now_ms - HOUR_MS, most=10**9)
            if body is not None:
                self._say("restated", body)
                self.append(part, Kind.PLAN_RESTATED, body.entries, now_ms)
            part.state.forget()

    # -- what it came to

    def note(self, step: PlanStep) -> None:
        """Take a step into the digests and the counts."""
        self._say("step", (step.consumed, step.at_ms))
        for kind, entries in (("journal", step.journal), ("again", step.again)):
            for entry in entries:
                self._say(kind, entry)
                made = outputs(entry, SHARDS)
                self._say("work", sorted(made.work.items()))
                if made.answer is not None:
                    self._say(made.answer.business, made.answer.status)
        for direct in step.direct:
            for kind, value in _parts(direct):
                self._say(kind, value)
        told = [_outcome(direct) for direct in step.direct]
        told += [Reason(entry.verdict).word if entry.verdict else "accepted" for entry in step.journal]
        told += ["again"] * len(step.again)
        self.outcomes.update(word for word in told if word)
        self.outcomes["nothing, for its outputs are out"] += step.consumed - sum(map(bool, told))

    def _say(self, kind: str, value: Any) -> None:
        self.bytes.update(_encoder.encode((kind, value)))
        if getattr(value, "detail", ""):
            value = msgspec.structs.replace(value, detail="")
        self.verdicts.update(_encoder.encode((kind, value)))


def _parts(direct: Direct) -> Iterator[tuple[str, Any]]:
    """What of a direct output goes out, apart from how the code calls its parts."""
    match direct:
        case Answer():
            yield direct.business, direct.status
        case AudienceRecord():
            yield f"audience {direct.shard}", direct.change
        case ControlRecord():
            yield f"control {direct.lane}", direct.word
        case DeadLetter():
            yield "dead letter", direct
        case Rerouted():
            yield f"rerouted {direct.partition}", (direct.key, direct.value, direct.headers)
        case _:
            assert_never(direct)


def _outcome(direct: Direct) -> str:
    """The word under which an input is counted; nothing for records beside the answer."""
    match direct:
        case Answer():
            return direct.status.reason or f"taken: {next(iter(direct.status.counts or {}), '?')}"
        case DeadLetter():
            return f"dead letter: {direct.reason}"
        case Rerouted():
            return "rerouted"
        case _:
            return ""


def digest(count: int, seed: int = 1) -> Digest:
    """Decide ``count`` inputs, or a few more, drawn from ``seed``."""
    run = _Run(seed)
    decided = 0
    while decided < count:
        run.publish(run.rng.choice((1, 8, 40, 120)))
        for part in run.partitions.values():
            decided += run.serve(part)
            run.keep_house(part)
        run.weather()
    return Digest(run.bytes.hexdigest(), run.verdicts.hexdigest(), run.outcomes)


if __name__ == "__main__":
    found = digest(int(sys.argv[1]))
    print(f"bytes     {found.bytes}\nverdicts  {found.verdicts}\n{found.outcomes.total():,} inputs")
    for word, times in found.outcomes.most_common():
        print(f"{times:8,}  {word}")
    if int(sys.argv[1]) in RECORDED:
        same = (found.bytes, found.verdicts) == RECORDED[int(sys.argv[1])]
        print("as recorded" if same else "NOT as recorded")
        sys.exit(not same)
