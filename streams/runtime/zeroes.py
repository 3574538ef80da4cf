"""Counters that are there before anything was counted: ``rate()`` over a counter that appears with its first increment sees none.

Only what a program counts is begun in it, and only closed sets of labels, a few hundred in a worker.
"""

from schemas.lanes import Lane
from schemas.reasons import Reason
from streams.runtime import metrics

_STAGES = ("plan", "deliver", "settle")
_JOURNALS = ("plans", "outcomes")


def worker(lane: Lane) -> None:
    """Makes the metrics of a worker of ``lane`` start at zero."""
    word = lane.word
    for family in (metrics.STAGE_IN, metrics.STAGE_OUT, metrics.INPUTS_LOST):
        for stage in _STAGES:
            family.begin(stage, word)
    metrics.CHARGED.begin(word)
    metrics.ACCEPTED.begin(word, None)
    metrics.MESSAGES.begin(word, None, None)
    for family in (metrics.REFUSED, metrics.GATEWAY_ANSWERS, metrics.GATEWAY_CODES, metrics.EVIDENCE):
        family.begin(word, None)
    for journal in _JOURNALS:
        metrics.JOURNAL_VOIDS.begin(journal, word)
        metrics.JOURNAL_GAPS.begin(journal, word)
    metrics.DEAD_LETTERS.begin("plan", None)
    for stage in ("deliver", "settle"):
        metrics.DEAD_LETTERS.begin(stage, Reason.UNREADABLE.word)
    metrics.ALERTS.begin(None)
    metrics.SUPPRESSED.begin(None, "revoke")


def webhook() -> None:
    """Makes the metrics of the webhook start at zero."""
    metrics.RECEIPTS.begin(None, None)
    metrics.SUPPRESSED.begin(None, None)
    metrics.POSTS.begin(None)
    metrics.REPLIES.begin(None)
    metrics.CONFIRMATIONS.begin(None)
    metrics.FOREIGN.begin()
    _reader("webhook")


def ledger() -> None:
    """Makes the metrics of the ledger start at zero."""
    metrics.STAGE_IN.begin("ledger", None)
    metrics.STAGE_OUT.begin("ledger", None)
    metrics.POSTED.begin(None)
    metrics.POSTED_MICRO.begin(None)
    metrics.POSTED_AGAIN.begin()
    metrics.POSTED_CONFLICTS.begin()
    metrics.CHARGES_SET_ASIDE.begin()
    metrics.BILLED.begin()
    _reader("ledger")


def _reader(program: str) -> None:
    metrics.DEAD_LETTERS.begin(program, Reason.UNREADABLE.word)
    metrics.ALERTS.begin(Reason.UNREADABLE.word)


def gateway(lane: Lane) -> None:
    """Makes the metrics of a listener of the simulated gateway start at zero."""
    metrics.PHONES_MESSAGES.begin(lane.word, None)
    metrics.PHONES_REPORTS.begin(None)
