"""What the gateway's own logs say of a fault run: when each shard handed something off, and who answered STOP."""

from collections import defaultdict
from pathlib import Path

from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder
from tests.faults.scene import Place


class Witness:
    """The logs of all lanes below ``data``, read once."""

    def __init__(self, data: Path) -> None:
        self.handed: dict[Place, list[int]] = defaultdict(list)
        """Times of accepted hand-offs, heartbeats left out."""
        self.stops = 0
        """Replies that forbid something and that the webhook has acknowledged."""
        for lane in Lane:
            path = log_folder(data, lane) / FILE_NAME
            for event in read(path, GatewayEvent) if path.exists() else ():
                if event.event == "accepted" and not event.test:
                    self.handed[lane, event.shard].append(event.at_ms)
                elif event.event == "reply" and (event.body or event.status == "block"):
                    self.stops += 1
