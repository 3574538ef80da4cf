"""The heartbeat: a message to nobody that crosses every stage of every lane and shard, so that silence is noticed.

Liveness is progress (PROTOCOL.md section 8): each worker publishes, for each of its shards, one request of a business of
Fanfare's own to a null recipient of that shard. It is ``test: true``: it never bills and is counted apart. One business for
each plan partition, one address for each shard, both found by search, so that nothing about them must be configured.
"""

from collections.abc import Iterator
from functools import lru_cache

from schemas.ids import HEARTBEAT_BUSINESS, partition_of, recipient_id, shard_of
from schemas.lanes import Lane
from schemas.registry import Business, Entry, Sender, Template

TEMPLATES = {lane: f"fanfare_heartbeat_{lane.word}" for lane in Lane}
"""Templates of heartbeats by lane: each lane has its own, because a template belongs to one category."""

_RATE_PER_S = 1_000_000


def is_heartbeat(business: str) -> bool:
    """Returns whether a business is one of Fanfare's own."""
    return business.startswith(HEARTBEAT_BUSINESS + "-")


@lru_cache
def businesses(shards: int) -> tuple[str, ...]:
    """The heartbeat's business for each plan partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < shards:
        business = f"{HEARTBEAT_BUSINESS}-{number}"
        found.setdefault(partition_of(business.encode(), shards), business)
        number += 1
    return tuple(found[partition] for partition in range(shards))


@lru_cache
def addresses(pepper: bytes, shards: int) -> tuple[str, ...]:
    """The null recipient's address for each shard. Numbers reserved for fiction (NANP 555-0100 to 555-0199)."""
    found: dict[int, str] = {}
    for address in _fiction():
        found.setdefault(shard_of(recipient_id(pepper, address), shards), address)
        if len(found) == shards:
            break
    return tuple(found[shard] for shard in range(shards))


def _fiction() -> Iterator[str]:
    for area in range(201, 990):
        if area % 100 != 11:
            for line in range(100, 200):
                yield f"tel:+1{area}5550{line}"


def entries(shards: int) -> tuple[Entry, ...]:
    """Returns the entries that the registry needs for heartbeats to be accepted; built in, never written to a topic."""
    own: list[Entry] = []
    for business in businesses(shards):
        own.append(Business(business, "Fanfare", verified=True))
        own.append(Sender(f"{business}/main", business, "+10000000000", rate_per_s=_RATE_PER_S, default=True))
    for lane, template in TEMPLATES.items():
        own.append(Template(template, lane.rules.category.word, (), {"en": "heartbeat"}))
    return tuple(own)


def event(
    lane: Lane, shard: int, *, pepper: bytes, shards: int, times: tuple[str, str], serial: str
) -> dict[str, object]:
    """Returns a heartbeat as a CloudEvent; ``times`` are now and its expiry in RFC 3339, ``serial`` makes its id."""
    business = businesses(shards)[shard]
    return {
        "specversion": "1.0",
        "type": "fanfare.notification.v1",
        "source": f"//{business}/heartbeat",
        "id": serial,
        "time": times[0],
        "expirytime": times[1],
        "data": {
            "template": TEMPLATES[lane],
            "to": {"recipients": [{"address": addresses(pepper, shards)[shard]}]},
            "test": True,
        },
    }
