"""Defines the entries that operators register: businesses, senders, templates, prices, the deployment.

JSON on the compacted ``registry`` topic, key ``kind/id``. In files, which people write, an unknown field is refused; of what
stands in Kafka it is left out (:data:`entry_of`).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from schemas.lanes import Category, Lane, lane_for
from schemas.wire.newer_json import reader_of

DEFAULT_SHARES: Final = {lane.word: lane.rules.share_percent for lane in Lane if lane.rules.share_percent}
"""Lane -> percent of a number's throughput, where its entry does not say otherwise: together they never exceed it."""
DEFAULT_RATE_PER_S: Final = 80
"""Messages a second of a new number of the WhatsApp Cloud API: the default of a sender."""
PLATFORM_RATE_PER_S: Final = 1_000
"""Messages a second to which the WhatsApp Cloud API raises a number at the most."""
DEFAULT_BACKLOG: Final = 10_000
"""Messages of a business that may wait in a lane: a quarter of what one shard has room for, if all were for one shard."""
MAX_BACKLOG: Final = 40_000
"""All that a shard has room for; a test holds it against what deliver takes."""


PLANS = ("free", "paid")


class Business(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="business"):
    """Who sends."""

    id: str
    name: str
    verified: bool = False
    plan: str = "free"
    """Plan of the business, a member of :data:`PLANS`, held for a later release: nothing depends on it yet."""
    active: bool = True
    test_numbers: tuple[str, ...] = ()
    """E.164: the only people whom ``test: true`` reaches, so that nobody else is told for nothing."""
    backlog: int = DEFAULT_BACKLOG
    """Messages to explicit recipients that may wait, in each lane, for the throughput of all its numbers together."""


class Sender(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sender"):
    """Holds a number of a business, with its own throughput."""

    id: str
    """``<business>/<name>``."""
    business: str
    number: str
    rate_per_s: int = DEFAULT_RATE_PER_S
    """Messages a second over all lanes."""
    active: bool = True
    default: bool = False
    shares: dict[str, int] = {}
    """Lane -> percent of the throughput that is its own; a lane without one has none. Empty: :data:`DEFAULT_SHARES`."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A slot of a template. A sealed one accepts only sealed values."""

    name: str
    sealed: bool = False


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="template"):
    """A text in several languages with ``{named}`` slots. Without a ``business``, or with ``*``, everybody may use it."""

    id: str
    category: str
    parameters: tuple[Parameter, ...]
    texts: dict[str, str]
    """Language (two letters) to text."""
    default_language: str = "en"
    business: str = "*"
    version: int = 1
    active: bool = True


CONFIRMATIONS: Final = ("fanfare_stopped", "fanfare_stopped_all")
"""Templates by which Fanfare confirms a STOP and a STOP ALL; no business may use them. Utility, one parameter: ``business``."""
CONFIRMATION_LANE: Final = lane_for(Category.UTILITY)
"""Where they travel."""


class PriceCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="price_card"):
    """Category x market to integer micro-units. Market is the country calling code as text; ``*`` is every other."""

    id: int
    currency: str
    prices_micro: dict[str, dict[str, int]]
    """Price of a message by category and market, millionths of the currency."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="key"):
    """A public key. ``use`` is ``seal`` (X25519, hex): what producers seal one-time codes to."""

    id: str
    use: str
    public: str


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="api_key"):
    """Holds a key by which HTTP intake knows a business. The key itself stands nowhere: ``sha256`` is its SHA-256, hex."""

    id: str
    business: str
    sha256: str
    active: bool = True


class Keywords(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="keywords"):
    """The words of one language by which people stop and start; ``id`` is the language, two letters.

    A whole message must be the word; case, accents, punctuation and emoji do not matter.
    """

    id: str
    stop: tuple[str, ...]
    """Ends marketing and the list that is answered."""
    stop_all: tuple[str, ...] = ()
    """Ends everything but one-time codes."""
    start: tuple[str, ...] = ()
    """Takes both back."""
    after_offers: tuple[str, ...] = ()
    """Stop only in answer to a marketing message, because elsewhere they may be about an order: "cancel"."""


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="deployment"):
    """Holds what is the same for all: the number of shards, fixed at birth, and the most that the platform lets a number send."""

    id: str
    shards: int
    max_rate_per_s: int = PLATFORM_RATE_PER_S
    """No sender is registered with more messages a second than this."""


Entry = Business | Sender | Template | PriceCard | Key | ApiKey | Keywords | Deployment
"""Every kind of registry entry; ``kind`` tells which."""


entry_of: Final[Callable[[bytes], Entry]] = reader_of(Entry)
"""Decodes an entry as it stands in Kafka, without fields of a newer release; raises ``msgspec.MsgspecError``."""


def key_of(entry: Entry) -> str:
    """The compaction key: ``kind/id``."""
    return f"{type(entry).__struct_config__.tag}/{entry.id}"
