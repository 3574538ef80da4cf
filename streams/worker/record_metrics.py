"""From what the stages did to what operators see: the one place that turns steps into metrics of the catalogue."""

from collections import Counter
from collections.abc import Container, Iterable

from broker.deliver.frame import Batch
from broker.deliver.item import Item
from broker.deliver.state import Append, ShardState
from broker.heartbeat import is_heartbeat
from broker.plan.outputs import Answer
from broker.plan.step import PlanStep
from broker.settle.engine import Settle
from schemas.delivery_journal import Outcome
from schemas.facts import Scope, Suppression
from schemas.gateway_api import Code, FrameAnswer
from schemas.lanes import Lane, Retention
from schemas.plan_journal import Planned
from schemas.reasons import Reason, State, word_of
from schemas.status import DeadLetter
from schemas.wire.columns import count_of, counts_of, of_u32s
from streams.kafka.journal import Journal
from streams.kafka.producer import Outgoing
from streams.runtime import clock, metrics
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.runtime.rate_limited_log import RateLimitedLine

_status_lost = RateLimitedLine(Event.STATUS_LOST, component="outputs")


def arrived(stage: str, lane: Lane) -> None:
    """A record came into a stage."""
    metrics.STAGE_IN.of(stage, lane.word).inc()


def finished(stage: str, lane: Lane, arrived_ms: int) -> None:
    """A record is finished in a stage: taken over, or joined and acted on. ``arrived_ms`` is Kafka's time of it."""
    metrics.STAGE_OUT.of(stage, lane.word).inc()
    metrics.STAGE_SECONDS.of(stage, lane.word).observe(max(0, clock.now_ms() - arrived_ms) / 1000)


def evidence_in(settle: Settle) -> Counter[str]:
    """Returns what a join has counted so far: by the metric's labels, and ``charged``."""
    counts = settle.counts
    return Counter(
        joined=counts.received,
        late=counts.late,
        stray=counts.stray,
        unmatched=settle.quarantine.dropped,
        contradicted=counts.contradictions,
        known=counts.known,
        unknown=counts.unknown,
        charged=counts.charged,
    )


def settled(lane: Lane, settle: Settle, before: Counter[str]) -> Counter[str]:
    """Counts what a join has met since it had counted ``before``; returns what it has counted now."""
    now = evidence_in(settle)
    for word, count in (now - before).items():
        family = metrics.CHARGED.of(lane.word) if word == "charged" else metrics.EVIDENCE.of(lane.word, word)
        family.inc(count)
    return now


def opened(journal: str, lane: Lane, shard: int, owned: Journal, seconds: float) -> None:
    """A journal is folded and claimed."""
    metrics.JOURNAL_EPOCH.of(journal, lane.word, str(shard)).set(owned.epoch)
    metrics.JOURNAL_FOLD.of(journal, lane.word).observe(seconds)


def floor_seen(stage: str, shard: int, owned: Journal, kept: Retention) -> None:
    """Counts and logs a floor that is older than half of what its topic keeps. Asked once a minute, soon after an opening."""
    age_ms = owned.claims.age_ms(clock.now_ms())
    if age_ms > (kept.plans_ms if stage == "plan" else kept.outcomes_ms) // 2:
        _alert(metrics.FLOOR_OLD, 1)
        log(Event.FLOOR_OLD, component=stage, shard=shard, seconds=age_ms // 1000)


def inputs_lost(stage: str, lane: Lane, topic: str, partition: int, records: int) -> None:
    """Counts and logs records of an input that were trimmed before anybody had read them."""
    metrics.INPUTS_LOST.of(stage, lane.word).inc(records)
    log(Event.INPUTS_LOST, component=stage, topic=topic, partition=partition, records=records)


def status_lost(record: Outgoing) -> None:
    """Counts and logs a status that nobody can be told, because its business's topic is gone."""
    _alert(metrics.STATUS_LOST, 1)
    _status_lost.say(topic=record.topic)


def journaled(journal: str, lane: Lane, owned: Journal, seconds: float, before: tuple[int, int]) -> None:
    """Counts an append that was acknowledged; ``before`` holds the voids and gaps counted until then."""
    metrics.JOURNAL_APPEND.of(journal, lane.word).observe(seconds)
    voids, gaps = owned.fold.voids - before[0], owned.gaps - before[1]
    if voids or gaps:
        metrics.JOURNAL_VOIDS.of(journal, lane.word).inc(voids)
        metrics.JOURNAL_GAPS.of(journal, lane.word).inc(gaps)


def planned(lane: Lane, step: PlanStep) -> None:
    """Plan decided some requests."""
    for entry in step.journal:
        if entry.verdict == 0:
            metrics.ACCEPTED.of(lane.word, _heartbeat(entry)).inc()
        else:
            _refused(lane, Reason(entry.verdict).word)
    for one in step.direct:
        match one:
            case DeadLetter():
                metrics.DEAD_LETTERS.of(one.stage, one.reason).inc()
                _refused(lane, one.reason)
            case Answer(status=status) if status.state == "refused":
                _refused(lane, status.reason)
            case _:
                pass


def _refused(lane: Lane, reason: str) -> None:
    metrics.REFUSED.of(lane.word, reason).inc()
    _alert(reason, 1)


def _alert(reason: str, count: int) -> None:
    """Count a word once more if the table of consequences says that an operator should know."""
    if reason in metrics.ALERT.values:
        metrics.ALERTS.of(reason).inc(count)


def heartbeats_in(append: Append, state: ShardState) -> set[bytes]:
    """Returns which requests of an append are heartbeats; asked before it is folded, which forgets what is finished."""
    if not isinstance(append.body, Outcome):
        return set()
    body = append.body
    opened = {each.item.request for each in body.opened if is_heartbeat(each.item.terms.business)}
    named = [*(each.request for each in body.decided), *(each.request for each in body.answered)]
    return opened.union(name for name in named if (item := state.items.get(name)) is not None and item.unlimited)


def appended(lane: Lane, append: Append, heartbeats: Container[bytes] = ()) -> None:
    """Deliver's journal took decisions and answers; ``heartbeats`` are counted apart."""
    if not isinstance(append.body, Outcome):
        return
    _alert(Reason.CRASHED_WORKER.word, append.given_up + _crashed_frames(append.body))
    messages: Counter[int] = Counter()
    apart: Counter[int] = Counter()
    for section in append.body.decided:
        states = apart if section.request in heartbeats else messages
        for status, count in counts_of(section.statuses):
            states[status] += count
    for answer in append.body.answered:
        states = apart if answer.request in heartbeats else messages
        states.update(answer.except_statuses)
        states[State.ACCEPTED] += count_of(answer.ranks) - len(answer.except_statuses)
    for word, states in (("no", messages), ("yes", apart)):
        for status, count in states.items():
            metrics.MESSAGES.of(lane.word, word_of(status), word).inc(count)
            _alert(word_of(status), count)


def _crashed_frames(body: Outcome) -> int:
    """Returns how many messages are in doubt because their frame crashed workers: the code behind the state says why."""
    return sum(
        status == State.IN_DOUBT and code == Reason.CRASHED_WORKER
        for answer in body.answered
        for status, code in zip(answer.except_statuses, of_u32s(answer.except_codes), strict=False)
    )


def _heartbeat(entry: Planned) -> str:
    return "yes" if entry.terms is not None and is_heartbeat(entry.terms.business) else "no"


def moves_refused(shard: int, offset: int, moves: int) -> None:
    """Logs and counts moves in a record of deliver's journal that nobody folds."""
    log(Event.MOVE_REFUSED, component="deliver", shard=shard, offset=offset, moves=moves)
    _alert(metrics.ILLEGAL_MOVE, moves)


def suppressed(entries: Iterable[Suppression]) -> None:
    """The gateway's answers told of people who opted out; the suppressions know them now."""
    for entry in entries:
        metrics.SUPPRESSED.of(Scope(entry.scope).name.lower(), "revoke").inc()


def clock_compared(lane: Lane, ahead_ms: int) -> None:
    """Show how far the gateway's clock is ahead."""
    metrics.GATEWAY_CLOCK.of(lane.word).set(ahead_ms / 1000)


def handed_off(lane: Lane, state: ShardState, batch: Batch, answer: FrameAnswer, seconds: float) -> None:
    """The gateway answered a frame."""
    word = lane.word
    metrics.GATEWAY_ANSWERS.of(word, "taken").inc()
    metrics.GATEWAY_SECONDS.of(word).observe(seconds)
    metrics.FRAME_MESSAGES.of(word).observe(batch.rows())
    accepted = metrics.GATEWAY_CODES.of(word, str(int(Code.ACCEPTED)))
    for part, refused in zip(batch.parts, answer.sections, strict=True):
        item = state.items.get(part.request)
        taken = len(part.ranks) - len(refused)
        accepted.inc(taken)
        if item is not None and taken:
            age_s = max(0, clock.now_ms() - item.terms.time_ms) / 1000
            metrics.HANDOFF_AGE.of(word, _waited(item, part.attempt)).observe(age_s, taken)
        for one in refused:
            metrics.GATEWAY_CODES.of(word, metrics.CODE.known(str(one.code))).inc()


def _waited(item: Item, attempt: int) -> str:
    """Returns what a message had to wait for, so that a slow sender is not taken for a slow deployment.

    ``pace``: its own sender's limits (throughput, slots beside a list, the pair limit), or a pause.
    """
    if attempt > 1:
        return "retry"
    late_start = item.opened.item.start_ms > item.opened.taken_ms
    return "pace" if item.paced or item.slowed or item.held is not None or late_start else "nothing"


def stopped(lane: Lane, said_ms: int, word: str = "control") -> None:
    """Times how long after ``said_ms`` in Kafka a pause, a cancel or the ``word`` of a person took effect in a shard."""
    metrics.CONTROL_SECONDS.of(lane.word, word).observe(max(0, clock.now_ms() - said_ms) / 1000)


def unanswered(lane: Lane, how: str) -> None:
    """A frame ended without an answer."""
    metrics.GATEWAY_ANSWERS.of(lane.word, how).inc()
