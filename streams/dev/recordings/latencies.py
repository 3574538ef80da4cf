"""Keeps latencies in an HDR histogram: fixed memory, every millisecond up to 2,047 by itself, and three digits above."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from schemas.topics import DAY_MS

_DIGITS: Final = 3


class Latencies:
    """Whole milliseconds from 0 to a day; what lies outside counts as the nearer end."""

    def __init__(self, values_ms: Iterable[int] = ()) -> None:
        self._histogram = HdrHistogram(1, DAY_MS, _DIGITS)
        for value_ms in values_ms:
            self.add(value_ms)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def add(self, value_ms: int) -> None:
        """Count one."""
        self._histogram.record_value(min(max(value_ms, 0), DAY_MS))

    def quantile(self, share: float) -> int | None:
        """Returns the value that ``share`` of the values do not exceed (nearest rank); None of none."""
        return int(self._histogram.get_value_at_percentile(share * 100)) if len(self) else None

    def write(self, path: Path, *, began_ms: int, ended_ms: int) -> None:
        """Write a log that every viewer of HDR histograms reads, with one interval; values in it are milliseconds."""
        with path.open("w", encoding="ascii") as file:
            log = HistogramLogWriter(file)
            log.output_log_format_version()
            # The library's own output_start_time fails on every call (0.10.8).
            file.write(f"#[StartTime: {began_ms / 1000:.3f} (seconds since epoch)]\n")
            log.output_legend()
            log.output_interval_histogram(self._histogram, began_ms / 1000, ended_ms / 1000, 1.0)
