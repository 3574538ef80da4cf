"""When the settle windows of requests end: names by deadline, in buckets, so that a name costs its 16 bytes."""

from collections.abc import Iterator

from schemas.ids import NAME_BYTES


class Ends:
    """Names by deadline. ``width_ms`` is how much later than its deadline a name may come due."""

    __slots__ = ("_buckets", "_first", "_width_ms")

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._buckets: dict[int, bytearray] = {}
        self._first = 2**62
        """No bucket lies before this one."""

    def add(self, deadline_ms: int, request: bytes) -> None:
        """``request`` ends at ``deadline_ms``."""
        bucket = deadline_ms // self._width_ms
        self._buckets.setdefault(bucket, bytearray()).extend(request)
        self._first = min(self._first, bucket)

    def take(self, before_ms: int) -> Iterator[bytes]:
        """The names whose deadline has passed before ``before_ms``, the oldest bucket first. They are gone from here."""
        while self._buckets and (self._first + 1) * self._width_ms <= before_ms:
            names = self._buckets.pop(self._first)
            self._first = min(self._buckets, default=2**62)
            for at in range(0, len(names), NAME_BYTES):
                yield bytes(names[at : at + NAME_BYTES])
