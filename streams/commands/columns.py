"""Aligns cells of a table as lines of text."""

from collections.abc import Collection, Iterable, Iterator, Sequence


def columns(table: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Yields a line a row, its cells two blanks apart; columns in ``right`` end in one line, the others begin in one."""
    rows = list(table)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row))
        yield "  ".join(cells).rstrip()
