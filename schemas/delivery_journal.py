"""Deliver's journal: what was taken over, decided and answered. Everything speaks (request, shard, rank).

One ``OUTCOME`` record carries *sections* of every kind, so that one append serves many small requests or one chunk of a
large one (PROTOCOL.md section 1.5). The fold applies them in the order opened, members, decided, answered.
"""

import msgspec

from schemas.plan_journal import Origin, WorkItem


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """A work item taken over: its input offset may be committed now. The first ``opened`` of a name wins."""

    item: WorkItem
    origin: Origin
    taken_ms: int
    """When deliver took the item over, milliseconds since the epoch."""


class Members(msgspec.Struct, frozen=True, array_like=True):
    """The frozen recipients of a list request in this shard: rank n is the n-th ordinal, ascending."""

    request: bytes
    count: int
    ordinals: bytes
    """A serialised roaring bitmap of the shard's audience ordinals (order of first appearance)."""
    audience_upto: int
    suppressed_upto: int


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """Decisions, durable before any effect. Columns follow the ranks of ``ranks`` in order."""

    request: bytes
    ranks: bytes
    """Packed intervals."""
    statuses: bytes
    """Runs of status bytes: ``SEND``, ``WAITING`` or a message ``Reason``."""
    attempts: bytes
    """Runs: the attempt that a ``SEND`` is, from 1."""
    markets: bytes
    """Packed u16, one a rank whose status is ``SEND``; empty if all equal ``market``."""
    market: int
    due_ms: bytes = b""
    """Packed i64, one a rank whose status is ``WAITING``."""
    suppressed_upto: int = -1
    audience_upto: int = -1


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """Holds the gateway's answer about decided ranks: all accepted but the exceptions."""

    request: bytes
    ranks: bytes
    """Packed intervals: all ranks that the answer covers."""
    gateway_ms: int
    """The gateway's time of acceptance."""
    except_ranks: bytes = b""
    """Packed u32."""
    except_statuses: bytes = b""
    """A status byte each: ``WAITING``, ``IN_DOUBT`` or a message ``Reason``."""
    except_codes: bytes = b""
    """Packed u32: the gateway's code, 0 where it said none; of ``IN_DOUBT`` the ``Reason`` that forbade to ask it again."""
    except_due_ms: bytes = b""
    """Packed i64: when a ``WAITING`` rank is due again; 0 for the others."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """Deliver is bound by a word of control about a request: behind this, nothing of it is handed off, or it goes on again."""

    request: bytes
    held: bool
    """True: what is not handed off waits. False: it goes on, or was cancelled and ends."""
    upto: int
    """Offset in ``controls`` of the last word that concerns the request: of two of these, the higher stands."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``OUTCOME``."""

    opened: tuple[Opened, ...] = ()
    members: tuple[Members, ...] = ()
    decided: tuple[Decided, ...] = ()
    answered: tuple[Answered, ...] = ()
    held: tuple[Held, ...] = ()


class OpenItem(msgspec.Struct, frozen=True, array_like=True):
    """A restated open item: its whole state, in columns over all its ranks."""

    opened: Opened
    members: Members | None
    statuses: bytes
    """Runs over all ranks."""
    attempts: bytes
    """Runs over all ranks."""
    dues: bytes = b""
    """Packed i64, one a ``WAITING`` rank."""
    markets: bytes = b""
    """Packed u16 over all ranks once decided; empty before."""
    held: Held | None = None
    """Last word about a pause, None if there was none."""


class ItemPart(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``ITEM_PART``: some ranks of an open list item that is larger than a record.

    The parts of an item follow one another by rank, from 0 to ``of``; once the last one is read they say what an ``OpenItem`` of
    all ranks would, its members among it (``wire/item_parts.py``). Without the last they say nothing.
    """

    opened: Opened
    first: int
    """The rank that the columns begin with."""
    of: int
    """Ranks of the item."""
    ordinals: bytes
    """Of these ranks' people, as ``Members`` has them."""
    audience_upto: int
    suppressed_upto: int
    statuses: bytes
    """Runs over these ranks, as in ``OpenItem``; so are the other columns."""
    attempts: bytes
    dues: bytes = b""
    markets: bytes = b""
    held: Held | None = None


class ClosedName(msgspec.Struct, frozen=True, array_like=True):
    """A closed request: remembered until ``keep_ms`` so that late duplicate work cannot re-open it."""

    request: bytes
    keep_ms: int
    """Until when the name is remembered, milliseconds since the epoch."""


class Newest(msgspec.Struct, frozen=True, array_like=True):
    """The newest version of a fact that this shard has seen, remembered until ``keep_ms``."""

    fact: bytes
    version: int
    time_ms: int
    """The event time of that version: facet ``*`` dominates every fact of its entity that is not newer than this."""
    keep_ms: int
    """Latest window or expiry of any version seen: forgetting v8 while v7 may still come would revive v7."""


class Restated(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``OUTCOME_RESTATED``: what a fold must still know although it was said long ago."""

    open: tuple[OpenItem, ...] = ()
    closed: tuple[ClosedName, ...] = ()
    newest: tuple[Newest, ...] = ()


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """Says again how much of a limit some people have used up, in one of its groups."""

    key: str
    """The limit's word, a zero byte, and the group; of the pair limit, which has no word, the sender alone."""
    recipients: bytes
    """16 bytes each."""
    numbers: bytes
    """Packed i64, one a recipient, as the limit reads them; of the pair limit GCRA's theoretical arrival times, milliseconds."""


class LimitsRestated(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``LIMITS_RESTATED``: limits in force, said again like what stands in ``Restated``."""

    spent: tuple[Spent, ...]


class Trying(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``TRYING`` (poison breaker): this work is about to be done alone, or has raised."""

    request: bytes
    """The request; to frame it, a byte 1 behind it, to freeze its members a byte 2 (``broker/deliver/suspects.py``)."""
