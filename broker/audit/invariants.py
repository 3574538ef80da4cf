"""States the invariants in the words of journal and ranks, and the closed list of ways in which each can fail.

"Valid" means: by the epoch rule of a journal (PROTOCOL.md section 1.2, 2).

1. *Ids.* Request names, recipient ids, shards and fact keys recompute from what the producer wrote.
2. *One verdict.* A name has one valid verdict; the members of an accepted list are frozen once per shard; no status says
   otherwise.
3. *Fan-out.* Work is a pure function of ``planned``: each shard that holds a recipient has its item, byte for byte, and no
   other; a list has one item per shard, and its members are the audience's at the offset that is named.
4. *One terminal state.* A rank is decided once per attempt and ends once.
5. *No orphans.* Verdict, work, opening, decision, answer and charge name a parent that is there and valid.
6. *Moves.* A rank moves as the table of the life cycle allows: attempts 1 to n without holes (255 is kept by those
   after it), no attempt before it is due, nothing after the end, and restating changes nothing.
7. *Billing.* The union of charged ranks is the set of billable ranks: decided, delivered in time, no test.
8. *Price.* A charge costs what the card that was fixed at acceptance says for category and market; a card never changes.
9. *Ledger.* The book's ranks are the union of the charges it has read, its entries sum to zero and to their price. Each posting
   has one billing event on its business's topic, in the order of posting, and the events come to what the book took.
10. *Visible once.* The union of the gateway's logs shows a (request, recipient) once, of a valid decision made before, and
    agrees with the book: what is answered accepted was accepted, what ended otherwise was not. In doubt is counted.
11. *No skipped input.* Logs are dense, whatever lies below a committed offset has its child, or a dead letter, and what the
    webhook confirmed is in the receipts.
12. *Conservation.* Members = terminal + open; what is still open is within its window. The counts that a business is told
    add up to the same.
13. *Rates.* The gateway's logs together keep each limit on what a person gets, each sender's throughput and, in every second and
    every ten, the bound of each lane's share; nothing goes before its start.
14. *Expiry.* Nothing is decided or accepted after ``expires_ms``; nothing expires early, and nobody is given up while nothing
    forbids telling them and there is time.
15. *Consent.* Each decision agrees with the suppressions and the list at the offsets that it names, and no hand-off is
    accepted later than the bound after a STOP in scope, or the leaving of its list, was acknowledged, nor after its frame's
    ``not_after_ms``; an opt-out
    that the webhook confirmed, or that the gateway answered, is a suppression.
16. *Tenants.* Source, sender, template, lane, status topic, charge and hand-off belong to one business.
17. *Dead letters* name a record that is there, by topic, partition, offset and hash, once, and nothing that was accepted.
18. *Order.* No older version of a fact is decided after a newer one was opened, or accepted after a newer one was handed to
    the same person; nothing is superseded by nothing.
19. *Confidentiality.* Secret parameters are sealed in every record, no address stands in clear after plan, one-time
    payloads are in no dead letter, a canary is found nowhere.
20. *Ownership.* An epoch is claimed before it writes; nothing valid follows from a void record; the gateway accepts nothing of
    a lower epoch after the hello of a higher one.
21. *Control.* Nothing is handed off later than a STOP's bound after a pause or a cancel in scope was acknowledged; nothing is
    decided to be sent while the journal says that it is held, and nothing is cancelled that nobody cancelled.
"""

from collections import Counter
from enum import Enum
from typing import Final

import msgspec


class Breach(Enum):
    """Names the ways in which an invariant can fail: the number of the invariant, and the sentence for a reader."""

    NAME_DIFFERS = (1, "the name of a request does not recompute from lane, source and id")
    RECIPIENT_DIFFERS = (1, "the recipients of a verdict are not those of the request")
    WRONG_SHARD = (1, "a record lies in another partition than its recipients belong to")
    FACT_DIFFERS = (1, "the collapse key of a hand-off is not the fact of its request")

    TWO_VERDICTS = (2, "two valid verdicts about one name")
    MEMBERS_DIFFER = (2, "members were frozen twice, differently")
    TOLD_OTHERWISE = (2, "a status says otherwise than the verdict")

    WORK_MISSING = (3, "a shard was not asked for the recipients that it holds")
    WORK_DIFFERS = (3, "work is not what its verdict makes it")
    MEMBERS_WRONG = (3, "the frozen members are not those of the list at that offset")
    RANK_UNKNOWN = (3, "a rank beyond the members")
    RECIPIENT_TWICE = (3, "a recipient stands twice in one request")

    DECIDED_TWICE = (4, "a rank was decided again without an answer in between")
    TWO_TERMINALS = (4, "a rank ended twice, differently")

    VERDICT_WITHOUT_REQUEST = (5, "a verdict whose request is not at its origin")
    WORK_WITHOUT_VERDICT = (5, "work that no valid verdict asks for")
    OPENED_WITHOUT_WORK = (5, "an opening whose work is not at its origin")
    OUTCOME_WITHOUT_OPENING = (5, "an outcome of something never opened, or of members never frozen")
    CHARGE_WITHOUT_MESSAGE = (5, "a charge for something never opened")
    UNREADABLE = (5, "a record of ours that cannot be read")

    ILLEGAL_MOVE = (6, "a status that may not follow the one before")
    AFTER_TERMINAL = (6, "something follows the end of a message")
    ATTEMPT_HOLE = (6, "attempts are not numbered 1 to n")
    TOO_EARLY = (6, "an attempt before it was due")
    RESTATED_DIFFERS = (6, "a restatement that says something new")

    UNCHARGED = (7, "delivered and billable, but never charged")
    CHARGED_UNDELIVERED = (7, "charged without proof of delivery in time")
    CHARGED_TEST = (7, "a test was charged")

    PRICE_DIFFERS = (8, "a charge is not what its price card says")
    PRICE_CLASS_DIFFERS = (8, "card, category or market of a charge are not those of the message")
    CARD_REWRITTEN = (8, "a price card was changed under its number")

    LEDGER_RANKS_DIFFER = (9, "the book's ranks are not the union of the charges it has read")
    LEDGER_UNBALANCED = (9, "a posting does not sum to zero")
    CHARGED_TWICE = (9, "the book took more than the charges come to")
    BOOKED_SHORT = (9, "the book took less than the charges come to")
    UNBILLED = (9, "a posting has no billing event")
    BILLED_TWICE = (9, "a posting has two billing events")
    BILLED_OTHERWISE = (9, "a billing event says otherwise than its posting")
    BILLED_OUT_OF_ORDER = (9, "billing events are not in the order of posting")
    BILL_DIFFERS = (9, "the billing events do not come to what the book took")

    VISIBLE_TWICE = (10, "the gateway accepted one message twice")
    UNDECIDED_HAND_OFF = (10, "handed off without a valid decision before it")
    WRONG_RECIPIENT = (10, "handed off to somebody else than the rank's recipient")
    ACCEPTED_UNSEEN = (10, "the book says accepted, the gateway never took it")
    REFUSED_BUT_VISIBLE = (10, "the book says not handed off, the gateway took it")
    DELIVERED_UNSEEN = (10, "a receipt for what the gateway never took")

    COMMITTED_UNFINISHED = (11, "an offset was committed past an input that had not been finished")
    RECEIPT_LOST = (11, "a report that the webhook had confirmed is in no receipt")
    OFFSET_MISSING = (11, "a log has a hole")

    NO_VERDICT = (12, "an input that became nothing in its time")
    NOT_OPENED = (12, "work that was not taken over in its time")
    UNFINISHED = (12, "a message still open after its window")
    COUNT_DIFFERS = (12, "a status counts something else than journal and receipts")

    PERSON_LIMIT = (13, "one person got more messages than a limit allows")
    SENDER_LIMIT = (13, "a sender was faster than its throughput")
    RATE_EXCEEDED = (13, "a lane handed off more than its share of a sender in some second, or ten")
    BEFORE_START = (13, "decided before the start that plan had reserved")

    AFTER_EXPIRY = (14, "accepted by the gateway after its expiry")
    DECIDED_AFTER_EXPIRY = (14, "decided to be sent after its expiry")
    EXPIRED_EARLY = (14, "called expired before its expiry")
    EXPIRED_IDLE = (14, "expired without having been tried although its number was idle")
    ENDED_EARLY = (14, "given up although nothing forbade it and there was time")

    LATE_AFTER_STOP = (15, "handed off later than the bound after a STOP")
    PAST_NOT_AFTER = (15, "accepted after the frame's own end")
    STOP_LOST = (15, "an opt-out that the webhook had confirmed, or the gateway answered, is in no suppression")
    SENT_THOUGH_STOPPED = (15, "decided to be sent though the suppressions it names forbid it")
    REFUSED_THOUGH_ALLOWED = (15, "refused for a consent that was there")
    SENT_TO_LEAVER = (15, "decided to be sent to somebody who had left the list")
    LATE_AFTER_LEAVING = (15, "handed off later than the bound after leaving the list")

    SOURCE_OF_ANOTHER = (16, "a request accepted for another business than its source's")
    SENDER_OF_ANOTHER = (16, "a sender of another business")
    TEMPLATE_OF_ANOTHER = (16, "a template of another business, or one that is not registered")
    WRONG_LANE = (16, "a category on a lane that is not its own")
    STATUS_OF_ANOTHER = (16, "a status on the topic of another business")
    CHARGE_OF_ANOTHER = (16, "a charge to another business or sender")
    HAND_OFF_OF_ANOTHER = (16, "a hand-off for another business or sender")

    DEAD_TWICE = (17, "one record died twice, differently")
    DEAD_UNSOURCED = (17, "a dead letter whose record is not there or not the same")
    DEAD_BUT_ACCEPTED = (17, "a dead letter of a record that was accepted")

    OLDER_AFTER_NEWER = (18, "an older version was handed off after a newer one")
    DECIDED_SUPERSEDED = (18, "decided to be sent although a newer version had been opened")
    SUPERSEDED_BY_NOTHING = (18, "called superseded though nothing newer exists")

    UNSEALED = (19, "a secret parameter in clear")
    CLEAR_ADDRESS = (19, "an address in clear")
    OTP_PAYLOAD = (19, "a dead letter keeps the payload of a one-time code")
    CANARY = (19, "the canary was found")

    UNCLAIMED_EPOCH = (20, "a record of an epoch that nobody had claimed")
    VOID_ACTED_ON = (20, "an effect of a void record")
    LOWER_EPOCH_ACCEPTED = (20, "the gateway accepted a lower epoch after the hello of a higher one")

    LATE_AFTER_CONTROL = (21, "handed off later than the bound after a pause or a cancel")
    SENT_WHILE_HELD = (21, "decided to be sent while the journal says that the request is held")
    CANCELLED_BY_NOTHING = (21, "called cancelled though nobody cancelled it")

    @property
    def invariant(self) -> int:
        """The number of the invariant."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Returns the sentence for a reader."""
        return self.value[1]

    @property
    def word(self) -> str:
        """The name as it is printed: ``visible_twice``."""
        return self.name.lower()


# What was found: violations with their places, and how many messages each kind concerns.

KEPT_PER_BREACH: Final = 50
"""Beyond this a kind is only counted: a broken run must not fill the memory with its own report."""


class Violation(msgspec.Struct, frozen=True):
    """Holds one finding: the invariant, the breach, the place, and a sentence."""

    invariant: int
    name: str
    where: str
    """``topic/partition@offset``, or what else it was found in."""
    sentence: str


class Findings:
    """The violations of one audit."""

    def __init__(self) -> None:
        self.kept: list[Violation] = []
        self.found: Counter[Breach] = Counter()
        """Reports of each breach."""
        self.messages: Counter[Breach] = Counter()
        """Messages (or records) that the reports of each breach concern."""

    def report(self, breach: Breach, where: str, detail: str = "", *, messages: int = 1) -> None:
        """Reports a violation; ``detail`` ends the sentence that the breach begins."""
        self.found[breach] += 1
        self.messages[breach] += messages
        if self.found[breach] <= KEPT_PER_BREACH:
            sentence = f"{breach.meaning}: {detail}" if detail else breach.meaning
            self.kept.append(Violation(breach.invariant, breach.word, where, sentence))

    @property
    def total(self) -> int:
        """Returns how many violations were reported."""
        return self.found.total()
