"""A clean run that has something of everything: the dump in which the auditor must find nothing, and which tests spoil.

Three lanes; lists and explicit recipients; a STOP, a leaver, a supersession, an expiry, a retry, a wait, an unreachable
number, a message in doubt after a take-over with a void record; repeats of work, receipts, charges and verdicts; refusals,
dead letters, a re-routed input; a heartbeat and a test.
"""

from broker.audit.sources import Logged
from schemas import topics
from schemas.delivery_journal import OpenItem, Restated
from schemas.facts import ReceiptStatus, Scope
from schemas.ids import partition_of, text_of
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.registry import Business, Deployment, Parameter, PriceCard, Sender, Template
from schemas.status import RecipientStatus
from schemas.wire.arrays import runs_of
from schemas.wire.columns import u16s
from schemas.wire.sealed import seal_code
from tests.pure.audit.dump import Asked, Writer, price
from tests.pure.audit.log import MINUTE_MS, SHARDS, address, market, people_in, person

GUESTS = range(24)
"""Who opted in to the shop's offers and to the flight."""
_SEAL_PUBLIC = bytes.fromhex("f26e3c9d814afbffcb95bf37ba4ea67f00d6119cc3b1674e94c03256366f0c14")


class Story(Writer):
    """The run; what tests spoil is an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.registry()
        for lane in Lane:
            for shard in range(SHARDS):
                self.claim(lane, shard)
        self.opt("shop", "offers", GUESTS)
        self.opt("airline", "flight/1", GUESTS)
        self.stopper, self.leaver, self.returner = people_in(0, 3)
        self.stop(self.stopper, "shop", Scope.MARKETING)
        self.stop(self.returner, "shop", Scope.MARKETING)
        self.stop(self.returner, "shop", Scope.MARKETING, revoke=False)
        self.sale = self._sale()
        self.code = self._code()
        self.wrong_number = self._wrong_number()
        self.delay, self.cancelled, self.late_word = self._flight()
        self.parcel = self._parcel()
        self.doubtful = self._take_over()
        self.test, self.heartbeat = self._uncharged()
        self.expired = self._expired()
        self._inputs()
        self._told()
        self.now += 1
        self.post()

    def registry(self) -> None:
        """What operators registered."""
        self.register(Deployment("test", SHARDS))
        for business in ("shop", "airline", "bank"):
            self.register(Business(business, business.title()))
            self.register(Sender(f"{business}/main", business, "+18005550101", rate_per_s=1_000, default=True))
        sealed = (Parameter("code", sealed=True),)
        self.register(Template("code", "authentication", sealed, {"en": "{code}"}))
        self.register(Template("news", "utility", (), {"en": "News."}))
        self.register(Template("offer", "marketing", (), {"en": "Offer."}))
        lanes = {1: "authentication", 2: "utility", 3: "marketing"}
        prices = {word: {str(code): price(category, code) for code in (49, 91)} for category, word in lanes.items()}
        self.register(PriceCard(1, "EUR", prices))

    def _sale(self) -> Asked:
        """A campaign: one stopped, one left after the freeze, one failed, one without a receipt, the rest delivered."""
        sale = self.ask(Lane.CAMPAIGN, "sale", "offers", expires_ms=self.now + MINUTE_MS)
        for shard in range(SHARDS):
            self.open(sale, shard)
        self.opt("shop", "offers", [self.leaver], join=False)
        for shard in range(SHARDS):
            people = sale.people[shard]
            says = {rank: self._fate(one) for rank, one in enumerate(people)}
            sent = [rank for rank, status in says.items() if status == State.SENDING]
            self.decide(sale, shard, says)
            self.hand(sale, shard, sent)
            self._restate(sale, shard, says)
            self.answer(sale, shard, sent)
            self.receive(sale, shard, sent, ReceiptStatus.SENT)
            self.receive(sale, shard, sent[:1], ReceiptStatus.FAILED)
            self.deliver(sale, shard, sent[2:])
            self.receive(sale, shard, sent[2:], ReceiptStatus.READ)
        self.charge(sale, 1, [2])
        return sale

    def _fate(self, one: int) -> int:
        return {self.stopper: Reason.STOPPED, self.leaver: Reason.NOT_OPTED_IN}.get(one, State.SENDING)

    def _restate(self, asked: Asked, shard: int, says: dict[int, int]) -> None:
        statuses = bytes(says.values())
        attempts = bytes(status == State.SENDING for status in says.values())
        markets = u16s(market(one) for one in asked.people[shard])
        item = OpenItem(
            self.opened(asked, shard), asked.members[shard], runs_of(statuses), runs_of(attempts), b"", markets
        )
        self.journal(topics.outcomes(asked.lane), asked.lane, shard, Restated((item,)))

    def _code(self) -> Asked:
        """A one-time code, sealed, delivered and read; its work is written twice."""
        (one,) = people_in(1, 1)
        place = {"request": bytes(16), "address": address(one), "template": "code", "parameter": "code"}
        blob = seal_code("271828", ("dev1", _SEAL_PUBLIC), **place)  # type: ignore[arg-type]
        code = self.ask(Lane.OTP, "login", [one], params={"code": blob})
        self.open(code, 1)
        self.work(code, 1)
        self.send(code, 1, [0])
        self.deliver(code, 1, [0])
        self.receive(code, 1, [0], ReceiptStatus.READ)
        return code

    def _wrong_number(self) -> Asked:
        """A code to a number that is not on the network."""
        (one,) = people_in(2, 1)
        asked = self.ask(Lane.OTP, "login-2", [one])
        self.open(asked, 2)
        self.decide(asked, 2, {0: State.SENDING})
        self.hand(asked, 2, [0], event="refused", code=131026)
        self.answer(asked, 2, [0], {0: Reason.UNREACHABLE})
        return asked

    def _flight(self) -> tuple[Asked, Asked, Asked]:
        """Version 1 is told, version 2 after it, and version 0, which comes last, to nobody."""
        fact = {"entity": "flight/1", "facet": "departure"}
        told = []
        for version in (1, 2):
            asked = self.ask(Lane.UPDATE, f"flight-v{version}", "flight/1", version=version, **fact)
            for shard in range(SHARDS):
                self.open(asked, shard)
                ranks = range(len(asked.people[shard]))
                self.send(asked, shard, ranks)
                self.deliver(asked, shard, ranks)
            told.append(asked)
        late = self.ask(Lane.UPDATE, "flight-v0", "flight/1", version=0, **fact)
        for shard in range(SHARDS):
            self.open(late, shard)
            self.decide(late, shard, dict.fromkeys(range(len(late.people[shard])), Reason.SUPERSEDED))
        return told[0], told[1], late

    def _parcel(self) -> Asked:
        """Three people: one waits for the pair limit, one is throttled and retried, one is told at once."""
        people = people_in(3, 3, start=100)
        parcel = self.ask(Lane.UPDATE, "parcel", people, business="shop")
        self.open(parcel, 3)
        self.decide(parcel, 3, {0: State.WAITING, 1: State.SENDING, 2: State.SENDING}, due_ms=self.now + 500)
        self.hand(parcel, 3, [1], event="refused", code=130429)
        self.hand(parcel, 3, [2])
        self.answer(parcel, 3, [1, 2], {1: State.WAITING})
        self.now += 1_000
        self.decide(parcel, 3, {0: State.SENDING})
        self.decide(parcel, 3, {1: State.SENDING}, attempt=2)
        self.hand(parcel, 3, [0])
        self.hand(parcel, 3, [1], attempt=2)
        self.answer(parcel, 3, [0, 1])
        self.deliver(parcel, 3, [0, 1, 2])
        return parcel

    def _take_over(self) -> Asked:
        """An owner dies with a frame out; the next withholds it after a STOP ALL; the first wakes and writes a void record."""
        one, other = people_in(0, 2, start=200)
        asked = self.ask(Lane.UPDATE, "pick-up", [one, other], business="shop")
        self.open(asked, 0)
        self.decide(asked, 0, {0: State.SENDING})
        self.hand(asked, 0, [0])
        self.claim(Lane.UPDATE, 0, "two")
        self.stop(one, "shop", Scope.ALL)
        self.answer(asked, 0, [0], {0: State.IN_DOUBT})
        self.say(asked, 0, epoch=1, decided=(self.decided(asked, 0, {1: State.SENDING}),))
        self.send(asked, 0, [1])
        self.deliver(asked, 0, [1])
        return asked

    def _uncharged(self) -> tuple[Asked, Asked]:
        """A test and a heartbeat: delivered, never charged."""
        (one,) = people_in(2, 1, start=300)
        test = self.ask(Lane.UPDATE, "test", [one], business="shop", test=True)
        beat = self.ask(Lane.OTP, "beat", [one], business="fanfare-0", template="fanfare_heartbeat_otp", test=True)
        for asked in (test, beat):
            self.open(asked, 2)
            self.send(asked, 2, [0])
            self.deliver(asked, 2, [0])
        return test, beat

    def _expired(self) -> Asked:
        """Too late when its turn came."""
        (one,) = people_in(1, 1, start=400)
        asked = self.ask(Lane.UPDATE, "old", [one], business="shop", expires_ms=self.now + 10)
        self.now += 100
        self.open(asked, 1)
        self.decide(asked, 1, {0: Reason.EXPIRED})
        return asked

    def tell_counts(
        self, asked: Asked, shard: int, seq: int, *, recipients: tuple[RecipientStatus, ...] = (), **counts: int
    ) -> Logged:
        """Settle's word about one shard of a request."""
        fields = {"shard": shard, "counts": counts, "recipients": recipients}
        return self.tell(asked.terms.business, asked.terms.id, asked.lane, "running", seq, **fields)

    def _told(self) -> None:
        """What settle says: counts of a list, at first and in the end, and of two people what became of each."""
        for shard, people in self.delay.people.items():
            self.tell_counts(self.delay, shard, 1, accepted=len(people))
            self.tell_counts(self.delay, shard, 7, delivered=len(people))
        for shard, asked, state in ((2, self.wrong_number, "unreachable"), (1, self.code, "read")):
            reason = "" if asked is self.code else state
            (one,) = asked.people[shard]
            named = RecipientStatus(text_of(person(one)), 0, "refused" if reason else state, self.now, reason)
            self.tell_counts(asked, shard, 5, recipients=(named,), **{state: 1})

    def _inputs(self) -> None:
        """Inputs that became no message: a repeat, a conflict, two refusals, a dead letter, one in the wrong partition."""
        again = self.publish(Lane.UPDATE, "shop", "parcel", {"template": "news"})
        self.tell("shop", "parcel", Lane.UPDATE, "accepted", again.offset, reason="duplicate")
        conflict = self.publish(Lane.UPDATE, "shop", "parcel", {"template": "other"})
        self.tell("shop", "parcel", Lane.UPDATE, "refused", conflict.offset, reason="conflict")
        malformed = self.publish(Lane.UPDATE, "shop", "typo", {"templte": "news"})
        self.tell("shop", "typo", Lane.UPDATE, "refused", malformed.offset, reason="unknown_field")
        self.refuse(Lane.UPDATE, "shop", "stale", Reason.STALE)
        self.garbage = self.publish(Lane.UPDATE, "shop", "", None, raw=b"{not json")
        self.bury(self.garbage, Reason.INVALID_JSON, payload=True)
        self.bury(self.garbage, Reason.INVALID_JSON, payload=True)
        right = partition_of(b"shop", SHARDS)
        wrong = (right + 1) % SHARDS
        astray = self.publish(Lane.UPDATE, "shop", "astray", {"templte": 1}, partition=wrong)
        header = {"fanfare_origin": b"%d:%d" % (wrong, astray.offset)}
        moved = self.publish(Lane.UPDATE, "shop", "astray", {"templte": 1}, headers=header)
        self.tell("shop", "astray", Lane.UPDATE, "refused", moved.offset, reason="unknown_field")
