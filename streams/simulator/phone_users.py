"""Draws how people and their phones behave: a function of seed, person and message, so that a run can be repeated.

A person has a *trait* for good (a wrong number stays wrong), a message a *mood* of 0 to 3 (how long it takes this time).
Both fit in one byte, the message's *class*; ``behaviour.py`` says what each class leads to. Recipient ids are uniform
already (HMAC), so mixing them with the seed (splitmix64, Steele et al. 2014) draws a trait; the same arithmetic runs on one
person in Python and on a column in numpy.
"""

import zlib
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from streams.simulator.id_set import ID_BYTES

MOODS: Final = 4
_PERMYRIAD: Final = 10_000
_SMALL: Final = 24
_ANY_REQUEST: Final = bytes(ID_BYTES)
_M64: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB


class Trait(IntEnum):
    """Names what is special about a person and their phone."""

    ONLINE = 0
    """Delivered at once, never read."""
    READS_AT_ONCE = 1
    """Read as it arrives: often no ``delivered`` is reported at all."""
    READS_LATER = 2
    OFFLINE = 3
    """Delivered when the phone comes back."""
    BLOCKED = 4
    """Blocked the business earlier: accepted, never delivered, never said."""
    WRONG_NUMBER = 5
    """Refused at once, 131026."""
    WRONG_NUMBER_LATER = 6
    """The same, told by a ``failed`` receipt."""
    STOPS = 7
    STOPS_ALL = 8
    BLOCKS = 9
    """Reads, then blocks the business: a ``block`` message comes in."""
    CHATS = 10
    """Answers something that asks for nothing."""
    CONTRADICTS = 11
    """Two devices: one fails, the other delivers; both are reported."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describes a population: people of 10,000 with each trait (the rest is online), and how reports go astray."""

    reads_at_once: int = 1_500
    reads_later: int = 4_500
    offline: int = 800
    blocked: int = 100
    wrong_number: int = 60
    wrong_number_later: int = 60
    stops: int = 40
    stops_all: int = 10
    blocks: int = 10
    chats: int = 100
    contradicts: int = 5
    stopped_marketing: int = 30
    """Of 10,000 (person, business): stopped that business's marketing in the platform's own settings, 131050."""
    sent_late: int = 300
    """Of 10,000 ``sent`` reports: come after ``delivered``."""
    sent_skipped: int = 200
    repeated: int = 300
    delivered_ms: tuple[int, int, int, int] = (20, 40, 60, 120)
    """By mood; the same for those below."""
    back_online_ms: tuple[int, int, int, int] = (1_000, 2_500, 5_000, 10_000)
    """Milliseconds after which a phone that was off is reached."""
    read_ms: tuple[int, int, int, int] = (800, 2_000, 5_000, 12_000)
    """Milliseconds from delivery until it is read."""

    def shares(self) -> tuple[int, ...]:
        """Of 10,000 people, in the order of :class:`Trait` from ``READS_AT_ONCE`` on."""
        return (
            self.reads_at_once,
            self.reads_later,
            self.offline,
            self.blocked,
            self.wrong_number,
            self.wrong_number_later,
            self.stops,
            self.stops_all,
            self.blocks,
            self.chats,
            self.contradicts,
        )


REAL: Final = Profile()
ONLINE: Final = Profile(*(0,) * 15, delivered_ms=(0, 0, 0, 0))
"""Everybody is reached at once, nobody reads or answers: for benchmarks."""
REAL_PROFILE: Final = "real"
PROFILES: Final = {REAL_PROFILE: REAL, "online": ONLINE}


class Crowd:
    """Everybody, under one seed and profile."""

    def __init__(self, seed: int, profile: Profile) -> None:
        self._seed = mixed(seed)
        self._bounds: list[int] = np.cumsum(profile.shares()).tolist()
        self.profile = profile
        self.plain = self._bounds[-1] == 0
        """True if nobody has any trait but ``ONLINE``."""
        if self._bounds[-1] > _PERMYRIAD:
            raise ValueError("a profile's shares add up to more than 10,000")

    def wrong_numbers(self, recipients: bytes) -> list[int]:
        """Positions in a column of ids of people who are not on the network."""
        classes = self.classes(recipients, _ANY_REQUEST) if self.profile.wrong_number else b""
        return [at for at, of_class in enumerate(classes) if of_class // MOODS == Trait.WRONG_NUMBER]

    def stopped_marketing(self, recipients: bytes, business: str) -> list[int]:
        """Positions of people who stopped this business's marketing in the platform's settings, ever since."""
        if not self.profile.stopped_marketing:
            return []
        salt = mixed(zlib.crc32(business.encode()) ^ self._seed)
        drawn = _mixed_column(np.frombuffer(recipients, "<u8")[1::2] ^ np.uint64(salt)) % np.uint64(_PERMYRIAD)
        return np.flatnonzero(drawn < self.profile.stopped_marketing).tolist()

    def classes(self, recipients: bytes, request: bytes) -> bytes:
        """The class of each message of ``request``: trait x 4 + mood, a byte each."""
        count = len(recipients) // ID_BYTES
        salt = int.from_bytes(request[:8], "little")
        if self.plain:
            return bytes(count)
        if count > _SMALL:
            return self._many(recipients, salt)
        answer = bytearray()
        for at in range(0, len(recipients), ID_BYTES):
            person = mixed(int.from_bytes(recipients[at : at + 8], "little") ^ self._seed)
            answer.append(self._trait(person) * MOODS + mixed(person ^ salt) % MOODS)
        return bytes(answer)

    def _trait(self, person: int) -> Trait:
        drawn = person % _PERMYRIAD
        for trait, bound in enumerate(self._bounds, 1):
            if drawn < bound:
                return Trait(trait)
        return Trait.ONLINE

    def _many(self, recipients: bytes, salt: int) -> bytes:
        person = _mixed_column(np.frombuffer(recipients, "<u8")[::2] ^ np.uint64(self._seed))
        drawn = person % np.uint64(_PERMYRIAD)
        trait = (np.searchsorted(self._bounds, drawn, side="right") + 1) % (len(self._bounds) + 1)
        mood = _mixed_column(person ^ np.uint64(salt)) % np.uint64(MOODS)
        return (trait.astype(np.uint8) * np.uint8(MOODS) + mood.astype(np.uint8)).tobytes()


def mixed(word: int) -> int:
    """Mixes a word of 64 bits (splitmix64's output function)."""
    word = (word + _GOLDEN) & _M64
    word = ((word ^ (word >> 30)) * _MIX_1) & _M64
    word = ((word ^ (word >> 27)) * _MIX_2) & _M64
    return word ^ (word >> 31)


def _mixed_column(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = words + np.uint64(_GOLDEN)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_MIX_1)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_MIX_2)
    return words ^ (words >> np.uint64(31))
