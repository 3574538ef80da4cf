"""Returns what an expression of Prometheus names, to hold rules and dashboards against a catalogue."""

from collections.abc import Iterator

import msgspec
from promql_parser import AggregateExpr, BinaryExpr, Expr, MatchOp, VectorSelector, parse, walk


class Selector(msgspec.Struct, frozen=True):
    """One metric of an expression, and the values that it is narrowed to, by label."""

    metric: str
    matchers: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Named(msgspec.Struct, frozen=True):
    """All that an expression names."""

    selectors: tuple[Selector, ...]
    grouped: frozenset[str]
    """Labels of ``by``, ``without``, ``on`` and the like."""


def named(expression: str) -> Named:
    """Take an expression apart; ``ValueError`` for what is none, and for series that are chosen by no metric."""
    parts: list[Expr] = []
    walk(parse(expression), parts.append)
    selectors = tuple(_selector(part) for part in parts if isinstance(part, VectorSelector))
    return Named(selectors, frozenset(label for part in parts for label in _labels(part)))


def _selector(part: VectorSelector) -> Selector:
    if part.name is None or part.matchers.or_matchers:
        raise ValueError(f"no metric, or a choice of matchers: {part}")
    matchers = (
        (each.name, tuple(each.value.split("|")) if each.op in (MatchOp.Re, MatchOp.NotRe) else (each.value,))
        for each in part.matchers.matchers
    )
    return Selector(part.name, tuple(matchers))


def _labels(part: Expr) -> Iterator[str]:
    if isinstance(part, AggregateExpr) and part.modifier is not None:
        yield from part.modifier.labels
    if isinstance(part, BinaryExpr) and part.modifier is not None:
        yield from part.modifier.matching.labels if part.modifier.matching is not None else ()
        yield from part.modifier.group_labels or ()
