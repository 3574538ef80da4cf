"""A living process as the scheduler sees it, and how it ends."""

from collections.abc import Generator
from dataclasses import dataclass, field

Steps = Generator[None, None, None]
"""A task. A ``yield`` stands wherever the real process waits: there it may be paused for long, overtaken, or killed."""

JUMP_MS = 5_000
"""The watchdog: a process whose wall clock jumped by more than this ends itself."""


class DiedError(Exception):
    """The process ended itself: fenced, unknown append, refused commit, trimmed log."""


@dataclass(eq=False)
class Runner:
    """Its tasks, any of which may take the next step; killed as a whole."""

    tasks: list[Steps] = field(default_factory=list)
    skew_ms: int = 0
    """How far its wall clock is off."""
    trusted_skew_ms: int = 0
    """The same when its watchdog last looked."""
    seen_ms: int = 0
    """When it last took a step."""

    def jumped(self) -> bool:
        """Whether its wall clock jumped since the watchdog last looked."""
        jump_ms, self.trusted_skew_ms = self.skew_ms - self.trusted_skew_ms, self.skew_ms
        return abs(jump_ms) > JUMP_MS
