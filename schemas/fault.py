"""One thing that is wrong with an event: where, why, and what to do."""

import msgspec

from schemas.reasons import Reason


class Fault(msgspec.Struct, frozen=True):
    """``place`` is a JSON pointer (RFC 6901) into the event, empty for the whole of it. The sentence is plan's own."""

    place: str
    reason: Reason
    detail: str
