"""States the consequences of each reason, in one table: what the business reads and can do, and who else should know.

A reason is a value; this is the only place that says what it leads to (PROTOCOL.md rule 9). A test demands a row for each.
What all of them have in common needs no column: a reason is an end, so nothing that has one is sent again; it is billed only
if receipts say that it was delivered; and the business is told of it, on its status topic. Whether it can be told depends on
the record and not on the reason: one that names no event of a registered business goes to the dead letters.
"""

from collections.abc import Mapping

import msgspec

from schemas.facts import Scope
from schemas.reasons import Reason


class Consequence(msgspec.Struct, frozen=True):
    """Holds what a reason leads to."""

    sentence: str
    """Says what happened, in words for the business."""
    next_step: str
    """Says what the business can do."""
    alert: bool = False
    """True if an operator should know: such reasons are counted once more, in a metric that one alert can watch."""
    suppress: Scope | None = None
    """The scope of the suppression that follows for the person, if the gateway's answer gave this reason; None for none."""
    meant: bool = False
    """True if somebody meant it: the person forbade it, or the business took it back. The audit counts others as untold."""


_NOTHING = "Nothing: this is as it should be."
_LOOK_UP = "Look its code up in the platform's list of errors."
_FIX = "Correct the event and publish it under a new id."

CONSEQUENCES: Mapping[Reason, Consequence] = {
    Reason.NOT_OPTED_IN: Consequence("The person left the list before the message went out.", _NOTHING, meant=True),
    Reason.STOPPED: Consequence(
        "The person told this business, or this list, to stop.",
        "Nothing, until they opt in again by an act of their own.",
        meant=True,
    ),
    Reason.STOPPED_ALL: Consequence(
        "The person stopped everything of this business but codes.", "Leave them alone.", meant=True
    ),
    Reason.BLOCKED: Consequence("The person blocked the sender.", "Leave them alone.", meant=True),
    Reason.SUPERSEDED: Consequence("A newer version of the same fact came first.", _NOTHING, meant=True),
    Reason.EXPIRED: Consequence(
        "It could not be handed off before it expired.", "Publish earlier or with a longer expirytime."
    ),
    Reason.CANCELLED: Consequence("The request was cancelled.", _NOTHING, meant=True),
    Reason.UNREACHABLE: Consequence("The number is not on the network.", "Check the number with the person."),
    Reason.TEMPLATE_REFUSED: Consequence(
        "The gateway does not accept the template.", "Check the template's approval.", alert=True
    ),
    Reason.CONTENT_REFUSED: Consequence("The gateway did not accept the parameters.", _FIX),
    Reason.CODE_NOT_OPENED: Consequence(
        "The sealed code does not open at the gateway.", "Seal anew, for this request and person."
    ),
    Reason.SENDER_RESTRICTED: Consequence(
        "The gateway restricted the sender.", "Ask the platform's support.", alert=True
    ),
    Reason.RECIPIENT_OPTED_OUT: Consequence(
        "The person stopped marketing in the platform's settings.",
        "Do not send them offers.",
        suppress=Scope.OFFERS,
        meant=True,
    ),
    Reason.GATEWAY_REFUSED: Consequence("The gateway refused the message for good.", _LOOK_UP),
    Reason.CRASHED_WORKER: Consequence("Working on the message crashed a worker twice.", "Report it.", alert=True),
    Reason.FAILED: Consequence("The gateway accepted it and later reported a failure.", _LOOK_UP),
    Reason.UNKNOWN: Consequence(
        "No receipt came in the settle window.", "It is not billed; ask the person if it matters."
    ),
    Reason.NOT_A_CLOUD_EVENT: Consequence(
        "The record is no CloudEvent.", "Send CloudEvents 1.0, structured or binary."
    ),
    Reason.INVALID_JSON: Consequence("The value is not strict JSON in UTF-8.", _FIX),
    Reason.TOO_LARGE: Consequence("The event is too large.", "Send fewer recipients an event."),
    Reason.UNKNOWN_FIELD: Consequence("A field is not known.", _FIX),
    Reason.MISSING_FIELD: Consequence("A required field is missing.", _FIX),
    Reason.INVALID_FIELD: Consequence("A field has a value that it may not have.", _FIX),
    Reason.NOT_SUPPORTED: Consequence("The field is reserved for a later release.", "Leave it out."),
    Reason.INVALID_RECIPIENT: Consequence("A recipient's address is not a valid number.", _FIX),
    Reason.TOO_MANY_RECIPIENTS: Consequence(
        "More than 1,000 explicit recipients.", "Split the request, or use a list."
    ),
    Reason.NOT_SEALED: Consequence("A one-time code came in clear.", "Seal it with the client; and retire that code."),
    Reason.RESERVED_HEADER: Consequence(
        "The record carries a header that steers our machinery.", "Remove the header.", alert=True
    ),
    Reason.UNKNOWN_TYPE: Consequence("The event's type is not one that Fanfare takes.", _FIX),
    Reason.WRONG_TENANT: Consequence(
        "The event speaks for another business.", "Publish under your own source and key.", alert=True
    ),
    Reason.UNKNOWN_BUSINESS: Consequence("The business is not registered.", "Register it."),
    Reason.BUSINESS_SUSPENDED: Consequence("The business is suspended.", "Ask the platform's support."),
    Reason.UNKNOWN_SENDER: Consequence("The business has no such sender for this lane.", _FIX),
    Reason.SENDER_SUSPENDED: Consequence("The sender is suspended.", "Use another sender."),
    Reason.UNKNOWN_TEMPLATE: Consequence("The template is not known.", "Register it, or correct its name."),
    Reason.WRONG_LANE: Consequence(
        "The template's category belongs to another lane.", "Publish it to that lane's topic."
    ),
    Reason.MISSING_PARAMETER: Consequence("The template needs a parameter that is not there.", _FIX),
    Reason.UNKNOWN_PARAMETER: Consequence("The template has no such parameter.", _FIX),
    Reason.UNKNOWN_REQUEST: Consequence(
        "The business has published no such request to this lane, or so long ago that it is over.",
        "Name it as its status does, and publish to the lane of the request.",
    ),
    Reason.STALE: Consequence("The event's time is older than the lane's window.", "Publish facts while they are new."),
    Reason.FROM_THE_FUTURE: Consequence("The event's time lies in the future.", "Correct the clock of the producer."),
    Reason.REQUEST_EXPIRED: Consequence(
        "The event had expired when it arrived.", "Publish earlier or with a longer expirytime."
    ),
    Reason.LIFETIME_TOO_LONG: Consequence("The expiry lies further away than the lane allows.", "Shorten expirytime."),
    Reason.DUPLICATE: Consequence("The same request was accepted before.", _NOTHING),
    Reason.CONFLICT: Consequence("The id was used before with other content.", "Use a new id for a new request."),
    Reason.NO_PROOF: Consequence("An opt-in without proof.", "Send method, wording and source as evidence."),
    Reason.BACKLOG_FULL: Consequence(
        "As much of the business waits for its numbers' throughput as may, or until after the expiry.",
        "Publish it again at retry_at_ms, or ask for more throughput.",
    ),
    Reason.UNREADABLE: Consequence("A record of ours could not be read.", "Report it.", alert=True),
    Reason.POISON: Consequence("Judging the record raised an error of Fanfare's own, twice.", "Report it.", alert=True),
}


def consequence_of(reason: Reason) -> Consequence:
    """The row of one reason."""
    return CONSEQUENCES[reason]
