"""From a verdict to what it asks of the shards and what the business is told: pure functions of the journal's entry.

Redelivered input makes the same bytes, so a shard may be given them twice; deliver takes the first (``opened``). Ranks within
a shard follow the order of the request.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from broker.heartbeat import is_heartbeat
from broker.plan.answer import Answer, verdict_answer
from broker.plan.policy import BODY_LIMIT_BYTES
from schemas.ids import shard_of
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH, Planned, Rows, Terms, WorkItem
from schemas.wire.columns import cells

_MARKET_WIDTH: Final = 2
_RECIPIENT_WIDTH: Final = 16
_encoder: Final = msgspec.msgpack.Encoder()


class PlanOutputs(msgspec.Struct, frozen=True):
    """What one entry asks for: at most one item a shard, and the answer on the business's status topic."""

    work: Mapping[int, WorkItem]
    answer: Answer | None


def outputs(entry: Planned, shards: int) -> PlanOutputs:
    """The outputs of an entry as it was appended. A restated entry has none: its input is committed.

    Nobody is told about heartbeats: Fanfare's own businesses have no status topic.
    """
    if entry.terms is None:
        return PlanOutputs({}, None)
    work = _work(entry, entry.terms, shards) if entry.verdict == 0 else {}
    told = not is_heartbeat(entry.terms.business)
    return PlanOutputs(work, verdict_answer(entry, entry.terms, len(work)) if told else None)


def pack_work(items: Iterable[WorkItem], limit_bytes: int = BODY_LIMIT_BYTES) -> list[tuple[WorkItem, ...]]:
    """Items of one shard as the bodies of as few ``WORK`` records as stay below the limit, in order."""
    packs: list[tuple[WorkItem, ...]] = []
    pack: list[WorkItem] = []
    size = 0
    for item in items:
        length = len(_encoder.encode(item))
        if pack and size + length > limit_bytes:
            packs.append(tuple(pack))
            pack, size = [], 0
        pack.append(item)
        size += length
    return [*packs, tuple(pack)] if pack else packs


def _work(entry: Planned, terms: Terms, shards: int) -> dict[int, WorkItem]:
    if entry.list:
        item = WorkItem(entry.name, terms, None, entry.list, entry.start_ms, entry.per_s)
        return dict.fromkeys(range(shards), item)
    if entry.rows is None:
        return {}
    return {
        shard: WorkItem(entry.name, terms, rows, "", entry.start_ms, entry.per_s)
        for shard, rows in _split(entry.rows, shards).items()
    }


def _split(rows: Rows, shards: int) -> dict[int, Rows]:
    """Rows by shard, shards ascending, the order of rows kept."""
    recipients = cells(rows.recipients, _RECIPIENT_WIDTH)
    places: dict[int, list[int]] = {}
    for row, recipient in enumerate(recipients):
        places.setdefault(shard_of(recipient, shards), []).append(row)
    if len(places) == 1:
        return dict.fromkeys(places, rows)
    columns = (
        recipients,
        cells(rows.addresses, ADDRESS_WIDTH),
        cells(rows.locales, LOCALE_WIDTH),
        cells(rows.markets, _MARKET_WIDTH),
    )
    return {shard: _pick(columns, rows.params, places[shard]) for shard in sorted(places)}


def _pick(columns: tuple[list[bytes], ...], params: tuple[dict[str, str], ...], rows: list[int]) -> Rows:
    recipients, addresses, locales, markets = (b"".join([column[row] for row in rows]) for column in columns)
    own = tuple(params[row] for row in rows) if params else ()
    return Rows(recipients, addresses, locales, markets, own if any(own) else ())
