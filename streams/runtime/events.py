"""Names every event that a log line may have, and those that somebody should look at."""

from enum import StrEnum
from typing import Final


class Event(StrEnum):
    """Every event name that a line may have. Dashboards and greps hold on to them: add, never rename."""

    # -- life of a process
    STARTED = "started"
    """The first line of a process: the versions of Fanfare and of Python."""
    STOPPED = "stopped"
    SERVING = "serving"
    """A listener is bound."""
    DEV_SECRETS = "dev_secrets"
    """Secrets still have their development values; ``secrets`` names them."""
    UNSAFE_TOPIC = "unsafe_topic"
    LIBRARY = "library"
    UNLISTED = "unlisted"
    """A caller used a name that is not in this list: a defect; ``name`` says which."""

    # -- group and journals
    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LEFT = "left"
    CATCHING_UP = "catching_up"
    JOURNAL_OPEN = "journal_open"
    JOURNAL_GAP = "journal_gap"
    JOURNAL_VOID = "journal_void"
    """Records of an owner that was none any more were skipped, while folding or in a gap."""
    JOURNAL_RESTATED = "journal_restated"
    """All that is open was said again: later folds begin at ``floor``."""
    HELLO_UNANSWERED = "hello_unanswered"
    FOLDED = "folded"
    INPUTS_LOST = "inputs_lost"
    """Records of an input were trimmed before anybody had read them, and an operator has accepted that."""

    # -- stages
    REQUEST_ACCEPTED = "request_accepted"
    """Plan accepted a traced request (``streams/worker/request_log.py``)."""
    RECORD_REFUSED = "record_refused"
    """Plan refused a record: each that is traced, of the others one a second, with how often."""
    RECORD_UNREADABLE = "record_unreadable"
    REROUTED = "rerouted"
    """A record was published to the partition of its business; at most once a second, with how often."""
    POISON = "poison"
    MOVE_REFUSED = "move_refused"
    """Deliver's journal holds moves that the life cycle does not have; nobody folds them: a defect."""
    FLOOR_OLD = "floor_old"
    """The floor of a journal is older than half of what its topic keeps; once it is all of it, no new owner can start."""
    STATUS_LOST = "status_lost"
    """Statuses are given up, because the topic of their business is gone or has no leader; once a second, with how many."""
    REDRIVEN = "redriven"
    """An operator sent the record of a dead letter again: where from, where to, which attempt."""
    HANDED_OFF = "handed_off"
    """The gateway answered a hand-off of a traced request."""
    CLOSED = "closed"
    """Every message of a traced request in one shard has its end."""
    HEARTBEAT_LATE = "heartbeat_late"
    """No heartbeat has come through a shard for as long as one lives; once until one comes."""
    REGISTRY_APPLIED = "registry_applied"
    """Entries of the registry were read, at the start or because somebody applied some."""

    # -- gateway, webhook, ledger
    GATEWAY_THROTTLED = "gateway_throttled"
    """The first frame in a row that the gateway had no room for."""
    GATEWAY_UNKNOWN = "gateway_unknown"
    """The first frame in a row without an answer that can be read; ``how`` is the label of the metric."""
    POST_REFUSED = "post_refused"
    """The webhook did not take a batch; at most once a second, with how often. ``why`` is the label of the metric."""
    RECEIPT_FOREIGN = "receipt_foreign"
    KEY_REFUSED = "key_refused"
    """Intake did not know the key of a request; at most once a second, with how often."""
    INTAKE_FULL = "intake_full"
    """Intake had no room for a request; at most once a second, with how often."""
    REQUEST_FAILED = "request_failed"
    """Intake failed at one request: a defect."""
    KAFKA_AWAY = "kafka_away"
    """The first event in a row that Kafka did not acknowledge."""
    KAFKA_BACK = "kafka_back"
    KAFKA_CLOCK_OFF = "kafka_clock_off"
    """This machine's clock and Kafka's differ by more than a second; said once a minute."""
    POSTED = "posted"
    BILLING_WITHOUT_TOPIC = "billing_without_topic"
    """Postings wait whose business has no topic to be billed on: `fanfare registry apply` makes it."""
    BILLING_DIFFERS = "billing_differs"
    """The newest event of a billing topic is not what the book posted under its serial: nothing more is written there."""
    FAULT_SET = "fault_set"
    """The simulated gateway was told which faults stand from now on."""
    REPORTS_OWED = "reports_owed"
    WEBHOOK_AWAY = "webhook_away"
    WEBHOOK_BACK = "webhook_back"

    # -- the last line of a process (``streams/runtime/exits.py``)
    EXIT_FENCED = "exit_fenced"
    EXIT_UNKNOWN_APPEND = "exit_unknown_append"
    EXIT_SLOT_TAKEN = "exit_slot_taken"
    EXIT_WATCHDOG = "exit_watchdog"
    EXIT_COMMIT_REFUSED = "exit_commit_refused"
    EXIT_HOLE = "exit_hole"
    EXIT_DEADLINE = "exit_deadline"
    EXIT_CRASHED = "exit_crashed"
    EXIT_CLOCK_JUMP = "exit_clock_jump"
    EXIT_TRIMMED = "exit_trimmed"
    EXIT_REFUSED_START = "exit_refused_start"
    EXIT_GROUP_LOST = "exit_group_lost"
    EXIT_OVERSIZE = "exit_oversize"
    EXIT_DISK_REFUSED = "exit_disk_refused"


WARNINGS: Final = frozenset(
    {
        Event.DEV_SECRETS,
        Event.UNSAFE_TOPIC,
        Event.UNLISTED,
        Event.JOURNAL_GAP,
        Event.HELLO_UNANSWERED,
        Event.RECORD_UNREADABLE,
        Event.POISON,
        Event.MOVE_REFUSED,
        Event.FLOOR_OLD,
        Event.INPUTS_LOST,
        Event.STATUS_LOST,
        Event.HEARTBEAT_LATE,
        Event.GATEWAY_UNKNOWN,
        Event.POST_REFUSED,
        Event.RECEIPT_FOREIGN,
        Event.WEBHOOK_AWAY,
        Event.BILLING_WITHOUT_TOPIC,
        Event.BILLING_DIFFERS,
        Event.KEY_REFUSED,
        Event.REQUEST_FAILED,
        Event.INTAKE_FULL,
        Event.KAFKA_AWAY,
        Event.KAFKA_CLOCK_OFF,
    }
)
"""Events that somebody should look at; :func:`log` gives them level ``warning``, the others ``info``."""
