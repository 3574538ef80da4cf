"""Kafka as far as the protocol needs it: partitions that only grow, are trimmed from the front, and stamp their records."""

from collections.abc import Iterator


class Log:
    """One partition. ``start`` is the log start offset."""

    def __init__(self) -> None:
        self.start = 0
        self._records: list[tuple[int, bytes]] = []

    @property
    def end(self) -> int:
        """The offset that the next append gets."""
        return self.start + len(self._records)

    def append(self, at_ms: int, record: bytes) -> int:
        """Append; its offset."""
        self._records.append((at_ms, record))
        return self.end - 1

    def read(self, start: int, stop: int) -> Iterator[tuple[int, int, bytes]]:
        """(offset, time, record) of a range."""
        for offset in range(max(start, self.start), min(stop, self.end)):
            at_ms, record = self._records[offset - self.start]
            yield offset, at_ms, record

    def trim(self, start: int) -> None:
        """Retention at its worst: everything before ``start`` is gone."""
        while self.start < start:
            self._records.pop(0)
            self.start += 1
