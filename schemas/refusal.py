"""Why something was not taken, as a value: one reason of the closed list and one sentence that says what to do."""

import msgspec

from schemas.reasons import Reason


class Refusal(msgspec.Struct, frozen=True):
    """A reason, and a sentence for the producer. The sentence names fields and positions, never what they hold."""

    reason: Reason
    detail: str
    retry_at_ms: int = 0
    """When the same may be asked again with success; 0 where time does not help."""
