"""What must hold of the bill, the book and the words at the end, whatever came in which order and how often."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from pyroaring import BitMap

from broker.journal import Fold
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import Charge, ReceiptStatus
from schemas.ids import text_of
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.status import Status
from schemas.wire.columns import of_u16s, of_u32s, ranks_of, values_of
from schemas.wire.header import body_of
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.settle.world import PRICES, SETTLE_MS, SettleWorld, outcome_in

Key = tuple[bytes, int]


class Truth:
    """Every message: what deliver's journal and the receipts say of it, by plain sets."""

    def __init__(self, world: SettleWorld) -> None:
        self.last: dict[Key, int] = {}
        self.handed: set[Key] = set()
        self.market: dict[Key, int] = {}
        self.heard: dict[Key, set[int]] = defaultdict(set)
        self.items = {item.request: item for item in world.story.items}
        self.overdue: set[bytes] = set()
        """Requests of which deliver spoke after their window was over, it was down for so long. Nobody is told the end of
        these for certain: settle looks for it once a minute, and may have died and folded anew by then."""
        fold = Fold()
        for one in world.story.outcomes:
            header = fold.admit(one.record)
            body = None if header is None else outcome_in(one.record)
            if isinstance(body, Outcome):
                self._outcome(body)
            if body is not None:
                self.overdue |= {name for name in _named_in(body) if self._over(name, one)}
        for run in world.received:
            item = self.items.get(run.request)
            if item is not None and run.received_ms <= item.terms.expires_ms + SETTLE_MS:
                for rank in ranks_of(run.ranks):
                    self.heard[run.request, rank].add(run.status)

    def _over(self, request: bytes, one: Stamped) -> bool:
        return one.at_ms > self.items[request].terms.expires_ms + SETTLE_MS

    def _outcome(self, body: Outcome) -> None:
        for opened in body.opened:
            if opened.item.rows is not None:
                self._ranks(opened.item.request, len(opened.item.rows))
        for members in body.members:
            self._ranks(members.request, members.count)
        for decided in body.decided:
            markets = iter(of_u16s(decided.markets))
            for rank, status in zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True):
                self.last[decided.request, rank] = status
                if status == State.SENDING:
                    self.handed.add((decided.request, rank))
                    self.market[decided.request, rank] = next(markets) if decided.markets else decided.market
        for answered in body.answered:
            said = dict(zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True))
            for rank in ranks_of(answered.ranks):
                self.last[answered.request, rank] = said.get(rank, State.ACCEPTED)

    def _ranks(self, request: bytes, count: int) -> None:
        for rank in range(count):
            self.last.setdefault((request, rank), State.PENDING)

    def delivered(self, key: Key) -> bool:
        """Whether it was handed off and seen by the person's phone."""
        return key in self.handed and bool(self.heard[key] & {ReceiptStatus.DELIVERED, ReceiptStatus.READ})

    def billable(self) -> set[Key]:
        """The messages that are to be paid for."""
        return {key for key in self.last if self.delivered(key) and not self.items[key[0]].terms.test}

    def word(self, key: Key) -> str:
        """What is said of a message once its window is over."""
        if self.delivered(key):
            return "read" if ReceiptStatus.READ in self.heard[key] else "delivered"
        if key in self.handed and ReceiptStatus.FAILED in self.heard[key]:
            return "failed"
        last = self.last[key]
        return Reason(last).name.lower() if last in MESSAGE_REASONS else "unknown"


def _named_in(body: Outcome | Restated) -> set[bytes]:
    """The requests that a record of the journal is about."""
    if isinstance(body, Restated):
        return {entry.opened.item.request for entry in body.open}
    return {part.request for part in body.decided} | {part.request for part in body.answered}


def violations(world: SettleWorld) -> list[str]:
    """Every broken promise, as a sentence."""
    truth = Truth(world)
    return [*_charges(world, truth), *_book(world, truth), *_words(world, truth)]


def _charges(world: SettleWorld, truth: Truth) -> Iterable[str]:
    charged: set[Key] = set()
    for one in world.charges.whole:
        charge = body_of(one.record, Charge)
        ranks = {(charge.request, rank) for rank in BitMap.deserialize(charge.ranks)}
        charged |= ranks
        if any(charge.unit_micro != PRICES[truth.market[key]] for key in ranks & truth.handed):
            yield f"charged at {charge.unit_micro}, not at the price of the market"
    yield from _differences("charges", charged, truth.billable())


def _differences(where: str, charged: set[Key], billable: set[Key]) -> Iterable[str]:
    for request, rank in charged - billable:
        yield f"{where}: {request.hex()[-4:]}/{rank} is charged and was not delivered"
    for request, rank in billable - charged:
        yield f"{where}: {request.hex()[-4:]}/{rank} was delivered and is not charged"


def _book(world: SettleWorld, truth: Truth) -> Iterable[str]:
    book, billable = world.book, truth.billable()
    rows = book.execute("SELECT request, shard, ranks FROM charged").fetchall()
    yield from _differences(
        "book", {(name, rank) for name, _, packed in rows for rank in BitMap.deserialize(packed)}, billable
    )
    owed = sum(PRICES[truth.market[key]] for key in billable)
    for table in ("entries", "balances"):
        rows = book.execute(f"SELECT account = 'receivable', sum(amount_micro) FROM {table} GROUP BY 1").fetchall()
        sums = dict(rows)
        total, receivable = sum(sums.values()), sums.get(1, 0)
        if total:
            yield f"{table} sum to {total}"
        if receivable != owed:
            yield f"{table}: {receivable} owed, for messages worth {owed}"
    ((odd,),) = book.execute("SELECT (SELECT count(*) FROM conflicts) + (SELECT count(*) FROM set_aside)")
    if odd:
        yield f"{odd} charges in conflict or set aside"


def _words(world: SettleWorld, truth: Truth) -> Iterable[str]:
    """The newest word about each request is the truth, whoever said it and however often."""
    newest: dict[str, list[Status]] = {}
    for status in world.statuses:
        held = newest.get(status.request, [status])
        if held[0].seq <= status.seq:
            newest[status.request] = [status] if held[0].seq < status.seq else [*held, status]
    for request in truth.items.keys() - truth.overdue:
        right = Counter(truth.word(key) for key in truth.last if key[0] == request)
        told = [status.counts for status in newest.get(text_of(request), ())]
        if right and (not told or any(Counter(counts) != right for counts in told)):
            yield f"{request.hex()[-4:]} ended as {dict(right)}, and the last words were {told}"
