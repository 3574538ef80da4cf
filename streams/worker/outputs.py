"""Writes the outputs of stages beside their journals: work, audience changes, charges, statuses, dead letters.

All of it is a pure function of journal records or a join, so it may be written again after a crash. An input counts as
finished when its outputs are acknowledged; never before.
"""

from collections.abc import Sequence

from broker.plan.control_events import ControlRecord
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import Answer, Direct, Rerouted
from schemas import topics
from schemas.facts import Charge, ControlScope, ControlWord, Suppression, Suppressions
from schemas.ids import partition_of
from schemas.lanes import Lane
from schemas.status import DeadLetter, Status
from schemas.wire.cloudevents import STRUCTURED_HEADERS, encode_status
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import Outgoing
from streams.kafka.set_aside import dead_letter

_ENTRIES = 1_000
"""Suppressions a record: about 150 bytes each."""


def status_record(business: str, status: Status) -> Outgoing:
    """An answer as it stands on the business's own topic."""
    return Outgoing(
        topics.status(business),
        encode_status(status),
        key=status.request.encode(),
        partition=0,
        headers=STRUCTURED_HEADERS,
    )


def charge_record(charge: Charge, *, lane: Lane, shard: int, shards: int, now_ms: int) -> Outgoing:
    """A charge; the head says which shard's ranks it is about."""
    key = charge.business.encode()
    value = pack(Header(Kind.CHARGE, lane, shard, 0, now_ms), charge)
    return Outgoing(topics.CHARGES, value, key=key, partition=partition_of(key, shards))


def suppression_records(entries: Sequence[Suppression], *, lane: Lane, shard: int) -> list[Outgoing]:
    """Encodes what deliver learnt about consent; each entry carries its own times, so every owner writes it the same."""
    parts = [tuple(entries[at : at + _ENTRIES]) for at in range(0, len(entries), _ENTRIES)]
    return [
        Outgoing(
            topics.SUPPRESSIONS,
            pack(Header(Kind.SUPPRESSION, lane, shard, 0, part[-1].received_ms), Suppressions(part)),
            partition=shard,
        )
        for part in parts
    ]


def control_record(lane: Lane, word: ControlWord) -> Outgoing:
    """A word of control. Its key is all that it says: compaction drops repetitions and nothing else."""
    key = f"{lane.word}/{ControlScope(word.scope).word}/{word.business}/{word.target}/{word.evidence_ms}/{word.action}"
    value = pack(Header(Kind.CONTROL, lane, 0, 0, word.received_ms), word)
    return Outgoing(topics.CONTROLS, value, key=key.encode(), partition=0)


def direct_records(direct: Sequence[Direct], *, lane: Lane, now_ms: int) -> list[Outgoing]:
    """Encodes the answers of plan that stand in no journal."""
    return [_direct(one, lane, now_ms) for one in direct]


def _direct(one: Direct, lane: Lane, now_ms: int) -> Outgoing:
    match one:
        case Answer():
            return status_record(one.business, one.status)
        case AudienceRecord():
            value = pack(Header(Kind.AUDIENCE, lane, one.shard, 0, now_ms), one.change)
            return Outgoing(topics.AUDIENCE, value, partition=one.shard)
        case ControlRecord():
            return control_record(one.lane, one.word)
        case DeadLetter():
            return dead_letter(one)
        case Rerouted():
            return Outgoing(topics.requests(lane), one.value, key=one.key, partition=one.partition, headers=one.headers)
