"""Defines what a business publishes: ``data`` of ``fanfare.notification.v1``, ``fanfare.optin.v1``, ``fanfare.control.v1``.

Ingress is closed: an unknown field is refused with the nearest known name. Field rules: PROTOCOL.md sections 7 and 9.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from schemas.facts import ControlAction
from schemas.lanes import Lane, listed

_VERSIONED: Final = listed(lane.word for lane in Lane if lane.rules.supersedes)
_BY_CATEGORY: Final = ", ".join(f"{lane.rules.category.word} {lane.word}" for lane in Lane)
_PURPOSES: Final = ", ".join(
    f"{'marketing' if lane.rules.marketing else 'service'} on requests.{lane.word}"
    for lane in reversed(Lane)
    if lane.rules.takes_lists
)
NOTIFICATION_TYPE: Final = "fanfare.notification.v1"
OPTIN_TYPE: Final = "fanfare.optin.v1"
CONTROL_TYPE: Final = "fanfare.control.v1"
STATUS_TYPE: Final = "fanfare.status.v1"

MAX_RECIPIENTS: Final = 1_000
MAX_REQUEST_BYTES: Final = 512 * 1024
MAX_PARAM_CHARS: Final = 1_024
MAX_PARAMS: Final = 32
MAX_LABELS: Final = 4
MAX_ATTRIBUTE_CHARS: Final = 256
"""Of ``id``, ``source``, ``subject`` and ``type``: they are repeated in journals and statuses."""
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


_ADDRESS: Final = {"pattern": r"^tel:\+[1-9][0-9]{6,14}$"}


def _about(description: str, bounds: Mapping[str, Any] | None = None) -> msgspec.Meta:
    """Describe a field for the documents of the contract, with bounds that its type does not state.

    The decoder does not hold a field to them: plan does, in an order of its own and with a sentence for each.
    """
    return msgspec.Meta(description=description, extra_json_schema=None if bounds is None else dict(bounds))


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter that only the gateway can open: ``<kid>.<base64url of HPKE enc + ciphertext>``."""

    sealed: Annotated[
        str, _about("`<key id>.<base64url of HPKE enc and ciphertext>`, bound to request, address, template and slot.")
    ]


Params = dict[str, str | Sealed]


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names an explicit recipient: its address in E.164 with scheme (``tel:+491701234567``)."""

    address: Annotated[str, _about("E.164 with its scheme, like `tel:+491701234567`.", _ADDRESS)]
    params: Annotated[
        Params,
        _about(
            "Slots for this person, on top of the common ones; a sealed code always stands here.",
            {"maxProperties": MAX_PARAMS},
        ),
    ] = {}
    locale: Annotated[
        str | None, _about("The language to speak, like `en` or `en-GB`; the template's default if it is left out.")
    ] = None


class To(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of explicit ``recipients`` and a ``list``."""

    recipients: Annotated[
        tuple[Recipient, ...],
        _about("People by address. Not together with list.", {"minItems": 1, "maxItems": MAX_RECIPIENTS}),
    ] = ()
    list: Annotated[
        str | None,
        _about(
            "A list of the business that people have opted in to. Not together with recipients, and never for codes."
        ),
    ] = None


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.notification.v1``."""

    template: Annotated[
        str,
        _about(f"The id of a registered template. Its category decides the lane: {_BY_CATEGORY}."),
    ]
    to: Annotated[To, _about("Who is told: up to 1,000 recipients by address, or everybody on a list.")]
    sender: Annotated[
        str | None, _about("The number that speaks, as registered; the business's default if it is left out.")
    ] = None
    params: Annotated[
        Params, _about("What goes into the template's slots, for all recipients alike.", {"maxProperties": MAX_PARAMS})
    ] = {}
    facet: Annotated[
        str | None,
        _about(f"The side of the subject that this is about: `departure`. `*` is all of it. Lane {_VERSIONED} only."),
    ] = None
    version: Annotated[
        int | None, _about("Rises with each word about (subject, facet): an older one is never told after a newer one.")
    ] = None
    labels: Annotated[
        dict[str, str],
        _about(
            "Your own words: they come back in every status and billing event, and decide nothing.",
            {"maxProperties": MAX_LABELS},
        ),
    ] = {}
    test: Annotated[
        bool,
        _about(
            "Marks a rehearsal: never billed, and only to recipients that are registered as the business's test numbers."
        ),
    ] = False


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names a person of an opt-in event. ``evidence_ms`` is when consent was given or withdrawn; default the event's time."""

    address: Annotated[str, _about("E.164 with its scheme, like `tel:+491701234567`.", _ADDRESS)]
    locale: Annotated[str | None, _about("The language that this person reads.")] = None
    evidence_ms: Annotated[
        int | None,
        _about("When consent was given or withdrawn, ms since 1970; by default the event's time. The newest counts."),
    ] = None
    """When consent was given or withdrawn, milliseconds since the epoch; None: the event's time."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof of consent (GDPR art. 7(1)): how, the wording shown, and where."""

    method: Annotated[
        str,
        _about(
            "How consent was given. All but `import` are acts of the person and take back an older STOP.",
            {"enum": [*METHODS]},
        ),
    ]
    wording: Annotated[str, _about("The text that was shown.")]
    source: Annotated[str, _about("Where that was.")]


class Optin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.optin.v1``: people join or leave one list of the business."""

    list: Annotated[str, _about("The list that people join or leave.")]
    op: Annotated[str, _about("`join` or `leave`.", {"enum": ["join", "leave"]})]
    members: Annotated[tuple[Member, ...], _about("Who does; 1 to 4,096 people.", {"minItems": 1})]
    evidence: Annotated[Evidence | None, _about("The proof of consent. Required to join.")] = None
    purpose: Annotated[
        str | None,
        _about(
            f"What they joined for: `marketing` or `service`. Default: {_PURPOSES}.",
            {"enum": [*PURPOSES, None]},
        ),
    ] = None


class EventName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event of the business by what it was published under."""

    source: Annotated[str, _about("The event's source.", {"pattern": "^//[^/]+/.+$"})]
    id: Annotated[str, _about("The event's id.", {"minLength": 1, "maxLength": MAX_ATTRIBUTE_CHARS})]


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``fanfare.control.v1``: exactly one of ``request``, ``of`` and ``subject``, of the lane it is sent to."""

    action: Annotated[
        str,
        _about(
            "`pause` holds what is not handed off, `resume` goes on with it, `cancel` ends it. The later `time` stands.",
            {"enum": [action.word for action in ControlAction]},
        ),
    ]
    request: Annotated[
        str | None,
        _about("The name of a request of yours in this lane, as its status has it. Not together with of or subject."),
    ] = None
    of: Annotated[
        EventName | None,
        _about(
            "A request of yours in this lane by the source and id of its event. Not together with request or subject."
        ),
    ] = None
    subject: Annotated[
        str | None,
        _about(
            "All your requests of this lane about it: paused until you resume it; cancelled if their time is not later."
        ),
    ] = None


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
