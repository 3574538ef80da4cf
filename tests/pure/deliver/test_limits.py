"""Several limits on what a person gets: who is over any, who counts where, and what a new owner is told of them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pytest

from broker.deliver.limits.limit import Limit, Limits, Messages, Over, Unfolded, over_limits, said, spend
from broker.deliver.limits.pair import PairLimiter
from schemas.gateway_api import Code
from schemas.lanes import Lane, PairLimit
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.wire.columns import cells
from tests.support.shard_bench import NOW_MS, Bench, explicit, name, refusing, terms

PAIR = PairLimit(per_minute=6, burst=3)


class Most:
    """Ends whatever is more than so many messages of a business to one person, for ever."""

    word: Final = "most"
    reason: Final = Reason.NOT_OPTED_IN
    each_try: Final = False

    def __init__(self, most: int) -> None:
        self._most = most
        self.sent: dict[str, Counter[bytes]] = defaultdict(Counter)

    def group(self, terms: Terms) -> str | None:
        """By business; tests do not count."""
        return None if terms.test else terms.business

    def due_ms(self, group: str, people: bytes, now_ms: int, unfolded: Unfolded) -> Mapping[int, int]:
        """Never."""
        over = {}
        for position, person in enumerate(cells(people, 16)):
            if self.sent[group][person] + unfolded.counts()[person] >= self._most:
                over[position] = now_ms
            else:
                unfolded.counts()[person] += 1
        return over

    def spend(self, group: str, people: bytes, at_ms: int) -> None:  # noqa: ARG002 - it is for ever
        """Counts."""
        self.sent[group].update(cells(people, 16))

    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:  # noqa: ARG002 - it is for ever
        """All counts."""
        return ((group, person, count) for group, each in self.sent.items() for person, count in each.items())

    def restore(self, group: str, people: bytes, numbers: Sequence[int], at_ms: int) -> None:  # noqa: ARG002 - it is for ever
        """The higher count stands."""
        for person, count in zip(cells(people, 16), numbers, strict=True):
            self.sent[group][person] = max(self.sent[group][person], count)


def bench_with(*limits: Limit, retry_ceiling_ms: int = 1_000) -> Bench:
    """A shard that keeps these limits."""
    bench = Bench(limits=False, retry_ceiling_ms=retry_ceiling_ms)
    bench.state.limits = Limits(limits)
    return bench


@pytest.mark.parametrize("first", [0, 1], ids=["pair limit first", "pair limit last"])
def test_who_is_held_back_by_one_limit_is_not_counted_by_the_other(first: int) -> None:
    """Whichever is asked first: at most three at once and four in all, so two of five wait, and one of those goes later."""
    pair, most = PairLimiter(PAIR), Most(4)
    limits, unfolded = Limits([pair, most] if first == 0 else [most, pair]), defaultdict[str, Unfolded](Unfolded)
    counting = limits.counting(terms())
    over = [over_limits(counting, Messages(name(1), b"\1"), unfolded, NOW_MS).get(0) for _ in range(5)]
    waits = Over(None, NOW_MS + 10_000)
    assert over == [None, None, None, waits, waits]
    spend(counting, name(1) * 3, lambda: b"\1" * 3, NOW_MS)
    later = over_limits(counting, Messages(name(1) * 2, b"\1" * 2), defaultdict(Unfolded), NOW_MS + 10_000)
    assert later[1].reason in (None, Reason.NOT_OPTED_IN)
    assert list(later) == [1]


def test_a_limit_with_a_reason_ends_what_is_over_it() -> None:
    """The decision has the reason; nothing was handed off for it, and the request is over."""
    bench = bench_with(Most(1))
    bench.take(explicit(1, [7, 8]), explicit(2, [7, 9]))
    bench.run()
    assert bench.sent == [(1, 0), (1, 1), (2, 1)]
    assert not bench.state.items


def test_a_message_that_goes_again_counts_once() -> None:
    """Three tries of one message are one for a limit that counts messages, and three for the pair limit."""
    most, pair = Most(1), PairLimiter(PairLimit(per_minute=1, burst=2))
    bench = bench_with(most, pair, retry_ceiling_ms=10)
    bench.answering = refusing((0, Code.TRANSIENT, 0))
    bench.take(explicit(1, [7]))
    for _ in range(3):
        bench.run()
        bench.now += 1_000
    assert most.sent["airline"][name(7)] == 1
    assert len(bench.sent) == 2
    bench.now += 60_000
    bench.run()
    assert len(bench.sent) == 3


def test_limits_count_only_what_they_ask_for() -> None:
    """A limit may leave out a request; heartbeats count nowhere."""
    limits = Limits([PairLimiter(PAIR), Most(1)])
    groups = [
        [group for _, group, _ in limits.counting(one)]
        for one in (terms(), terms(test=True), terms(business="fanfare-1"))
    ]
    assert groups == [["airline/main", "airline"], ["airline/main"], []]


def test_a_new_owner_is_told_of_each_limit() -> None:
    """Both are restated in one record, each for itself; the next owner restores them and says them again a round later."""
    quarter_ms = Lane.UPDATE.rules.windows.fold_ms // 4
    limits: list[Limit] = [PairLimiter(PairLimit(per_minute=1, burst=1)), Most(5)]
    for limit, group in zip(limits, ("airline/main", "airline"), strict=True):
        limit.spend(group, name(7) + name(8), NOW_MS)
    told = said(Limits(limits).restate(NOW_MS + 1_000))
    assert [(spent.key, len(spent.recipients)) for spent in told] == [("airline/main", 32), ("most\0airline", 32)]
    new = Limits([PairLimiter(PairLimit(per_minute=1, burst=1)), most := Most(5)])
    for spent in (*told, msgspec.structs.replace(told[1], key="gone\0airline")):
        new.restore(spent, NOW_MS + 2_000)
    assert most.sent["airline"] == Counter((name(7), name(8)))
    assert said(new.restate(NOW_MS + 3_000)) == told
    assert [spent.key for spent in said(new.restate(NOW_MS + quarter_ms))] == ["most\0airline"]
