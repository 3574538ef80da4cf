"""Which input offsets may be committed: a contiguous tracker, and no I/O.

Faust commits past messages that are still being worked on (faust-streaming/faust issue 606), so its own bookkeeping is
switched off and this one is used. A partition's commit position is its oldest unfinished offset, or the next expected
one when nothing is open. An offset that does not follow its predecessor means that records were lost between the
fetch and here, which is a fault and never repaired.

Everything belongs to one *generation* of the consumer group. What a forgotten generation still delivers or finishes is
ignored: another member may own the partition by now.
"""

from collections import deque
from collections.abc import Collection, Mapping

Place = tuple[str, int]
"""Topic and partition. Faust's ``TP`` and aiokafka's ``TopicPartition`` are equal to it."""


class Hole(Exception):  # noqa: N818 - the word of the protocol
    """An input offset did not follow its predecessor: records were skipped or came twice."""

    def __init__(self, place: Place, expected: int, got: int) -> None:
        super().__init__(f"{place[0]}-{place[1]}: expected offset {expected}, got {got}")
        self.place = place
        self.expected = expected
        self.got = got


class _Flow:
    """Follows a partition within one generation."""

    __slots__ = ("base", "committed", "next", "open")

    def __init__(self, base: int | None, committed: int | None) -> None:
        self.base = base
        """The offset at which reading starts."""
        self.next = base
        """The offset that must be delivered next; none until the first delivery when nothing was ever committed."""
        self.committed = committed
        self.open: dict[int, int] = {}
        """Unfinished offset -> when it was delivered. Insertion order is offset order, so the first is the oldest."""

    def position(self) -> int | None:
        return next(iter(self.open), self.next)


class CommitTracker:
    """The flows of the current generation. Not thread-safe: the main loop alone uses it."""

    def __init__(self) -> None:
        self.generation: int | None = None
        self._flows: dict[Place, _Flow] = {}

    def begin(self, generation: int) -> None:
        """A new assignment: all that was known before is forgotten."""
        self._flows.clear()
        self.generation = generation

    def forget(self) -> None:
        """Revoked or stopping: nothing more is delivered, finished or due until :meth:`begin`."""
        self._flows.clear()
        self.generation = None

    def reset(self, place: Place, committed: int | None, *, begins: int | None = None) -> None:
        """Reading of ``place`` starts at the ``committed`` offset (``None``: nothing was ever committed).

        ``begins``: the log has lost what came before this later offset, and the operator has accepted that; reading starts there.
        Harmless when repeated before the first delivery, which Faust does; later it raises :class:`Hole`, because what is open
        would be delivered again.
        """
        if self.generation is None:
            return
        base = committed if begins is None else begins
        flow = self._flows.get(place)
        if flow is not None and flow.next is not None and flow.next != flow.base:
            raise Hole(place, flow.next, -1 if base is None else base)
        self._flows[place] = _Flow(base, committed)

    def delivered(self, place: Place, offset: int, *, at_ms: int, follows: int | None = None) -> int:
        """Take note of a record handed to its engine at ``at_ms``; how many of the partition are open now.

        ``follows`` is given when the log holds nothing readable between that offset and this record. Raises
        :class:`Hole` (and changes nothing) when the record is not the one expected. ``KeyError`` when the partition has
        no base: it is not assigned.
        """
        flow = self._flows[place]
        if flow.next is None:
            flow.committed = offset
        elif flow.next != (offset if follows is None else follows):
            raise Hole(place, flow.next, offset)
        flow.next = offset + 1
        flow.open[offset] = at_ms
        return len(flow.open)

    def done(self, place: Place, offset: int, generation: int) -> int | None:
        """``offset`` has been taken over; how many are still open, or ``None`` for a generation that is over.

        Finishing twice is allowed. Finishing what was never delivered raises ``ValueError`` and changes nothing.
        """
        if generation != self.generation:
            return None
        flow = self._flows[place]
        if flow.next is None or offset >= flow.next:
            raise ValueError(f"{place[0]}-{place[1]}: offset {offset} was finished but never delivered")
        flow.open.pop(offset, None)
        return len(flow.open)

    def due(self, assigned: Collection[Place]) -> dict[Place, int]:
        """Returns the offsets to commit: for each partition of ``assigned`` that has moved on, its oldest unfinished offset."""
        offsets: dict[Place, int] = {}
        for place, flow in self._flows.items():
            position = flow.position()
            if place in assigned and position is not None and position != flow.committed:
                offsets[place] = position
        return offsets

    def committed(self, offsets: Mapping[Place, int], generation: int | None) -> None:
        """The group has stored ``offsets``, which :meth:`due` gave in ``generation``."""
        if generation != self.generation:
            return
        for place, offset in offsets.items():
            self._flows[place].committed = offset

    def stored(self, place: Place) -> int | None:
        """The offset that the group has acknowledged for ``place``; ``None`` if there is none, or it is not ours."""
        flow = self._flows.get(place)
        return None if flow is None else flow.committed

    def position(self, place: Place) -> int | None:
        """Below what everything of ``place`` is finished; ``None`` while that is not known."""
        flow = self._flows.get(place)
        return None if flow is None else flow.position()

    def positions(self) -> dict[Place, int]:
        """Below what everything is finished, for partitions where that is known: what lies above is lag."""
        found = {place: flow.position() for place, flow in self._flows.items()}
        return {place: position for place, position in found.items() if position is not None}

    def unfinished(self) -> dict[Place, int]:
        """Returns how many records of each partition are open."""
        return {place: len(flow.open) for place, flow in self._flows.items()}

    def oldest_ms(self) -> dict[Place, int]:
        """When the oldest unfinished record of each partition was delivered; only partitions that have one."""
        return {place: next(iter(flow.open.values())) for place, flow in self._flows.items() if flow.open}


class Uncommitted:
    """The inputs of one partition that the group has not acknowledged yet: whoever takes over reads them again."""

    __slots__ = ("_inputs",)

    def __init__(self) -> None:
        self._inputs: deque[tuple[int, int]] = deque()
        """Offset, and when the broker appended it; ascending."""

    def add(self, offset: int, appended_ms: int) -> None:
        """An input was delivered."""
        self._inputs.append((offset, appended_ms))

    def clear(self) -> None:
        """The partition is not ours any more."""
        self._inputs.clear()

    def oldest_ms(self, stored: int | None) -> int | None:
        """Returns when the oldest was appended; None if there is none. ``stored``: the offset that the group has acknowledged."""
        while stored is not None and self._inputs and self._inputs[0][0] < stored:
            self._inputs.popleft()
        return self._inputs[0][1] if self._inputs else None
