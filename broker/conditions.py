"""``FIELD=VALUE`` as commands take it: values of one field are alternatives, several fields are conditions."""

from collections.abc import Iterable, Mapping, Sequence


def conditions_of(texts: Iterable[str], fields: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """The values wanted of each field that is named; ``ValueError`` with a sentence for what is no condition."""
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not value or field not in fields:
            raise ValueError(f"{text!r} is no FIELD=VALUE with one of the fields {', '.join(fields)}")
        found[field] = found.get(field, frozenset()) | {value}
    return found
