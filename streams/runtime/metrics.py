"""The catalogue of metrics: every name that a dashboard or an alert may hold on to, once, with its meaning and labels.

Prefix ``fanfare_``, seconds and totals. Labels are closed sets: never an id, a business, a number. Times that matter are
ages, not lags: how long something has been on its way, counted from the event's own ``time`` where it has one. Everybody
counts through here (``metrics.STAGE_IN.of("plan", "otp").inc()``); ``catalogue()`` is the list for documents.
"""

from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from broker.consequences import CONSEQUENCES
from schemas.facts import ReceiptStatus, Scope
from schemas.gateway_api import Code
from schemas.lanes import Category, Lane
from schemas.reasons import Reason, State
from streams.runtime.prometheus import OTHER, Counter, Family, Gauge, Histogram, Label

REGISTRY: Final = CollectorRegistry(auto_describe=False)
"""Registry of this process's metrics; not the library's global one, so that nothing of a library's slips in."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

MAX_SHARDS: Final = 1_024

PROGRAM: Final = Label("program", ("worker", "webhook", "ledger", "gateway", "intake"))
LANE: Final = Label("lane", [lane.word for lane in Lane])
ALL: Final = "all"
"""The lane of what is not parted by lanes: records of ``charges`` that the ledger has not read yet."""
LANE_OR_ALL: Final = Label("lane", [*LANE.values, ALL])
STAGE: Final = Label("stage", ("plan", "deliver", "settle", "ledger"))
READER: Final = Label("stage", (*STAGE.values, "webhook", "intake"))
JOURNAL: Final = Label("journal", ("plans", "outcomes"))
SHARD: Final = Label("shard", [str(shard) for shard in range(MAX_SHARDS)])
STATE: Final = Label(
    "state", [state.name.lower() for state in State] + [reason.word for reason in Reason if reason < 64]
)
REFUSAL: Final = Label("reason", [reason.word for reason in Reason if reason >= 100])
ILLEGAL_MOVE: Final = "illegal_move"
"""A move of a message that the life cycle does not have (``broker/deliver/moves.py``)."""
FLOOR_OLD: Final = "floor_old"
"""The floor of a journal is older than half of what its topic keeps (``broker/claims.py``)."""
STATUS_LOST: Final = "status_lost"
"""A status that was given up, because the topic of its business is gone or has no leader (``kafka/output_producer.py``)."""
ALERT: Final = Label(
    "reason", [*(each.word for each, row in CONSEQUENCES.items() if row.alert), ILLEGAL_MOVE, FLOOR_OLD, STATUS_LOST]
)
INPUT: Final = Label("topic", ("requests", "work", "outcomes", "receipts", "charges"))
TAIL: Final = Label("topic", ("suppressions", "audience.changes", "registry", "controls"))
FOLLOWED: Final = Label("topic", (*TAIL.values, "audience.sizes", *INPUT.values[1:]))
_FAILED: Final = ("unavailable", "refused", "reset", "time_out", "server_error", "unreadable", "unexpected_status")
ANSWER: Final = Label("answer", ("taken", "throttled", *_FAILED))
HEARTBEAT: Final = Label("heartbeat", ("no", "yes"))
"""Apart from what businesses publish, so that operators may look at either."""
WAITED: Final = Label("waited", ("nothing", "pace", "retry"))
CODE: Final = Label("code", [str(code.value) for code in Code] + [OTHER])
STATUS: Final = Label("status", [status.name.lower() for status in ReceiptStatus])
EVIDENCE_WORD: Final = Label("evidence", ("joined", "late", "stray", "unmatched", "contradicted", "known", "unknown"))
POST: Final = Label(
    "answer",
    (
        *("taken", "unreadable", "bad_signature", "too_old", "too_slow"),
        *("too_large", "compressed", "failed", "too_many"),
    ),
)
INTAKE: Final = Label(
    "outcome",
    (
        *("accepted", "invalid", "no_key", "not_yours", "not_found", "wrong_method", "too_slow", "gone", "too_large"),
        *("unsupported", "too_many", "kafka_away", "failed"),
    ),
)
REPLY: Final = Label("kind", ("text", "button", "block", "unblock", OTHER))
WORD: Final = Label("word", ("control", "stop"))
CONFIRMATION: Final = Label("outcome", ("asked", "known", "no_template", "no_sender", "no_address"))
SCOPE: Final = Label("scope", [scope.name.lower() for scope in Scope])
OP: Final = Label("op", ("revoke", "restore"))
CATEGORY: Final = Label("category", [category.word for category in Category])
CURRENCY: Final = Label("currency", ("EUR", "USD", "GBP", "INR", "BRL", OTHER))
PHONES: Final = Label("event", ("accepted", "repeated", "refused", "fenced", "stale"))
SECRET: Final = Label("secret", ("pepper", "address_keys", "ref_secret", "webhook_secret", "seal_keys"))

FAST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""For single steps: an append is about 1 ms, a frame's time-out 2 to 10 s."""

AGE_S: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 1800.0, 7200.0, 86400.0),
)
"""Around what is promised: a code within 10 ms (half) and 25 ms (99 %), an update within a second, recovery within 5 s."""

SIZES: Final = (1, 4, 16, 64, 256, 1024, 4096)

UP: Final = Gauge(REGISTRY, "fanfare_up", "1 for the program that answers here.", PROGRAM)
DEV_SECRET: Final = Gauge(REGISTRY, "fanfare_dev_secret", "1 if this secret still has its development value.", SECRET)

STAGE_IN: Final = Counter(REGISTRY, "fanfare_stage_in_total", "Records taken in.", STAGE, LANE)
INPUTS_LOST: Final = Counter(
    REGISTRY, "fanfare_inputs_lost_total", "Records of inputs that were trimmed unread and given up.", STAGE, LANE
)
STAGE_OUT: Final = Counter(REGISTRY, "fanfare_stage_out_total", "Records finished: taken over or joined.", STAGE, LANE)
STAGE_WAITING: Final = Gauge(
    REGISTRY, "fanfare_stage_waiting", "Items that have come in and are not finished.", STAGE, LANE_OR_ALL
)
STAGE_OLDEST: Final = Gauge(
    REGISTRY,
    "fanfare_stage_oldest_seconds",
    "Age of the oldest unfinished item that is due; 0 if there is none.",
    STAGE,
    LANE_OR_ALL,
)
STAGE_SECONDS: Final = Histogram(
    REGISTRY,
    "fanfare_stage_seconds",
    "From a record's arrival in a stage until it is finished.",
    STAGE,
    LANE,
    bounds=FAST_S,
)

ACCEPTED: Final = Counter(REGISTRY, "fanfare_requests_accepted_total", "Requests that plan accepted.", LANE, HEARTBEAT)
REFUSED: Final = Counter(
    REGISTRY, "fanfare_requests_refused_total", "Requests that plan refused, by reason.", LANE, REFUSAL
)
DEAD_LETTERS: Final = Counter(
    REGISTRY, "fanfare_dead_letters_total", "Records set aside, by stage and reason.", READER, REFUSAL
)
UNREAD: Final = Gauge(
    REGISTRY,
    "fanfare_unread_records",
    "Records of a topic that this process could not read and goes without. An entry of a compacted topic counts until another "
    "one replaces it.",
    FOLLOWED,
    LANE_OR_ALL,
)
MESSAGES: Final = Counter(
    REGISTRY, "fanfare_messages_total", "Messages that came into a state in deliver's journal.", LANE, STATE, HEARTBEAT
)
ALERTS: Final = Counter(
    REGISTRY,
    "fanfare_alerts_total",
    "Messages, requests, records, refused moves and old floors with a reason that an operator should know.",
    ALERT,
)
HANDOFF_AGE: Final = Histogram(
    REGISTRY,
    "fanfare_handoff_age_seconds",
    "From the event's time until the gateway accepted the message, by what it had to wait for beside its turn: for nothing, "
    "for its own sender (pace: a list, more than a burst, a later start, slots beside a list, the pair limit, a pause), or "
    "after an answer of the gateway that was no acceptance (retry).",
    LANE,
    WAITED,
    bounds=AGE_S,
)

JOURNAL_EPOCH: Final = Gauge(
    REGISTRY, "fanfare_journal_epoch", "The epoch under which this process owns a journal.", JOURNAL, LANE, SHARD
)
JOURNAL_VOIDS: Final = Counter(
    REGISTRY, "fanfare_journal_voids_total", "Void records between this process's own appends.", JOURNAL, LANE
)
JOURNAL_GAPS: Final = Counter(
    REGISTRY, "fanfare_journal_gaps_total", "Appends that did not follow the last own record.", JOURNAL, LANE
)
JOURNAL_APPEND: Final = Histogram(
    REGISTRY, "fanfare_journal_append_seconds", "From an append to its acknowledgement.", JOURNAL, LANE, bounds=FAST_S
)
JOURNAL_FOLD: Final = Histogram(
    REGISTRY,
    "fanfare_journal_open_seconds",
    "From assignment until the journal is folded and claimed.",
    JOURNAL,
    LANE,
    bounds=FAST_S,
)

FLOOR_AGE: Final = Gauge(
    REGISTRY, "fanfare_floor_age_seconds", "Age of the record where a fold begins; the oldest shard.", JOURNAL, LANE
)
FOLD_RECORDS: Final = Gauge(
    REGISTRY, "fanfare_journal_fold_records", "Records from the floors of the shards held here on.", JOURNAL, LANE
)
FOLD_BYTES: Final = Gauge(
    REGISTRY, "fanfare_journal_fold_bytes", "Bytes from the floors of the shards held here on.", JOURNAL, LANE
)

LAG: Final = Gauge(
    REGISTRY,
    "fanfare_lag_records",
    "Records behind the end of an input, over the shards held here.",
    INPUT,
    LANE_OR_ALL,
)
TAIL_AGE: Final = Gauge(
    REGISTRY, "fanfare_tail_age_seconds", "How old the view of a followed topic is, the oldest shard.", TAIL, LANE
)

GATEWAY_ANSWERS: Final = Counter(
    REGISTRY, "fanfare_gateway_answers_total", "Frames by how the call ended.", LANE, ANSWER
)
GATEWAY_CODES: Final = Counter(
    REGISTRY, "fanfare_gateway_codes_total", "Messages by the gateway's code; 0 is accepted.", LANE, CODE
)
GATEWAY_SECONDS: Final = Histogram(
    REGISTRY, "fanfare_gateway_seconds", "From a frame to its answer.", LANE, bounds=FAST_S
)
GATEWAY_CLOCK: Final = Gauge(
    REGISTRY,
    "fanfare_gateway_clock_ahead_seconds",
    "How far the gateway's clock is surely ahead of this process's (negative: behind), by the times of its answers.",
    LANE,
)
KAFKA_CLOCK: Final = Gauge(
    REGISTRY,
    "fanfare_kafka_clock_ahead_seconds",
    "How far the clock of this process is surely ahead of Kafka's (negative: behind), by the times of its appends.",
    PROGRAM,
)
CONTROL_SECONDS: Final = Histogram(
    REGISTRY,
    "fanfare_control_latency_seconds",
    "From Kafka's acknowledgement of a pause or cancel (`control`) or opt-out (`stop`) until nothing more leaves that it stops.",
    LANE,
    WORD,
    bounds=FAST_S,
)
FRAME_MESSAGES: Final = Histogram(REGISTRY, "fanfare_frame_messages", "Messages in a frame.", LANE, bounds=SIZES)

POSTS: Final = Counter(
    REGISTRY, "fanfare_webhook_posts_total", "Batches that the gateway reported, by our answer.", POST
)
INTAKE_REQUESTS: Final = Counter(
    REGISTRY, "fanfare_intake_requests_total", "HTTP requests to intake, by our answer.", INTAKE
)
INTAKE_EVENTS: Final = Counter(REGISTRY, "fanfare_intake_events_total", "Events that intake put into Kafka.", LANE)
INTAKE_SECONDS: Final = Histogram(
    REGISTRY, "fanfare_intake_seconds", "From a request's head to our answer, by outcome.", INTAKE, bounds=FAST_S
)
INTAKE_IN_FLIGHT: Final = Gauge(
    REGISTRY, "fanfare_intake_in_flight", "Requests that intake has let in and not answered yet."
)
RECEIPTS: Final = Counter(REGISTRY, "fanfare_receipts_total", "Receipts by what they say, in messages.", LANE, STATUS)
FOREIGN: Final = Counter(REGISTRY, "fanfare_receipts_foreign_total", "Receipts whose reference is not ours; set aside.")
REPLIES: Final = Counter(REGISTRY, "fanfare_replies_total", "What people answered, by kind.", REPLY)
CONFIRMATIONS: Final = Counter(
    REGISTRY,
    "fanfare_stop_confirmations_total",
    "Confirmations of stops that were asked for, or why one was not.",
    CONFIRMATION,
)
SUPPRESSED: Final = Counter(REGISTRY, "fanfare_suppressions_total", "Stops and their withdrawal.", SCOPE, OP)

CHARGED: Final = Counter(
    REGISTRY, "fanfare_charged_messages_total", "Messages that settle charged for the first time.", LANE
)
EVIDENCE: Final = Counter(
    REGISTRY,
    "fanfare_evidence_total",
    "What settle met, in messages: receipts that counted (`joined`), came after the settle window (`late`, never billed), "
    "named ranks that do not exist (`stray`) or, in records, a request that was never opened (`unmatched`); messages that were "
    "reported failed and delivered (`contradicted`, they count as delivered); messages whose window ended with a final word "
    "(`known`) or without (`unknown`).",
    LANE,
    EVIDENCE_WORD,
)
EVIDENCE_WAITING: Final = Gauge(
    REGISTRY, "fanfare_evidence_waiting", "Receipts and journal sections whose request settle does not know.", LANE
)
POSTED: Final = Counter(REGISTRY, "fanfare_ledger_posted_total", "Messages posted to the ledger.", CATEGORY)
POSTED_MICRO: Final = Counter(
    REGISTRY, "fanfare_ledger_posted_micro_total", "Amounts posted, in micro-units.", CURRENCY
)
POSTED_AGAIN: Final = Counter(
    REGISTRY, "fanfare_ledger_repeats_total", "Messages that came charged twice and were posted once."
)
POSTED_CONFLICTS: Final = Counter(
    REGISTRY, "fanfare_ledger_conflicts_total", "Messages that came charged again at another price; the first stands."
)
CHARGES_SET_ASIDE: Final = Counter(
    REGISTRY, "fanfare_ledger_set_aside_total", "Charge records that could not be read and were not posted."
)
BILLED: Final = Counter(REGISTRY, "fanfare_billing_events_total", "Billing events that the ledger wrote.")
BILLING_OLDEST: Final = Gauge(
    REGISTRY, "fanfare_billing_oldest_seconds", "How long a posting has waited for its billing event; 0 if none waits."
)

HEARTBEAT_AGE: Final = Gauge(
    REGISTRY, "fanfare_heartbeat_age_seconds", "Since a heartbeat last crossed every stage of this shard.", LANE, SHARD
)
PHONES_MESSAGES: Final = Counter(
    REGISTRY, "fanfare_simulator_messages_total", "Messages at the simulated gateway.", LANE, PHONES
)
PHONES_REPORTS: Final = Counter(REGISTRY, "fanfare_simulator_reports_total", "Receipts that the phones sent.", STATUS)


def catalogue() -> tuple[Family, ...]:  # type: ignore[type-arg]
    """Every metric of ours, in the order of the catalogue: name, kind, unit, meaning, labels."""
    return tuple(value for value in globals().values() if isinstance(value, Family))
