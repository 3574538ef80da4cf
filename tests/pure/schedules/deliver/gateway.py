"""A gateway of its own for the scheduler: dedupes names, fences epochs, refuses stale frames, loses answers.

Shares no code with the broker but the frame's shape.
"""

import base64
import random
from dataclasses import dataclass, field

from schemas.names import name_of
from schemas.wire.frames import Code, Frame, FrameAnswer, Refused


class FencedError(Exception):
    """A higher epoch was seen."""


class LostError(Exception):
    """No answer."""


@dataclass
class Accepted:
    """One visible message."""

    at_ms: int
    request: bytes
    rank: int
    recipient: bytes
    collapse: str
    version: int
    expires_ms: int
    listed_at: int


@dataclass
class Gateway:
    """Names are stored before the answer leaves, so a lost answer may hide an acceptance."""

    rng: random.Random
    trouble: float = 0.2
    epoch: int = 0
    names: dict[tuple[bytes, bytes], Accepted] = field(default_factory=dict)
    log: list[Accepted] = field(default_factory=list)

    def hello(self, epoch: int) -> None:
        """Fence lower epochs from here on."""
        if epoch < self.epoch:
            raise FencedError
        self.epoch = epoch

    def take(self, frame: Frame, now_ms: int) -> FrameAnswer:
        """Judge a frame; raises :class:`FencedError` or, whatever was taken, :class:`LostError`."""
        self.hello(frame.epoch)
        troubled = self.rng.random() < self.trouble
        if troubled and self.rng.random() < 0.4:
            raise LostError
        answer = FrameAnswer(now_ms, tuple(self._section(frame, section, now_ms) for section in frame.sections))
        if troubled:
            raise LostError
        return answer

    def _section(self, frame: Frame, section: object, now_ms: int) -> tuple[Refused, ...]:
        refused: list[Refused] = []
        recipients = base64.b64decode(section.recipients)  # type: ignore[attr-defined]
        ranks = [rank for first, count in section.ranks for rank in range(first, first + count)]  # type: ignore[attr-defined]
        for position, rank in enumerate(ranks):
            recipient = recipients[position * 16 : position * 16 + 16]
            code = self._judge(frame, section, recipient, rank, now_ms)
            if code != Code.ACCEPTED:
                refused.append(Refused(position, code, self.rng.choice((0, 50, 400))))
        return tuple(refused)

    def _judge(self, frame: Frame, section: object, recipient: bytes, rank: int, now_ms: int) -> int:
        request = name_of(section.request)  # type: ignore[attr-defined]
        key = (request, recipient)
        if key in self.names:
            return Code.ACCEPTED
        if now_ms > frame.not_after_ms:
            return Code.STALE_FRAME
        if now_ms >= section.expires_ms:  # type: ignore[attr-defined]
            return Code.EXPIRED
        if self.rng.random() < self.trouble / 2:
            return self.rng.choice((Code.TRANSIENT, Code.PAIR_THROTTLED, Code.UNDELIVERABLE))
        one = Accepted(now_ms, request, rank, recipient, section.collapse, section.version, section.expires_ms, 0)  # type: ignore[attr-defined]
        self.names[key] = one
        self.log.append(one)
        return Code.ACCEPTED
