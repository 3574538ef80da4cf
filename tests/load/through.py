"""How a request goes through the gateway, from its log alone: how many messages it has taken, and when the last of them."""

from collections import Counter
from pathlib import Path

import msgspec

from schemas.lanes import Lane
from streams.simulator.event_log import FILE_NAME
from streams.simulator.program import log_folder


class _Line(msgspec.Struct, frozen=True):
    """The part of a :class:`schemas.gateway_api.GatewayEvent` that is looked at."""

    event: str
    at_ms: int
    request: str = ""
    ranks: tuple[tuple[int, int], ...] = ()


_lines = msgspec.json.Decoder(_Line)


class Through:
    """What the gateway of one lane has taken, by request; :meth:`look` reads what is new."""

    def __init__(self, data: Path, lane: Lane) -> None:
        self.taken: Counter[str] = Counter()
        """Messages accepted, by request."""
        self.first_ms: dict[str, int] = {}
        self.last_ms: dict[str, int] = {}
        """Time of the newest acceptance, by request; the gateway's clock."""
        self._path = log_folder(data, lane) / FILE_NAME
        self._at = 0

    def look(self) -> None:
        """Read on to the last whole line."""
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._at)
            block = log.read()
        whole = block.rfind(b"\n") + 1
        self._at += whole
        for line in block[:whole].splitlines():
            event = _lines.decode(line)
            if event.event == "accepted":
                self.taken[event.request] += sum(count for _, count in event.ranks)
                self.first_ms.setdefault(event.request, event.at_ms)
                self.last_ms[event.request] = event.at_ms
