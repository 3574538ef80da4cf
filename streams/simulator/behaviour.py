"""Decides the future of accepted messages: when each is reported sent, delivered, read or failed, and what people answer.

A pure function of the ``accepted`` line in the gateway's log, seed and profile. So a restarted gateway knows what it still
owes: everything this says less what the log holds as reported. Reports go astray as real ones of WhatsApp do: ``sent``
comes late or not at all, a message read on arrival has no ``delivered``, runs are repeated. Every other person who stops
writes into the chat without naming a message, as most people do; ``latest.py`` says which one that answers.
"""

import base64
from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.gateway_api import Code, GatewayEvent, Reply, ReportRun
from schemas.ids import name_of, text_of
from streams.simulator.frame_rows import Intervals, intervals, listed
from streams.simulator.id_set import ID_BYTES
from streams.simulator.phone_users import MOODS, Crowd, Profile, Trait, mixed

OPT_OUT_BODIES: Final = {
    Trait.STOPS: ("STOP", "Baja", "रोकें", "STOPP!", "Arrêt", "sair", "Basta 🛑", "إيقاف", "Berhenti"),
    Trait.STOPS_ALL: ("Stop all", "BAJA TOTAL", "सब बंद करें", "Alles abbestellen", "Tout arrêter", "Stop semua 🙏"),
}
_ANSWERS: Final = frozenset(trait * MOODS for trait in (Trait.STOPS, Trait.STOPS_ALL, Trait.BLOCKS, Trait.CHATS))
"""Classes of messages that are answered: those people's, in their first mood."""
_CHAT: Final = "OK, thanks!"
_REPLY_AFTER_MS: Final = 400
_REPEAT_AFTER_MS: Final = 700
_LATE_MS: Final = 500
_READ_ON_ARRIVAL_MS: Final = 5
_PERMYRIAD: Final = 10_000
_SALTS: Final = {"sent": 1, "delivered": 2, "read": 3, "failed": 4}


class Due(msgspec.Struct, frozen=True):
    """Holds a report or reply that is owed to the webhook from ``due_ms`` on. Exactly one of ``run`` and ``reply`` is set."""

    due_ms: int
    """When it is owed, milliseconds since the epoch."""
    lane: str
    shard: int
    request: str
    run: ReportRun | None = None
    reply: Reply | None = None

    @property
    def mark(self) -> int:
        """Returns a number that tells it from all others of the log; an exact repeat has the same."""
        if self.reply is not None:
            return hash((self.request, self.reply.recipient))
        assert self.run is not None
        return hash((self.run.ref, self.run.status, self.run.code, self.run.ranks))


def mark_of(event: GatewayEvent) -> int:
    """The mark of what a ``report`` or ``reply`` line of the log says was acknowledged."""
    if event.event == "reply":
        return hash((event.request, text_of(base64.b64decode(event.recipients))))
    return hash((event.ref, event.status, event.code, event.ranks))


class _Moment(msgspec.Struct, frozen=True):
    after_ms: int
    """Milliseconds after the message was accepted."""
    status: str
    code: int = 0


def life(crowd: Crowd, accepted: GatewayEvent, *, alive: bool = False) -> Iterator[Due]:
    """All that one ``accepted`` line leads to. ``alive``: a heartbeat; its phone is online whatever the seed says."""
    request = name_of(accepted.request)
    recipients, classes = _told_apart(crowd, accepted, request, alive=alive)
    moments: dict[_Moment, list[int]] = {}
    for of_class, ranks in _by_class(classes, accepted.ranks):
        for moment in _script(of_class, crowd.profile):
            if accepted.at_ms + moment.after_ms > accepted.expires_ms and moment.status in {"delivered", "read"}:
                break
            moments.setdefault(moment, []).extend(ranks)
    for moment, ranks in moments.items():
        ranks.sort()
        spans = intervals(ranks)
        luck = mixed(int.from_bytes(request[8:], "little") ^ spans[0][0] << 8 ^ _SALTS[moment.status])
        yield from _reports(crowd.profile, accepted, moment, spans, luck)
    if recipients and not accepted.confirms:
        yield from _replies(crowd.profile, accepted, recipients, classes)


def _told_apart(crowd: Crowd, accepted: GatewayEvent, request: bytes, *, alive: bool) -> tuple[bytes, bytes]:
    """Return the column of ids and the class of each; no ids where everybody is alike."""
    if alive or crowd.plain:
        return b"", bytes(sum(count for _, count in accepted.ranks))
    recipients = base64.b64decode(accepted.recipients)
    return recipients, crowd.classes(recipients, request)


def stopping(crowd: Crowd, recipients: bytes, request: bytes) -> list[int]:
    """Returns the positions in a column of ids of people who stop when they are in the mood for it."""
    return [at for at, of_class in enumerate(crowd.classes(recipients, request)) if of_class // MOODS in OPT_OUT_BODIES]


def _by_class(classes: bytes, ranks: Intervals) -> Iterator[tuple[int, list[int]]]:
    if classes.count(classes[:1]) == len(classes):
        yield classes[0], listed(ranks)
        return
    found: dict[int, list[int]] = {}
    for of_class, rank in zip(classes, listed(ranks), strict=True):
        found.setdefault(of_class, []).append(rank)
    yield from found.items()


def _script(of_class: int, profile: Profile) -> list[_Moment]:
    """Returns the reports about a message of this class, in order of time."""
    trait, mood = Trait(of_class // MOODS), of_class % MOODS
    arrives = profile.delivered_ms[mood]
    sent, delivered = _Moment(0, "sent"), _Moment(arrives, "delivered")
    match trait:
        case Trait.ONLINE:
            return [sent, delivered]
        case Trait.READS_AT_ONCE:
            read = _Moment(arrives + _READ_ON_ARRIVAL_MS, "read")
            return [sent, delivered, read] if mood % 2 else [sent, read]
        case Trait.READS_LATER | Trait.STOPS | Trait.STOPS_ALL | Trait.BLOCKS | Trait.CHATS:
            return [sent, delivered, _Moment(arrives + profile.read_ms[mood], "read")]
        case Trait.OFFLINE:
            return [sent, _Moment(profile.back_online_ms[mood], "delivered")]
        case Trait.BLOCKED:
            return [sent]
        case Trait.WRONG_NUMBER | Trait.WRONG_NUMBER_LATER:
            return [_Moment(arrives, "failed", Code.UNDELIVERABLE)]
        case Trait.CONTRADICTS:
            return [sent, _Moment(arrives, "failed", Code.TRANSIENT), _Moment(arrives + _LATE_MS, "delivered")]


def _reports(profile: Profile, accepted: GatewayEvent, moment: _Moment, ranks: Intervals, luck: int) -> Iterator[Due]:
    """The report of one moment: by ``luck`` late, repeated or left out."""
    at_ms = due_ms = accepted.at_ms + moment.after_ms
    if moment.status == "sent":
        if luck % _PERMYRIAD < profile.sent_skipped:
            return
        if luck // _PERMYRIAD % _PERMYRIAD < profile.sent_late:
            due_ms += _LATE_MS
    run = ReportRun(accepted.ref, moment.status, ranks, at_ms, moment.code)
    yield Due(due_ms, accepted.lane, accepted.shard, accepted.request, run)
    if (luck >> 32) % _PERMYRIAD < profile.repeated:
        yield Due(due_ms + _REPEAT_AFTER_MS, accepted.lane, accepted.shard, accepted.request, run)


def _replies(profile: Profile, accepted: GatewayEvent, recipients: bytes, classes: bytes) -> Iterator[Due]:
    ranks = listed(accepted.ranks)
    contacts = {rank: (address, locale) for rank, address, locale in accepted.contacts}
    for position in [at for at, of_class in enumerate(classes) if of_class in _ANSWERS]:
        trait, mood = Trait(classes[position] // MOODS), classes[position] % MOODS
        recipient = recipients[position * ID_BYTES : (position + 1) * ID_BYTES]
        at_ms = accepted.at_ms + profile.delivered_ms[mood] + profile.read_ms[mood] + _REPLY_AFTER_MS
        if at_ms <= accepted.expires_ms:
            rank = ranks[position]
            contact = contacts.get(rank, ("", ""))
            reply = _reply(accepted, trait, recipient=recipient, rank=rank, contact=contact, at_ms=at_ms)
            yield Due(at_ms, accepted.lane, accepted.shard, accepted.request, reply=reply)


def _reply(
    accepted: GatewayEvent, trait: Trait, *, recipient: bytes, rank: int, contact: tuple[str, str], at_ms: int
) -> Reply:
    """Returns what one person answers. Small talk and blocks name the message; of those who stop, every other one does."""
    names_it = trait not in OPT_OUT_BODIES or recipient[0] % 2 == 0
    return Reply(
        id=f"in-{accepted.request}-{text_of(recipient)}",
        business=accepted.business,
        sender=accepted.sender,
        recipient=text_of(recipient),
        kind="block" if trait == Trait.BLOCKS else "text",
        body=_body(trait, recipient),
        at_ms=at_ms,
        ref=accepted.ref if names_it else "",
        rank=rank if names_it else -1,
        address=contact[0],
        locale=contact[1],
    )


def _body(trait: Trait, recipient: bytes) -> str:
    if trait == Trait.BLOCKS:
        return ""
    words = OPT_OUT_BODIES.get(trait)
    return words[recipient[-1] % len(words)] if words else _CHAT
