"""The records behind the golden bytes: one of every kind, with every field set to something that is not its default.

A record is written in the lowest format that is shortest, so those of format 2 have ranks that are scattered.
``python -m tests.contract.golden.records`` writes the bytes of the newest format. Do it once for a new format,
never for an old one: the files of an old format are what is on somebody's disk.
"""

from pathlib import Path
from typing import Final

from schemas.delivery_journal import (
    Answered,
    ClosedName,
    Decided,
    Held,
    ItemPart,
    LimitsRestated,
    Members,
    Newest,
    Opened,
    OpenItem,
    Outcome,
    Restated,
    Spent,
    Trying,
)
from schemas.facts import AudienceChange, Charge, ControlWord, Inbound, ReceiptRun, Receipts, Suppression, Suppressions
from schemas.lanes import Lane
from schemas.plan_journal import Claim, Origin, Planned, PlannedBatch, Rows, Terms, Work, WorkItem
from schemas.reasons import Reason
from schemas.wire.arrays import intervals_of
from schemas.wire.head import FORMAT
from schemas.wire.header import Header, Kind, pack

FOLDER: Final = Path(__file__).parent

_NAME: Final = bytes(range(16))
_OTHER: Final = bytes(range(16, 32))
_AT_MS: Final = 1_790_000_000_123

_TERMS: Final = Terms(
    business="airline",
    sender="airline/main",
    template="delay",
    template_version=3,
    category=2,
    card=7,
    params={"flight": "UA1", "city": "Köln"},
    time_ms=_AT_MS - 5,
    expires_ms=_AT_MS + 600_000,
    keep_ms=_AT_MS + 900_000,
    source="//airline/ops",
    id="1",
    trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    entity="flight/UA1",
    facet="gate",
    version=9,
    labels={"team": "ops"},
    test=True,
    languages="enes",
)
_ROWS: Final = Rows(_NAME + _OTHER, bytes(33) + b"\1" * 33, b"ende", b"\0\x01\0\x31", ({}, {"seat": "1A"}))
_ITEM: Final = WorkItem(_NAME, _TERMS, _ROWS, "", _AT_MS, 300)
_LISTED: Final = WorkItem(_OTHER, _TERMS, None, "flight-UA1", 0)
_ACCEPTED: Final = Planned(
    name=_NAME,
    origin=Origin(3, 2**40),
    fingerprint=b"fingerpr",
    verdict=0,
    decided_ms=_AT_MS,
    keep_ms=_AT_MS + 3_600_000,
    terms=_TERMS,
    rows=_ROWS,
    start_ms=_AT_MS + 20,
    first=Origin(1, 5),
    free_us=_AT_MS * 1000 + 20_000,
    per_s=300,
    people=2,
    through_ms=_AT_MS + 27,
)
_REFUSED: Final = Planned(
    name=_OTHER,
    origin=Origin(3, 2**40 + 1),
    fingerprint=b"fingerpr",
    verdict=Reason.STALE.value,
    decided_ms=_AT_MS,
    keep_ms=_AT_MS + 1,
    detail="time is older than 3300 s.",
    list="flight-UA1",
    business="airline",
)
_OPENED: Final = Opened(_ITEM, Origin(3, 17), _AT_MS)
_MEMBERS: Final = Members(_OTHER, 2, b"roaring", 40, 41)

RECORDS: Final[dict[Kind, object]] = {
    Kind.CLAIM: Claim("worker-otp-0", 12, 345),
    Kind.PLANNED: PlannedBatch((_ACCEPTED, _REFUSED)),
    Kind.PLAN_RESTATED: PlannedBatch((_REFUSED,)),
    Kind.WORK: Work((_ITEM, _LISTED)),
    Kind.OUTCOME: Outcome(
        opened=(_OPENED,),
        members=(_MEMBERS,),
        decided=(Decided(_NAME, b"ranks", b"states", b"tries", b"\0\x01", 49, b"dues----", 41, 40),),
        answered=(Answered(_NAME, b"ranks", _AT_MS, b"\0\0\0\1", b"\x20", b"\0\1\xfe\x92", b"due-----"),),
        held=(Held(_NAME, held=True, upto=7),),
    ),
    Kind.OUTCOME_RESTATED: Restated(
        open=(
            OpenItem(_OPENED, _MEMBERS, b"states", b"tries", b"dues----", b"\0\x01", Held(_NAME, held=True, upto=7)),
        ),
        closed=(ClosedName(_OTHER, _AT_MS + 1),),
        newest=(Newest(b"factfact", 9, _AT_MS, _AT_MS + 2),),
    ),
    Kind.ITEM_PART: ItemPart(
        _OPENED, 7, 9, b"ordinals", 5, 6, b"states", b"tries", b"dues----", b"\0\x01", Held(_NAME, held=True, upto=7)
    ),
    Kind.RECEIPT: Receipts((ReceiptRun(_NAME, b"ranks", 4, _AT_MS, _AT_MS + 9, 131_026),)),
    Kind.CHARGE: Charge(
        "airline",
        "airline/main",
        _NAME,
        b"roaring",
        3_400,
        "USD",
        7,
        2,
        49,
        _AT_MS,
        _AT_MS + 1,
        source="//airline/operations",
        id="delayed-1",
        labels={"team": "gate"},
    ),
    Kind.SUPPRESSION: Suppressions(
        (
            Suppression(
                _NAME,
                "airline",
                5,
                revoke=True,
                evidence_ms=_AT_MS,
                received_ms=1,
                evidence="m1",
                request=_OTHER,
                list="flight-UA1",
            ),
        )
    ),
    Kind.AUDIENCE: AudienceChange(
        business="airline",
        list="flight-UA1",
        join=True,
        recipients=_NAME,
        addresses=b"\1" * 33,
        locales=b"en",
        markets=b"\0\x01",
        evidence_ms=b"evidence",
        received_ms=_AT_MS,
        evidence='{"method":"app"}',
        acted=True,
        offers=True,
    ),
    Kind.INBOUND: Inbound("m1", "airline", "airline/main", _NAME, "text", "STOP", _AT_MS, _OTHER, 4),
    Kind.TRYING: Trying(_NAME),
    Kind.CONTROL: ControlWord(
        1, "airline", "aaaqeayeaudaocajbifqydiob4", 2, _AT_MS, _AT_MS + 1, "//airline/ops pause-1"
    ),
    Kind.LIMITS_RESTATED: LimitsRestated((Spent("airline/main", _NAME, b"until---"),)),
}
"""A body for every kind."""

_SCATTERED: Final = intervals_of([rank * rank for rank in range(80)])
SCATTERED: Final[dict[Kind, object]] = {
    Kind.OUTCOME: Outcome(
        decided=(
            Decided(_NAME, _SCATTERED, b"states", b"tries", b"", 49),
            Decided(_OTHER, b"ranks", b"", b"", b"", 49),
        ),
        answered=(Answered(_NAME, _SCATTERED, _AT_MS),),
    ),
    Kind.RECEIPT: Receipts((ReceiptRun(_NAME, _SCATTERED, 4, _AT_MS, _AT_MS + 9, 131_026),)),
}
"""Bodies that are shorter in format 2: with 80 ranks that lie apart."""
WRITTEN: Final[dict[int, dict[Kind, object]]] = {1: RECORDS, 2: SCATTERED}
"""Format to the bodies that are written in it."""

SHAPES: Final[dict[Kind, type]] = {kind: type(body) for kind, body in RECORDS.items()}
"""What each kind is read as."""


def header_of(kind: Kind) -> Header:
    """The head of the golden record of a kind."""
    return Header(kind, Lane.UPDATE, 3, 70_000, _AT_MS)


def path_of(kind: Kind, version: int = min(WRITTEN)) -> Path:
    """Where the golden bytes of a kind stand, as hexadecimal text."""
    return FOLDER / f"format{version}" / f"{kind.name.lower()}.hex"


def main() -> None:
    """Write the golden bytes of the newest format."""
    for kind, body in WRITTEN[FORMAT].items():
        text = pack(header_of(kind), body).hex()
        lines = [text[i : i + 100] for i in range(0, len(text), 100)]
        path = path_of(kind, FORMAT)
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
