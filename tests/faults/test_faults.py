"""A short fault campaign in every test run; `make faults` is the long one."""

from pathlib import Path

from tests.faults.campaign import Campaign


async def test_kills_pauses_and_doubles_lose_and_double_nothing(tmp_path: Path) -> None:
    """Eight faults by seed under load in three lanes: every account closes, and every process comes back."""
    campaign = Campaign(seed=11, faults=8, per_second=400, every_s=2.5, data=tmp_path)
    said: list[str] = []
    await campaign.run(said.append)
    assert campaign.audit is not None
    assert not campaign.audit.violations, "\n".join(one.sentence for one in campaign.audit.violations[:5])
    assert campaign.audit.accepted > 3_000
    assert campaign.audit.terminal > 3_000
    assert len(campaign.done) == 8
