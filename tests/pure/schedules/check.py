"""What must hold at the end of every schedule: the book, the world and the promises agree."""

from collections import Counter, defaultdict

from broker.audience.consent import Consent
from broker.deliver.state import body_of_outcome
from broker.journal import Fold
from schemas.names import Lane
from schemas.outcome import Outcome
from schemas.reasons import State
from schemas.wire.columns import of_u32s, ranks_of, values_of
from tests.pure.schedules.world import World

STOP_BOUND_MS = 100
"""And the frame's own span on top (``not_after``)."""


class Book:
    """The journal as an outsider reads it: every valid status of every message, in order."""

    def __init__(self, records: list[bytes]) -> None:
        self.history: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        self.opened: Counter[bytes] = Counter()
        self.counts: dict[bytes, int] = {}
        fold = Fold()
        for record in records:
            header = fold.admit(record)
            body = None if header is None else body_of_outcome(header, record)
            if isinstance(body, Outcome):
                self._outcome(body)

    def _outcome(self, body: Outcome) -> None:
        for opened in body.opened:
            self.opened[opened.item.request] += 1
            if opened.item.rows is not None:
                self.counts.setdefault(opened.item.request, len(opened.item.rows))
        for members in body.members:
            self.counts.setdefault(members.request, members.count)
        for decided in body.decided:
            for rank, status in zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True):
                self.history[decided.request, rank].append(status)
        for answered in body.answered:
            said = dict(zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True))
            for rank in ranks_of(answered.ranks):
                self.history[answered.request, rank].append(said.get(rank, State.ACCEPTED))


def violations(world: World, records: list[bytes]) -> list[str]:
    """Every broken promise, as a sentence."""
    book = Book(records)
    return [*_conservation(world, book), *_agreement(world, book), *_promises(world)]


def _conservation(world: World, book: Book) -> list[str]:
    found = []
    for item in world.items:
        times = book.opened[item.request]
        if times == 0:
            found.append(f"request {item.request.hex()[-4:]} was never opened")
        for rank in range(book.counts.get(item.request, 0)):
            history = book.history[item.request, rank]
            if not history or history[-1] <= State.WAITING:
                found.append(f"message {item.request.hex()[-4:]}/{rank} has no final status: {history}")
    return found


def _agreement(world: World, book: Book) -> list[str]:
    found = []
    visible = {(one.request, one.rank) for one in world.gateway.log}
    people: Counter[tuple[bytes, bytes]] = Counter((one.request, one.recipient) for one in world.gateway.log)
    found += [f"visible {count} times" for count in people.values() if count > 1]
    for key in visible:
        if State.SEND not in book.history[key]:
            found.append(f"visible without a valid decision: {key[0].hex()[-4:]}/{key[1]} {book.history[key]}")
    for key, history in book.history.items():
        last = history[-1] if history else State.PENDING
        if last == State.ACCEPTED and key not in visible:
            found.append(f"accepted in the book, unknown to the gateway: {key[0].hex()[-4:]}/{key[1]}")
        if key in visible and last not in (State.ACCEPTED, State.IN_DOUBT):
            found.append(f"visible, but the book says {last}: {key[0].hex()[-4:]}/{key[1]} {history}")
    return found


def _promises(world: World) -> list[str]:
    found: list[str] = []
    told: dict[tuple[bytes, str], int] = {}
    listed = {item.request: item.rows is None for item in world.items}
    for one in world.gateway.log:
        if one.at_ms >= one.expires_ms:
            found.append(f"handed off {one.at_ms - one.expires_ms} ms after its expiry")
        if one.version >= 0:
            if told.get((one.recipient, one.collapse), -1) > one.version:
                found.append(f"version {one.version} after {told[one.recipient, one.collapse]}")
            told[one.recipient, one.collapse] = max(one.version, told.get((one.recipient, one.collapse), -1))
        consent = Consent()
        bound = one.at_ms - STOP_BOUND_MS - world.policy.windows.frame_ms
        for acknowledged_ms, entry in world.stops:
            if acknowledged_ms <= bound:
                consent.apply(entry)
        verdict = consent.verdict(one.recipient, "airline", lane=Lane.UPDATE, listed=listed[one.request])
        if verdict is not None and not _restored(world, one.recipient, bound, one.at_ms):
            found.append(f"handed off after {verdict.word} was acknowledged")
    return found


def _restored(world: World, recipient: bytes, after_ms: int, until_ms: int) -> bool:
    """Whether the person took something back within the bound: then either word may count."""
    return any(
        entry.recipient == recipient and not entry.revoke and after_ms < acknowledged_ms <= until_ms
        for acknowledged_ms, entry in world.stops
    )
