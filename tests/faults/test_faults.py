"""A short fault campaign in every test run, and one broker of three killed; `make faults` is the long one."""

from pathlib import Path

import pytest

from tests.faults.campaign import Campaign
from tests.faults.deck import Card

PLAIN = pytest.mark.plain_kafka("the faults write into journals and end brokers as nobody with grants may")
SHORT = (
    Card("claim", "worker"),
    Card("void", "worker"),
    Card("twin", "worker"),
    Card("point", "worker"),
    Card("point", "gateway"),
    Card("sigterm", "worker"),
    Card("kill", "worker"),
    Card("kill", "ledger"),
    Card("disk", "gateway"),
    Card("disk", "ledger"),
    Card("stall", "kafka"),
    Card("ill", "gateway"),
    Card("skew", "gateway"),
    Card("throttle", "gateway"),
)


async def audited(campaign: Campaign) -> dict[str, object]:
    """Run it; every account must close, and nothing may wait to be handed off."""
    said: list[str] = []
    await campaign.run(said.append)
    audit = campaign.audit
    assert audit is not None
    assert not audit.violations, "\n".join(one.sentence for one in audit.violations[:5])
    assert [audit.in_state(state) for state in ("pending", "sending", "waiting")] == [0, 0, 0]
    assert [fault.ended_ms > 0 for fault in campaign.done] == [True] * campaign.faults
    return campaign.summary()


@PLAIN
@pytest.mark.slow
async def test_kills_pauses_and_doubles_lose_and_double_nothing(tmp_path: Path) -> None:
    """Every kind of process is hit under load in three lanes; two owners live at once; disks are full; people answer STOP."""
    summary = await audited(
        Campaign(seed=11, faults=len(SHORT), per_second=400, every_s=2.0, data=tmp_path, deck=SHORT)
    )
    assert summary["messages"] >= 20_000  # type: ignore[operator]
    assert summary["switched_off"] == []
    assert summary["gateway_clock_off_ms"] >= 1_400  # type: ignore[operator]
    assert summary["doubles_by"] == {"claim": 1, "twin": 1, "void": 1}
    assert summary["stops"] >= 5  # type: ignore[operator]
    assert summary["withheld"] > 0  # type: ignore[operator]
    assert "gateway.stored" in summary["points"]  # type: ignore[operator]


@PLAIN
@pytest.mark.slow
async def test_a_broker_of_three_is_done_without(tmp_path: Path) -> None:
    """Killed under load and brought back, it costs no message, and every shard of every lane goes on without it."""
    deck = (Card("broker", "kafka"),)
    campaign = Campaign(
        seed=12, faults=1, per_second=200, every_s=3.0, data=tmp_path, nodes=3, deck=deck, binding=False
    )
    summary = await audited(campaign)
    recovered = summary["recovery_s"]
    assert isinstance(recovered, dict)
    assert recovered["broker kafka"]["shards"] == 24
