"""The auditor, and settle, read a list that was frozen and restated by parts as they read a whole one."""

from typing import Final

import msgspec
from pyroaring import BitMap

from broker.audit.invariants import Breach
from broker.settle.engine import Settle
from broker.settle.policy import SettlePolicy
from schemas import topics
from schemas.delivery_journal import Members, OpenItem, Outcome, Restated
from schemas.facts import Receipts
from schemas.lanes import Lane
from schemas.reasons import State
from schemas.wire.arrays import runs_of
from schemas.wire.columns import u16s
from schemas.wire.header import Header, Kind
from schemas.wire.item_parts import Parts, parts_of
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import market
from tests.pure.audit.story import Story
from tests.pure.audit.test_audit import audited
from tests.pure.settle import test_settle as bench

SMALLEST: Final = 1
"""Bytes of a part that leave it a single rank."""


class InParts(Story):
    """The same story, whose lists are too large for a record."""

    def open(self, asked: Asked, shard: int) -> None:
        """Take the work over, and freeze the members of a list by parts."""
        if not asked.entry.list:
            super().open(asked, shard)
            return
        self.say(asked, shard, opened=(self.opened(asked, shard),))
        members = self.members(asked, shard)
        nothing = runs_of(bytes(members.count))
        self._say_parts(asked, shard, OpenItem(self.opened(asked, shard), members, nothing, nothing))

    def _restate(self, asked: Asked, shard: int, says: dict[int, int]) -> None:
        statuses = bytes(says.values())
        attempts = bytes(status == State.SENDING for status in says.values())
        markets = u16s(market(one) for one in asked.people[shard])
        opened, members = self.opened(asked, shard), asked.members[shard]
        self._say_parts(
            asked, shard, OpenItem(opened, members, runs_of(statuses), runs_of(attempts), b"", markets), died=True
        )

    def _say_parts(self, asked: Asked, shard: int, entry: OpenItem, *, died: bool = False) -> None:
        parts = list(parts_of(entry, SMALLEST))
        for part in (*(parts[:2] if died else ()), *parts):
            self.journal(topics.outcomes(asked.lane), asked.lane, shard, part)


def test_a_run_in_parts_has_no_violation() -> None:
    """Parts that an owner left behind when it died count for nothing."""
    found = audited(InParts())
    assert found.violations == ()
    assert found.states == audited(Story()).states


def test_who_is_missing_in_the_parts_is_missed() -> None:
    """As with members that are said whole."""
    assert Breach.MEMBERS_WRONG.word in audited(FrozenWithoutTheLast()).found


class FrozenWithoutTheLast(InParts):
    """Frozen by parts that are one person short; nothing else happens."""

    def members(self, asked: Asked, shard: int) -> Members:
        """All but the last of them."""
        whole = super().members(asked, shard)
        kept = list(BitMap.deserialize(whole.ordinals))[:-1]
        asked.people[shard] = asked.people[shard][:-1]
        short = msgspec.structs.replace(whole, count=len(kept), ordinals=BitMap(kept).serialize())
        asked.members[shard] = short
        return short


def test_settle_joins_parts_as_it_joins_the_whole() -> None:
    """Frozen by parts, decided and answered in sections, and what receipts say is charged."""
    settle, parts = Settle(SettlePolicy(3, bench.SETTLE_MS), bench.CARDS), Parts()
    head = Header(Kind.ITEM_PART, Lane.UPDATE, 0, 1, bench.T0)
    opened = bench.opened(None)
    nothing = runs_of(bytes(5))
    settle.outcome(head, Outcome(opened=(opened,)))
    for part in parts_of(OpenItem(opened, bench.members(5), nothing, nothing), SMALLEST):
        body = parts.said(part)
        if isinstance(body, Restated):
            settle.outcome(head, body)
    settle.outcome(head, Outcome(decided=(bench.sent(range(5)),), answered=(bench.accepted(range(5)),)))
    settle.receipts(head, Receipts((bench.receipt(bench.DELIVERED, range(5)),)))
    (charge,) = settle.due(bench.T0 + 1_000).charges
    assert list(BitMap.deserialize(charge.ranks)) == [0, 1, 2, 3, 4]
