"""What an expression of Prometheus names: enough of the language to hold rules and dashboards against a catalogue.

Metrics with their matchers, and the labels of ``by`` and ``without``. It is no parser: expressions that it cannot take apart
are refused, so what it says nothing about cannot slip through.
"""

import re
from collections.abc import Iterator

import msgspec

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKENS = re.compile(
    rf"(?P<clause>\b(?:by|without|on|ignoring|group_left|group_right)\b\s*\((?P<labels>[\w\s,]*)\))"
    rf"|(?P<word>\b(?:and|or|unless|bool)\b)|(?P<function>[a-zA-Z_]\w*)(?=\s*(?:\(|by\b|without\b))"
    rf"|(?P<metric>[a-zA-Z_:][\w:]*)(?:\s*\{{(?P<matchers>(?:[^}}\"]|{_STRING})*)\}})?"
    rf"|(?P<span>\[\w+(?::\w*)?\])|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/%^(),<>=!\s])"
)
_MATCHER = re.compile(r'\s*(?P<label>\w+)\s*(?P<how>=~|!~|!=|=)\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*,?')
FUNCTIONS = re.compile(
    "abs|absent|count|histogram_quantile|last_over_time|max|max_over_time|min|min_over_time|rate|sum|vector"
)


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
    """Take an expression apart; ``ValueError`` for what is not understood, and for functions that are not on the list."""
    selectors, grouped, place = [], set[str](), 0
    while place < len(expression):
        token = _TOKENS.match(expression, place)
        if token is None:
            raise ValueError(f"not understood: {expression[place : place + 20]!r}")
        place = token.end()
        if token["function"] and not FUNCTIONS.fullmatch(token["function"]):
            raise ValueError(f"no known function: {token['function']}")
        if token["clause"]:
            grouped |= set(re.findall(r"\w+", token["labels"]))
        if token["metric"]:
            selectors.append(Selector(token["metric"], tuple(_matchers(token["matchers"] or ""))))
    return Named(tuple(selectors), frozenset(grouped))


def _matchers(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    place = 0
    while place < len(text):
        found = _MATCHER.match(text, place)
        if found is None:
            raise ValueError(f"no matcher: {text[place:]!r}")
        place = found.end()
        values = found["value"].split("|") if "~" in found["how"] else [found["value"]]
        yield found["label"], tuple(values)
