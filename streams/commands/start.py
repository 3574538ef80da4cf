"""Refuses the start of a process, with the status that says whether starting it again as it is can help."""

from typing import Final, NoReturn

from streams.commands.terminal import refuse
from streams.dev.kafka.errors import ClusterError
from streams.kafka.publisher import PublishError
from streams.ledger.database import BooksTakenError
from streams.runtime.exits import Exit

_PASSING: Final = (BooksTakenError, ClusterError, OSError, PublishError)
"""Reasons that may be gone in a moment (no Kafka, a taken port, a predecessor); any other stays until a person acts."""


def refuse_start(command: str, reason: Exception | str) -> NoReturn:
    """Ends with a sentence: with status 1 for a reason that may pass, else with 80: not to be started again as it is."""
    sentence = (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
    refuse(command, sentence, 1 if isinstance(reason, _PASSING) else Exit.REFUSED_START)
