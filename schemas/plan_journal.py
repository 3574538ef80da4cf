"""Plan's journal, and the work it asks of shards.

``work`` is a pure function of ``planned``, byte for byte: redelivered input finds its origin in the fold and re-emits the
same. Fields: PROTOCOL.md sections 1.3 (1, 2) and 9.
"""

import msgspec

ADDRESS_WIDTH = 33
"""A sealed address: key id u8, AES-SIV tag 16, the address without ``tel:`` padded with NUL to 16."""
LOCALE_WIDTH = 2
"""A language as its two ASCII letters (ISO 639-1)."""


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where an input record stood: partition and offset."""

    partition: int
    offset: int


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """All that deliver and settle need to know of a request, fixed at acceptance."""

    business: str
    sender: str
    template: str
    template_version: int
    category: int
    card: int
    params: dict[str, str]
    time_ms: int
    """The event's ``time``, milliseconds since the epoch."""
    expires_ms: int
    """When the messages expire, milliseconds since the epoch."""
    keep_ms: int
    """Until when the name is remembered after it is closed."""
    source: str
    id: str
    trace: str = ""
    entity: str = ""
    facet: str = ""
    version: int = -1
    labels: dict[str, str] = {}
    test: bool = False
    """Never bills; heartbeats set it, too."""
    languages: str = ""
    """Languages of the template, two letters each, the default first; empty: accepted by a release that did not fix it."""


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """Explicit recipients as columns, in rank order; one entry of ``params`` a row, or none at all."""

    recipients: bytes
    addresses: bytes
    locales: bytes
    markets: bytes
    """Packed u16: the country calling code, which prices are by."""
    params: tuple[dict[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.recipients) // 16


class Planned(msgspec.Struct, frozen=True, array_like=True):
    """Holds the verdict about one named request. ``verdict`` is 0 for accepted, else a ``Reason``."""

    name: bytes
    origin: Origin
    fingerprint: bytes
    verdict: int
    decided_ms: int
    """When the verdict was made, milliseconds since the epoch."""
    keep_ms: int
    """Until when the name is remembered, milliseconds since the epoch."""
    detail: str = ""
    """Sentence of a refusal that says what is wrong and what to do; empty if accepted."""
    terms: Terms | None = None
    rows: Rows | None = None
    list: str = ""
    start_ms: int = 0
    """Not before: what the sender's throughput allows (GCRA, reserved here). Of a refusal: when to ask again."""
    first: Origin | None = None
    """Where the input stood first, if it was re-routed to this partition; ``origin`` is where it stood here."""
    free_us: int = 0
    """Until when this request uses up its sender's throughput (GCRA's theoretical arrival time), microseconds."""
    business: str = ""
    """Of a restated name, whose terms are left out: whose it is."""
    per_s: int = 0
    """Messages a second at which a list, or more explicit recipients than a burst, goes out; 0: all of it at once."""
    people: int = 0
    """To how many it goes: explicit recipients, or the size of the list as far as it was known; 0: not known. Of a refusal
    for a full backlog: how many messages would have been taken."""
    through_ms: int = 0
    """When it will be through at that rate, after what was asked of the sender's slots before; 0: not known."""


class PlannedBatch(msgspec.Struct, frozen=True, array_like=True):
    """The body of kinds ``PLANNED`` and ``PLAN_RESTATED``."""

    entries: tuple[Planned, ...]


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``CLAIM``: who owns the journal from here on. The epoch stands in the head."""

    instance: str
    generation: int = 0
    floor: int = 0
    """The offset from which on everything that is still open has been said: a fold begins there."""


class WorkItem(msgspec.Struct, frozen=True, array_like=True):
    """Asks a shard for its part of a request: rows of explicit recipients, or a list of the business."""

    request: bytes
    terms: Terms
    rows: Rows | None = None
    list: str = ""
    start_ms: int = 0
    """When the first message may leave, milliseconds since the epoch."""
    per_s: int = 0
    """Messages a second, over all shards, that the sender's slots allowed at acceptance; 0: it needs no slot."""


class Work(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``WORK``."""

    items: tuple[WorkItem, ...]
