"""A gateway of its own for the scheduler: dedupes names, fences epochs, refuses stale frames, throttles, loses answers.

It loses them to whole frames and to single messages. Its clock may be wrong: it judges and answers by it. Shares no code with the
broker but the frame's shape; its throughput is the simulated gateway's.
"""

import random
from dataclasses import dataclass, field

from schemas.gateway_api import Code, Frame, FrameAnswer, Refused, Section
from schemas.ids import name_of
from streams.simulator.platform_limits import SenderThroughput

THROUGHPUT_PER_S = 60
"""A little above what a shard's slots hold: it binds when explicit recipients come beside a list."""


class FencedError(Exception):
    """A higher epoch was seen."""


class LostError(Exception):
    """No answer. ``heard``: the frame was looked at all the same."""

    def __init__(self, *, heard: bool) -> None:
        super().__init__()
        self.heard = heard


class ThrottledError(Exception):
    """429 for the whole frame, before it was looked at."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__()
        self.retry_after_ms = retry_after_ms


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


@dataclass
class Gateway:
    """Names are stored before the answer leaves, so a lost answer may hide an acceptance."""

    rng: random.Random
    trouble: float = 0.2
    dedupes: bool = True
    """False: it takes the same name as often as it comes, and shows it each time."""
    epoch: int = 0
    ahead_ms: int = 0
    """How far its clock is ahead of the world's, negative if behind."""
    names: dict[tuple[bytes, bytes], Accepted] = field(default_factory=dict)
    log: list[Accepted] = field(default_factory=list)
    refusals: dict[tuple[bytes, int, int], Refused] = field(default_factory=dict)
    """By request, rank and its own time of the answer."""
    _throughput: SenderThroughput = field(default_factory=SenderThroughput)

    def hello(self, epoch: int) -> None:
        """Fence lower epochs from here on."""
        if epoch < self.epoch:
            raise FencedError
        self.epoch = epoch

    def take(self, frame: Frame, now_ms: int) -> FrameAnswer:
        """Judge a frame; raises :class:`FencedError`, :class:`ThrottledError` or, whatever was taken, :class:`LostError`."""
        self.hello(frame.epoch)
        troubled = self.rng.random() < self.trouble
        if troubled and self.rng.random() < 0.4:
            raise LostError(heard=False)
        if troubled and self.rng.random() < 0.2:
            raise ThrottledError(self.rng.choice((0, 50, 400)))
        own_ms = now_ms + self.ahead_ms
        answer = FrameAnswer(own_ms, tuple(self._section(frame, section, now_ms) for section in frame.sections))
        if troubled:
            raise LostError(heard=True)
        return answer

    def _section(self, frame: Frame, section: Section, now_ms: int) -> tuple[Refused, ...]:
        refused: list[Refused] = []
        recipients = section.recipients
        ranks = [rank for first, count in section.ranks for rank in range(first, first + count)]
        for position, rank in enumerate(ranks):
            recipient = recipients[position * 16 : position * 16 + 16]
            code, retry_ms = self._judge(frame, section, recipient, rank, now_ms)
            if code != Code.ACCEPTED:
                one = Refused(position, code, retry_ms)
                refused.append(one)
                self.refusals[name_of(section.request), rank, now_ms + self.ahead_ms] = one
        return tuple(refused)

    def _judge(self, frame: Frame, section: Section, recipient: bytes, rank: int, now_ms: int) -> tuple[int, int]:
        request, own_ms = name_of(section.request), now_ms + self.ahead_ms
        key = (request, recipient)
        if key in self.names and self.dedupes:
            return Code.ACCEPTED, 0
        if own_ms > frame.not_after_ms:
            return Code.STALE_FRAME, 0
        if own_ms >= section.expires_ms:
            return Code.EXPIRED, 0
        if not self._throughput.take(section.sender, THROUGHPUT_PER_S, 1, now_ms):
            return Code.SENDER_THROTTLED, self._throughput.wait_ms(section.sender, 0, now_ms)
        if self.rng.random() < self.trouble / 2:
            code = self.rng.choice((Code.TRANSIENT, Code.PAIR_THROTTLED, Code.PAIR_THROTTLED, Code.UNDELIVERABLE))
            return code, self.rng.choice((0, 50, 400, 2_500)) if code == Code.PAIR_THROTTLED else 0
        silent = self.rng.random() < self.trouble / 10
        if silent and self.rng.random() < 0.5:
            return Code.NO_ANSWER, 0
        one = Accepted(now_ms, request, rank, recipient, section.collapse, section.version, section.expires_ms)
        self.names[key] = one
        self.log.append(one)
        return Code.NO_ANSWER if silent else Code.ACCEPTED, 0
