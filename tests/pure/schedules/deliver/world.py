"""One shard's world: logs, people, a gateway, limits, and what is asked of the shard."""

import random
from functools import lru_cache
from typing import NamedTuple

import msgspec

from broker.audit.prohibitions import ControlLog
from broker.deliver.limits.limit import Limits
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import LIMITS, Body, body_of_outcome
from schemas import topics
from schemas.facts import AudienceChange, ControlAction, ControlScope, ControlWord, Scope, Suppression, Suppressions
from schemas.ids import text_of
from schemas.lanes import Category, Lane, PairLimit
from schemas.plan_journal import Work, WorkItem
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.pure.schedules.deliver.gateway import Gateway
from tests.pure.schedules.deliver.offer_cap import OfferCap
from tests.pure.schedules.log import Log, trim
from tests.pure.schedules.shells.process import ShellWorld
from tests.support.kafka_clients import Cluster, Place
from tests.support.shard_bench import change, explicit, listed, name

FOLD_MS = 1_200
WINDOW_MS = 6_000
"""How long plan recognises a name; closed names are kept four times as long."""
LIFE_MS = 5_000
PAIRS = PairLimit(per_minute=600, burst=2)
"""One in 100 ms: a quarter of F remembers it, as it does in earnest."""
LONG_LIFE_MS = 16_000
"""Outlives all trouble by far: who has so long is told, whatever happened."""
PER_S = 40
LOST = 0.02
"""How often an append is not acknowledged."""
TRIPS_MS = (*(0,) * 40, 1, 3, 20, 150)
"""How long a request or an answer takes, each as likely: a view of STOPs that came with the last is too old to act on."""
APPENDS_MS = (*(0,) * 30, 1, 3, 20, 20, 300)
"""How long an append and its acknowledgement take, each as likely."""
SHARD = 0
SHARDS = 4
"""A slot of 2 messages every 200 ms for this shard, now and then two at once: seldom enough to be missed."""
SKEWS_MS = (0, 0, 0, 0, 900, -900)
LISTS = ("A", "B")
SUBJECTS = ("flight/1", "flight/2")
FACTS = ("gate", "belt", "*")
PEOPLE = range(1000, 1010)
_SCOPES = (Scope.MARKETING, Scope.MARKETING, Scope.LIST, Scope.LIST, Scope.ALL, Scope.BLOCK)

_STOP = Header(Kind.SUPPRESSION, Lane.UPDATE, 0, 0, 0)


@lru_cache(maxsize=4_096)
def outcome_in(record: bytes) -> Body | None:
    """The body of a record of the journal, decoded once for all who check it; nobody changes it."""
    return body_of_outcome(head_of(record), record)


@lru_cache(maxsize=1_024)
def change_in(record: bytes) -> AudienceChange:
    """The same for a record of ``audience.changes``."""
    return body_of(record, AudienceChange)


class Sent(NamedTuple):
    """One frame as an owner sent it."""

    epoch: int
    at_ms: int
    """By the owner's clock."""
    ranks: list[tuple[bytes, int]]


class DeliverWorld(ShellWorld):
    """Everything outside of the owners."""

    def __init__(self, rng: random.Random, *, dedupes: bool = True) -> None:
        super().__init__(rng)
        self.journal, self.work = Log(), Log()
        self.suppressions, self.audience, self.controls = Log(), Log(), Log()
        self.quiet = Log()
        """Of everything that nobody writes to here."""
        self.said = ControlLog()
        """The words of control as the auditor folds them."""
        self.committed = 0
        self.cluster = Cluster(rng, lambda: self.now, self._log)
        self.cluster.lost = LOST
        self.cluster.choices_ms, self.cluster.append_choices_ms = TRIPS_MS, APPENDS_MS
        self.gateway = Gateway(self.rng, dedupes=dedupes)
        self.people = [name(number) for number in PEOPLE]
        self.stops: list[tuple[int, Suppression]] = []
        self.items: list[WorkItem] = []
        self.refused = 0
        """Moves that a fold refused: the owners of these schedules make none (``broker/lifecycle.py``)."""
        self.acted: list[int] = []
        """Offsets of records that an owner acted on."""
        self.stale_frames: list[int] = []
        """Ages of the view of suppressions of frames that left with an older one than is allowed."""
        self.unfit_frames: list[int] = []
        """Milliseconds since the group had last shown that it knew whoever sent a frame, where that was too long."""
        self.gateway.ahead_ms = self.rng.choice(SKEWS_MS)
        self.calm_ms = 0
        """When the trouble ended."""
        self.sends: list[Sent] = []
        windows = msgspec.structs.replace(Lane.UPDATE.rules.windows, fold_ms=FOLD_MS, frame_ms=300)
        # The lanes differ in what a plain stop forbids; everything else of these schedules is the same in both.
        base = DeliverPolicy.of(self.rng.choice((Lane.UPDATE, Lane.CAMPAIGN)), 0, b"ref")
        self.policy = msgspec.structs.replace(
            base, windows=windows, chunk=4, bite=2, pair_limit=PAIRS, shards=SHARDS, gateway_dedupes=dedupes
        )
        self.cap_first = self.rng.random() < 0.5
        """Whether the cap on offers is asked before the limits that deliver has."""
        for list_id in LISTS:
            self.churn(list_id, join=True)

    def _log(self, place: Place) -> Log:
        lane = self.policy.lane
        logs = {
            topics.outcomes(lane): self.journal,
            topics.work(lane): self.work,
            topics.SUPPRESSIONS: self.suppressions,
            topics.AUDIENCE: self.audience,
            topics.CONTROLS: self.controls,
        }
        return logs.get(place[0], self.quiet)

    def limits(self, cap: type[OfferCap]) -> Limits:
        """Returns deliver's limits and the cap on offers, with nothing spent."""
        made = [make(self.policy) for make in LIMITS]
        return Limits([cap(), *made] if self.cap_first else [*made, cap()])

    # -- what happens to anybody

    def weather(self) -> None:
        self.now += (1, 2, 5, 20)[int(self.rng.random() * 4)]
        roll = self.rng.random()
        if roll >= 0.1:
            return
        if roll < 0.03:
            self.stop()
        elif roll < 0.06:
            self.churn(self.rng.choice(LISTS), join=self.rng.random() < 0.6)
        elif roll < 0.065:
            self.now += self.rng.choice((200, 1_500, WINDOW_MS))
        elif roll < 0.07:
            trim(self.journal)
        else:
            self.control()

    def calm(self) -> None:
        super().calm()
        self.gateway.trouble = 0.0
        self.calm_ms = self.now
        self.say(ControlAction.RESUME, ControlScope.SENDER, "airline/main", ahead_ms=1)
        for subject in SUBJECTS:
            self.say(ControlAction.RESUME, ControlScope.SUBJECT, subject, ahead_ms=1)
        for item in self.items:
            self.say(ControlAction.RESUME, ControlScope.REQUEST, text_of(item.request), ahead_ms=1)

    def churn(self, list_id: str, *, join: bool) -> None:
        """People join or leave a list."""
        people = self.rng.sample(PEOPLE, self.rng.randint(1, 6))
        body = change(
            list_id,
            people,
            join=join,
            at_ms=self.now - self.rng.choice((0, 0, 500)),
            acted=self.rng.random() < 0.6,
            offers=self.rng.random() < 0.5,
        )
        self.audience.append(self.now, pack(Header(Kind.AUDIENCE, Lane.UPDATE, 0, 0, self.now), body))

    def stop(self) -> None:
        """A person stops offers, a list or all, or blocks, or takes it back; the webhook's append is acknowledged now."""
        scope, revoke = self.rng.choice(_SCOPES), self.rng.random() < 0.85
        entry = Suppression(
            self.rng.choice(self.people),
            "airline",
            scope,
            revoke=revoke,
            evidence_ms=self.now - self.rng.choice((0, 0, 800)),
            received_ms=self.now,
            list=self.rng.choice(LISTS) if scope is Scope.LIST and revoke else "",
        )
        self._say(entry)
        if entry.revoke and self.rng.random() < 0.2:  # what the person allowed before the STOP is told again after it
            self._say(msgspec.structs.replace(entry, revoke=False, evidence_ms=entry.evidence_ms - 1_000))

    def _say(self, entry: Suppression) -> None:
        self.suppressions.append(self.now, pack(_STOP, Suppressions((entry,))))
        self.stops.append((self.now, entry))

    def control(self) -> None:
        """The business pauses, resumes or cancels a request or a subject; operators stop its number, seldom for long."""
        roll = self.rng.random()
        if roll < 0.2:
            action = self.rng.choice((ControlAction.PAUSE, *(ControlAction.RESUME,) * 3))
            self.say(action, ControlScope.SENDER, "airline/main")
            return
        action = self.rng.choice((ControlAction.PAUSE, ControlAction.PAUSE, ControlAction.RESUME, ControlAction.CANCEL))
        if roll < 0.4:
            self.say(action, ControlScope.SUBJECT, self.rng.choice(SUBJECTS))
        elif self.items:
            self.say(action, ControlScope.REQUEST, text_of(self.rng.choice(self.items[-6:]).request))

    def say(self, action: ControlAction, scope: ControlScope, target: str, ahead_ms: int = 0) -> None:
        """A word of control is acknowledged now; some were said a while ago, and one that is ``ahead_ms`` is the last."""
        business = "" if scope is ControlScope.SENDER else "airline"
        said_ms = self.now + (ahead_ms or -self.rng.choice((0, 0, 0, 300)))
        word = ControlWord(scope, business, target, action, said_ms, self.now)
        self.controls.append(self.now, pack(Header(Kind.CONTROL, self.policy.lane, 0, 0, 0), word))
        self.said.add(self.policy.lane, self.now, word)

    # -- what is asked of the shard

    def traffic(self) -> None:
        roll = self.rng.random()
        if roll < 0.03:
            self.publish()
        elif roll < 0.036:  # more at once for one person than the limits let through
            person, terms = self.rng.choice(PEOPLE), self._terms()
            for _ in range(4):
                self.publish_item(explicit(len(self.items) + 1, [person], **terms))

    def publish(self) -> None:
        """Work for a list or some people, sometimes repeated, sometimes about a fact with a version."""
        # Plan repeats work only for a request that is younger than the window: older ones are refused as stale.
        young = [item for item in self.items if item.terms.time_ms > self.now - WINDOW_MS]
        if young and self.rng.random() < 0.15:
            self._write(self.rng.choice(young))
        else:
            self.publish_item(self._item(len(self.items) + 1))

    def publish_item(self, item: WorkItem) -> None:
        """Work that was not there before."""
        self.items.append(item)
        self._write(item)

    def _write(self, item: WorkItem) -> None:
        self.work.append(self.now, pack(Header(Kind.WORK, Lane.UPDATE, 0, 0, self.now), Work((item,))))

    def _terms(self) -> dict[str, object]:
        expires_ms = self.now + self.rng.choice((LIFE_MS, LIFE_MS, 600, LONG_LIFE_MS))
        category = self.rng.choice((Category.MARKETING, Category.UTILITY))
        return {
            "category": category,
            "time_ms": self.now,
            "expires_ms": expires_ms,
            "keep_ms": self.now + 4 * WINDOW_MS,
        }

    def _item(self, number: int) -> WorkItem:
        terms = self._terms()
        if self.rng.random() < 0.5:
            terms |= {
                "entity": self.rng.choice(SUBJECTS),
                "facet": self.rng.choice(FACTS),
                "version": max(0, number + self.rng.choice((0, 0, -3))),
            }
        if self.rng.random() < 0.6:
            item = listed(number, self.rng.choice(LISTS), **terms)
        else:
            item = explicit(number, self.rng.sample(PEOPLE, self.rng.randint(1, 6)), **terms)
        wait = self.rng.choice((0, 0, 0, 300))
        paced = item.rows is None or self.rng.random() < 0.2
        start_ms = self.now + wait if wait else 0
        return msgspec.structs.replace(item, start_ms=start_ms, per_s=PER_S if paced else 0)
