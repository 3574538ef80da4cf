"""Settle: one shard of one lane, its outcomes and receipts joined into charges, statuses and final words.

Nothing is decided here. Every input is a join, so repeats, reordering and zombies change nothing; every output may be
repeated, because the ledger unites ranks and readers of statuses drop lower ``seq``.

- *Charges* go out with the next :meth:`Settle.due`, so whoever commits inputs after the effects of ``due`` are acknowledged
  loses none. Charged is what was handed off and delivered or read, once; tests never are.
- *Statuses* of few explicit recipients go out at once, others at most once in ``speak_ms``, and at once when closed.
- *Evidence counts* if the webhook received it before expiry + settle window: a property of the record, so all agree.
"""

import heapq
from collections import deque
from collections.abc import Mapping

import msgspec

from broker.settle.archive import Shelf
from broker.settle.counts import tally_of
from broker.settle.deadlines import LOOK_AGAIN_MS, Ends, Horizon
from broker.settle.message_state import clipped
from broker.settle.policy import SettleCounts, SettleEffects, SettlePolicy
from broker.settle.request_state import Account, charges_of
from broker.settle.unmatched import Quarantine, Section
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem, Outcome, Restated
from schemas.facts import ReceiptRun, Receipts, ReceiptStatus
from schemas.registry import PriceCard
from schemas.status import RecipientStatus
from schemas.wire.columns import count_of
from schemas.wire.header import Header


class Settle:
    """The join of one shard. ``cards`` maps price card ids to cards and may grow while this lives.

    What was opened before ``since_ms`` is over; no restatement brings it back, for its receipts may be missing.
    """

    def __init__(self, policy: SettlePolicy, cards: Mapping[int, PriceCard], since_ms: int = 0) -> None:
        self.policy = policy
        self.counts = SettleCounts()
        self.quarantine: Quarantine[Section] = Quarantine(policy.quarantine_limit)
        self._cards = cards
        self._since_ms = since_ms
        self._accounts: dict[bytes, Account] = {}
        self._changed: dict[bytes, Account] = {}
        self._words: list[tuple[int, bytes]] = []
        self._calming: deque[tuple[int, bytes]] = deque()
        self._shelf = Shelf()
        self._ends = Ends(policy.end_width_ms)
        self._horizon = Horizon(policy.quiet_ms)

    @property
    def open_count(self) -> int:
        """Requests in memory."""
        return len(self._accounts) + len(self._shelf)

    @property
    def shelved(self) -> int:
        """Of these, how many are kept as bytes."""
        return len(self._shelf)

    # -- what comes in

    def outcome(self, header: Header, body: Outcome | Restated) -> None:
        """Join one valid record of deliver's journal."""
        self._horizon.read("outcomes", header.at_ms)
        if isinstance(body, Restated):
            for entry in body.open:
                self._restated(entry, header.at_ms)
            return
        for opened in body.opened:
            self._opened(opened)
        sections: tuple[Section, ...] = (*body.members, *body.decided, *body.answered, *body.held)
        for section in sections:
            self._section(section, header.at_ms)

    def passed(self, header: Header) -> None:
        """A valid record of deliver's journal that is about no message, a claim say, was read."""
        self._horizon.read("outcomes", header.at_ms)

    def receipts(self, header: Header, body: Receipts) -> None:
        """Join one record of receipts."""
        self._horizon.read("receipts", header.at_ms)
        for run in body.runs:
            self._section(run, run.received_ms)

    def behind(self, log: str) -> None:
        """Records of ``outcomes`` or ``receipts`` may lie unread: no request ends, and nothing expires, by its silence."""
        self._horizon.behind(log)

    # -- joins

    def _opened(self, opened: Opened) -> None:
        request = opened.item.request
        if self._find(request) is None:
            account = self._accounts[request] = Account.of(opened)
            self._ends.add(self._deadline_ms(account), request)
            self._touched(account)
            self._replay(request)

    def _restated(self, entry: OpenItem, at_ms: int) -> None:
        if entry.opened.taken_ms < self._since_ms and self._find(entry.opened.item.request) is None:
            return
        self._opened(entry.opened)
        if entry.members is not None:
            self._section(entry.members, at_ms)
        account = self._accounts[entry.opened.item.request]
        account.restated(entry, at_ms)
        self._touched(account)

    def _section(self, section: Section, at_ms: int) -> None:
        account = self._find(section.request)
        # Ranks are numbers of a list's members: until these are known, a word about ranks is about nobody.
        if account is None or (account.ranks is None and not isinstance(section, Members)):
            self.quarantine.keep(section.request, at_ms, section)
            return
        match section:
            case Members():
                if account.ranks is None:
                    account.freeze(section, at_ms)
                    self._replay(section.request)
            case Decided():
                account.decided(section, at_ms)
            case Answered():
                account.answered(section)
            case Held():
                account.hold(section, at_ms)
            case ReceiptRun():
                self._received(account, section)
        self._touched(account)

    def _received(self, account: Account, run: ReceiptRun) -> None:
        # By the time that the record bears, never by now: so every process and every replay judges alike.
        if run.received_ms > self._deadline_ms(account):
            self.counts.late += count_of(run.ranks)
            return
        if not account.holds(run.ranks):
            assert account.ranks is not None
            kept = clipped(run.ranks, account.ranks.count)
            self.counts.stray += count_of(run.ranks) - count_of(kept)
            run = msgspec.structs.replace(run, ranks=kept)
        account.received(run, ReceiptStatus(run.status))
        self.counts.received += count_of(run.ranks)

    def _find(self, request: bytes) -> Account | None:
        account = self._accounts.get(request)
        if account is None and (account := self._shelf.take(request)) is not None:
            self._accounts[request] = account
        return account

    def _replay(self, request: bytes) -> None:
        for at_ms, section in self.quarantine.release(request):
            self._section(section, at_ms)

    def _touched(self, account: Account) -> None:
        self._changed[account.request] = account

    def _deadline_ms(self, account: Account) -> int:
        return account.expires_ms + self.policy.settle_ms

    # -- what goes out

    def due(self, now_ms: int, *, effects: bool = True) -> SettleEffects:
        """Returns the charges and statuses to be written by now; raises :class:`broker.charging.UnpricedError`.

        Without ``effects`` (a rebuild: everything joined so far was acted on before, and ``now_ms`` is when it was) the same is
        marked as done. Statuses that may have been held back and endings that only time has brought are left for later.
        """
        out = SettleEffects([], [])
        changed, self._changed = self._changed, {}
        for account in changed.values():
            if account.ranks is not None:
                self._bill(account, out, effects=effects)
                self._plan_word(account, now_ms, out, effects=effects)
        self._put_calm_away(now_ms)
        if effects:
            self._speak_due(now_ms, out)
            self._ends.recall()
            self._end(self._horizon.at(now_ms), now_ms, out)
            return out
        self._forget(self._horizon.low)
        return SettleEffects([], [])

    def terminal_of(self, request: bytes, rank: int) -> RecipientStatus | None:
        """Returns the latest state of one message; None if it is not known here (any more)."""
        account = self._accounts.get(request) or self._shelf.look(request)
        if account is None or account.ranks is None or not 0 <= rank < account.ranks.count:
            return None
        return account.rank(rank)

    def _bill(self, account: Account, out: SettleEffects, *, effects: bool) -> None:
        ranks = account.ranks
        assert ranks is not None
        self.counts.contradictions += ranks.take_contradictions()
        delivered = ranks.take_billable()
        ranks.reset_touched()
        if not len(delivered):
            return
        if account.heartbeat:
            self.counts.heartbeat_ms = max(self.counts.heartbeat_ms, account.time_ms)
        if not account.test:
            self.counts.charged += len(delivered)
            if effects:
                out.charges.extend(charges_of(account, delivered, self._cards))
        # The span belongs to the charge just made; the next one begins a span of its own.
        account.first_ms = account.last_ms = 0

    def _plan_word(self, account: Account, now_ms: int, out: SettleEffects, *, effects: bool) -> None:
        """Speak now, or see to it that it is spoken later."""
        assert account.ranks is not None
        prompt = self._prompt(account)
        if prompt and account.closed():
            self._calm_down(account, now_ms)
        if account.heartbeat:
            return
        was_closed = account.open_from == account.ranks.count and account.spoken_seq > 0
        closing = account.closed() and not was_closed
        if prompt or (closing and effects):
            self._speak(account, now_ms, out, effects=effects)
        elif not account.word_due:
            account.word_due = True
            heapq.heappush(self._words, (account.spoken_ms + self.policy.speak_ms, account.request))

    def _prompt(self, account: Account) -> bool:
        return account.times is not None and len(account.times) <= self.policy.prompt_ranks

    def _speak_due(self, now_ms: int, out: SettleEffects) -> None:
        while self._words and self._words[0][0] <= now_ms:
            if (account := self._accounts.get(heapq.heappop(self._words)[1])) is not None:
                account.word_due = False
                self._speak(account, now_ms, out)

    def _speak(self, account: Account, now_ms: int, out: SettleEffects, *, effects: bool = True) -> None:
        assert account.ranks is not None
        tally = account.tally()
        if (tally.news or account.times is None) and tally.seq != account.spoken_seq:
            account.spoken_seq, account.spoken_ms = tally.seq, now_ms
            if effects:
                out.statuses.append((account.business, account.status(tally, self.policy, now_ms)))

    # -- endings

    def _end(self, horizon_ms: int, now_ms: int, out: SettleEffects) -> None:
        """Give up requests whose window is over in the logs, with a last word."""
        self.quarantine.expire(horizon_ms - self.policy.quiet_ms)
        for account in self._ended(horizon_ms):
            tally = None if account.ranks is None else tally_of(account.ranks, over=True)
            # Deliver was down and owes a word: what it will say is not unknown, only not said yet.
            if tally is None or tally.owed:
                self._ends.add(horizon_ms + LOOK_AGAIN_MS, account.request)
                continue
            account.over = True
            if not account.heartbeat:
                self.counts.unknown += tally.unknown
                self.counts.known += sum(tally.counts.values()) - tally.unknown
            if (tally.unknown or account.word_due) and not account.heartbeat:
                self._speak(account, now_ms, out)
            self._drop(account)

    def _forget(self, horizon_ms: int) -> None:
        """In a rebuild: drop what ended with a final word for every rank, and leave the others to :meth:`_end`."""
        for account in self._ended(horizon_ms):
            if account.closed():
                self._drop(account)
            else:
                self._ends.put_off(self._deadline_ms(account), account.request)

    def _ended(self, horizon_ms: int) -> list[Account]:
        """The accounts whose window is over; those on the shelf, which have all final words, are dropped."""
        names, known = self._shelf.end(self._ends.take(horizon_ms - self.policy.quiet_ms))
        self.counts.known += known
        return [self._accounts[name] for name in names]

    def _drop(self, account: Account) -> None:
        del self._accounts[account.request]
        self._changed.pop(account.request, None)

    # -- the shelf

    def _calm_down(self, account: Account, now_ms: int) -> None:
        """A closed request of few people is put away unless something happens to it soon."""
        before_ms, account.calm_from_ms = account.calm_from_ms, now_ms + self.policy.calm_ms
        if not before_ms:
            self._calming.append((account.calm_from_ms, account.request))

    def _put_calm_away(self, now_ms: int) -> None:
        while self._calming and self._calming[0][0] <= now_ms:
            account = self._accounts.get(self._calming.popleft()[1])
            if account is None:
                continue
            if account.calm_from_ms > now_ms:
                self._calming.append((account.calm_from_ms, account.request))
                continue
            account.calm_from_ms = 0
            self._shelf.put(account)
            del self._accounts[account.request]
