"""Reads what stands of all words of control, and writes those of operators."""

from collections.abc import Iterable, Sequence

from schemas import topics
from schemas.facts import ControlWord
from schemas.lanes import Lane
from schemas.wire.header import unpack
from streams.kafka.publisher import Publisher
from streams.kafka.scan import scan
from streams.runtime.kafka_access import Address
from streams.worker.outputs import control_record

Target = tuple[Lane, int, str, str]
"""Lane, scope, business and target of a word."""


async def newest(bootstrap: Address) -> dict[Target, ControlWord]:
    """Returns the latest word about each target. Raises ``ScanError``."""
    found: dict[Target, ControlWord] = {}
    async for bite in scan(bootstrap, topics.CONTROLS):
        for record in bite:
            header, word = unpack(record.value or b"", ControlWord)
            target = (header.lane, word.scope, word.business, word.target)
            held = found.get(target)
            if held is None or (held.evidence_ms, held.action) <= (word.evidence_ms, word.action):
                found[target] = word
    return found


async def say(bootstrap: Address, words: Sequence[tuple[Lane, ControlWord]]) -> int:
    """Writes words to ``controls``; returns Kafka's time of the last one. Raises ``PublishError``."""
    publisher = Publisher(bootstrap, "fanfare-control")
    await publisher.start()
    try:
        return max(
            [(await publisher.publish(control_record(lane, word))).timestamp_ms for lane, word in words], default=0
        )
    finally:
        await publisher.stop()


def later_than(said: Iterable[ControlWord], now_ms: int) -> int:
    """Returns a moment after all that was ``said``: now, unless somebody's clock was ahead. So what is said next stands."""
    return max([now_ms, *(word.evidence_ms + 1 for word in said)])
