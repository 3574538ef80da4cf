"""Defines what a business publishes: ``data`` of ``fanfare.notification.v1``, ``fanfare.optin.v1``, ``fanfare.control.v1``.

Ingress is closed: an unknown field is refused with the nearest known name. Field rules: PROTOCOL.md sections 7 and 9.
"""

from typing import Final

import msgspec

NOTIFICATION_TYPE: Final = "fanfare.notification.v1"
OPTIN_TYPE: Final = "fanfare.optin.v1"
CONTROL_TYPE: Final = "fanfare.control.v1"
STATUS_TYPE: Final = "fanfare.status.v1"

MAX_RECIPIENTS: Final = 1_000
MAX_REQUEST_BYTES: Final = 512 * 1024
MAX_PARAM_CHARS: Final = 1_024
MAX_PARAMS: Final = 32
MAX_LABELS: Final = 4
RESERVED_FIELDS: Final = ("segment", "start_ms", "quiet", "campaign")
"""Fields of ``data`` that have a meaning in a later release; refused ``not_supported`` until they work."""

ACTS: Final = ("web_form", "app", "keyword", "in_person", "phone_call", "paper_form", "chat")
"""Methods of consent that are an act of the person: they take back an older STOP."""
METHODS: Final = (*ACTS, "import")
"""Every method. ``import``: the business brings consent that it recorded elsewhere, so it takes nothing back."""
OLD_METHODS: Final = {
    "form": "web_form",
    "webform": "web_form",
    "checkbox": "web_form",
    "website": "web_form",
    "mobile_app": "app",
    "sms": "keyword",
    "text": "keyword",
    "store": "in_person",
    "phone": "phone_call",
    "call": "phone_call",
    "paper": "paper_form",
    "bulk_import": "import",
    "migration": "import",
}
"""Spellings of releases that took any text, and what they mean now; they are taken without case, blanks or hyphens."""
PURPOSES: Final = ("marketing", "service")


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter that only the gateway can open: ``<kid>.<base64url of HPKE enc + ciphertext>``."""

    sealed: str


Params = dict[str, str | Sealed]


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names an explicit recipient: its address in E.164 with scheme (``tel:+491701234567``)."""

    address: str
    params: Params = {}
    locale: str | None = None


class To(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of explicit ``recipients`` and a ``list``."""

    recipients: tuple[Recipient, ...] = ()
    list: str | None = None


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.notification.v1``."""

    template: str
    to: To
    sender: str | None = None
    params: Params = {}
    facet: str | None = None
    version: int | None = None
    labels: dict[str, str] = {}
    test: bool = False


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names a person of an opt-in event. ``evidence_ms`` is when consent was given or withdrawn; default the event's time."""

    address: str
    locale: str | None = None
    evidence_ms: int | None = None
    """When consent was given or withdrawn, milliseconds since the epoch; None: the event's time."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof of consent (GDPR art. 7(1)): how, the wording shown, and where."""

    method: str
    """Way in which consent was given, a member of ``METHODS``."""
    wording: str
    source: str


class Optin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.optin.v1``: people join or leave one list of the business."""

    list: str
    op: str
    members: tuple[Member, ...]
    evidence: Evidence | None = None
    purpose: str | None = None
    """Purpose that people joined for, of ``PURPOSES``. Default: marketing on ``requests.campaign``, service on ``.update``."""


class EventName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event of the business by what it was published under."""

    source: str
    id: str


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.control.v1``: exactly one of ``request``, ``of`` and ``subject``, of the lane it is sent to."""

    action: str
    request: str | None = None
    of: EventName | None = None
    subject: str | None = None


class CloudEvent(msgspec.Struct, frozen=True):
    """A CloudEvents 1.0 envelope after decoding, whichever mode it came in."""

    id: str
    source: str
    type: str
    time_ms: int
    """The envelope's ``time``, milliseconds since the epoch."""
    data: msgspec.Raw
    """The bytes of ``data``, JSON within the limits."""
    subject: str | None = None
    expires_ms: int | None = None
    """The envelope's expiry, milliseconds since the epoch; None if it has none."""
    traceparent: str | None = None
    body: Notification | Optin | Control | None = None
    """``data`` as what ``type`` says it is, where it was read at once and fits; None: it has still to be looked at."""
    canonical: bytes = b""
    """``data`` in canonical JSON, where it was made at once."""
