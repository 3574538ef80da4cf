"""What the load programs reckon with: the ideal of a scenario, the registry of their own, the gateway's log as it grows."""

from pathlib import Path

import msgspec
import pytest

from broker.registry.fold import Registry
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.registry import Deployment, Sender
from streams.registry.apply import changes, read_files
from streams.simulator.event_log import FILE_NAME
from streams.simulator.program import log_folder
from tests.faults import backlog, binding
from tests.faults.load import SENDERS
from tests.load.beside import BULK
from tests.load.scenarios import SCENARIOS
from tests.load.senders import registry_with, sender
from tests.load.through import Through


def test_the_ideal_is_the_slowest_lane_at_its_share() -> None:
    """People over the share, and of two lanes the one that takes longer."""
    assert {one.name: one.ideal_s for one in SCENARIOS} == {
        "list_20k": 20.0,
        "list_2k": 25.0,
        "shared": 40.0,
        "list_100k": 100.0,
    }


def test_the_registry_of_a_load_is_one_that_is_accepted(tmp_path: Path) -> None:
    """Senders instead of the development ones or beside them, and a platform that allows the fastest."""
    senders = (*SENDERS, *binding.SENDERS, sender("shop-parcelo", 1_000_000, campaign=100))
    senders += (*(one.sender for one in SCENARIOS), *(one.sender for one in BULK))
    located = read_files([registry_with(tmp_path, *senders)])
    assert changes(located, Registry())
    entries = [one.entry for one in located]
    assert {one.id for one in senders} <= {entry.id for entry in entries if isinstance(entry, Sender)}
    assert [entry.max_rate_per_s for entry in entries if isinstance(entry, Deployment)] == [1_000_000]
    assert changes(read_files([registry_with(tmp_path, *SENDERS, backlog.SENDER)]), Registry())


@pytest.mark.parametrize("torn", [0, 5])
def test_the_gateways_log_is_followed_as_it_grows(tmp_path: Path, torn: int) -> None:
    """Each line counts once, whenever one looks; a line that is not whole yet is read when it is."""
    through = Through(tmp_path, Lane.CAMPAIGN)
    through.look()
    path = log_folder(tmp_path, Lane.CAMPAIGN) / FILE_NAME
    path.parent.mkdir(parents=True)
    lines = [
        msgspec.json.encode(GatewayEvent(event, at_ms, request="r", ranks=((first, 10),))) + b"\n"
        for at_ms, first, event in ((1, 0, "accepted"), (2, 10, "refused"), (3, 10, "accepted"))
    ]
    path.write_bytes(b"".join(lines)[: -torn or None])
    through.look()
    through.look()
    assert (through.taken["r"], through.last_ms["r"]) == ((20, 3) if not torn else (10, 1))
    path.write_bytes(b"".join(lines))
    through.look()
    assert (through.taken["r"], through.first_ms["r"], through.last_ms["r"]) == (20, 1, 3)
