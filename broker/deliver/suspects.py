"""Knows which requests are suspected to crash workers, and which did so twice and are ended (the poison breaker).

Two ways lead to a suspicion. What raises while a request is frozen, decided or framed is *blamed*: the journal says its name,
then the process ends. What ends a process without a word (memory, a library's fault) cannot be blamed: after three owners that
died before they wrote anything, each request is *announced* before it is worked on. Both are the record ``Trying``; whatever
follows from the work clears it. A request with two of them at the start of an ownership is given up in it.

To decide, to freeze and to frame have names of their own (the request's, and a byte behind it), for a result of one says nothing
of the others.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from schemas.delivery_journal import Trying

_CLAIMS: Final = 3
_TRIES: Final = 2


def framing(request: bytes) -> bytes:
    """Returns the name of the work on a request's frames."""
    return request + b"\x01"


def freezing(request: bytes) -> bytes:
    """Returns the name of the work on who the ranks of a list are."""
    return request + b"\x02"


class SuspectError(Exception):
    """Work on one request raised; its cause is what was raised."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.name = name


class Suspects:
    """The suspects of one ownership, from what the journal said at its start."""

    __slots__ = ("_blamed", "_ended", "_tried", "careful")

    def __init__(self, tries: Mapping[bytes, int], claims_in_a_row: int) -> None:
        self.careful = claims_in_a_row >= _CLAIMS or bool(tries)
        """True: announce each request before it is worked on, and work on one at a time."""
        self._ended = frozenset(name for name, count in tries.items() if count >= _TRIES)
        self._tried: set[bytes] = set()
        self._blamed: SuspectError | None = None

    def ended(self, name: bytes) -> bool:
        """Returns whether work of this name crashed workers twice: it is not done any more."""
        return name in self._ended

    @contextmanager
    def blaming(self, name: bytes) -> Iterator[None]:
        """Blames work that raises; what was announced is blamed already, and raises as it is."""
        try:
            yield
        except Exception as error:
            if name in self._tried:
                raise
            raise SuspectError(name) from error

    def note(self, suspect: SuspectError) -> None:
        """Keeps who is blamed, for the journal."""
        self._blamed = suspect

    @property
    def unsaid(self) -> Trying | None:
        """Returns what the journal is to say of work that raised; None if nothing did."""
        return None if self._blamed is None else Trying(self._blamed.name)

    def announce(self, name: bytes) -> Trying | None:
        """Returns what the journal is to say before work of this name; None if nothing needs to be said, or was."""
        return Trying(name) if self.careful and name not in self._tried | self._ended else None

    def said(self, trying: Trying) -> None:
        """The journal says it. Raises what the blamed work raised: the process ends with it, and its last line shows where."""
        self._tried.add(trying.request)
        blamed = self._blamed
        if blamed is not None and blamed.name == trying.request:
            raise blamed.__cause__ or blamed
