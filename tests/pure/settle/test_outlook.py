"""When a paced request will be through in one shard: never sooner than its rate allows, later if it goes slower."""

from types import SimpleNamespace

import pytest

from broker.settle.counts import Outlook, outlook_of

NOW_MS = 1_900_000_000_000


def asked(begun_s: int = 0, live_s: int = 3_600) -> SimpleNamespace:
    """A request of 1,000 a second over eight shards that began some seconds ago."""
    return SimpleNamespace(per_s=1_000, begun_ms=NOW_MS - begun_s * 1_000, expires_ms=NOW_MS + live_s * 1_000)


@pytest.mark.parametrize(
    ("people", "owed", "request_", "outlook"),
    [
        pytest.param(2_500, 0, asked(), Outlook(), id="all are told"),
        pytest.param(2_500, 2_500, asked(), Outlook(NOW_MS + 20_000), id="at the rate"),
        pytest.param(2_500, 1_250, asked(10), Outlook(NOW_MS + 10_000), id="half way"),
        pytest.param(2_500, 1_250, asked(20), Outlook(NOW_MS + 20_000), id="slower than the rate"),
        pytest.param(2_500, 1_250, asked(1), Outlook(NOW_MS + 10_000), id="faster than the rate"),
        pytest.param(2_500, 2_500, asked(0, 5), Outlook(NOW_MS + 20_000, 1_875), id="too late for three quarters"),
        pytest.param(2_500, 100, asked(30, 0), Outlook(NOW_MS + 1_250, 100), id="over"),
    ],
)
def test_the_outlook(people: int, owed: int, request_: SimpleNamespace, outlook: Outlook) -> None:
    """An eighth of the rate is this shard's."""
    assert outlook_of(people, owed, request_, 8, NOW_MS) == outlook
