"""Chooses the language that each person is told in: their own if the template speaks it, else the template's default.

Chosen by the broker and not by a gateway, so that what is sent is decided here. A template's languages are fixed with the
request at acceptance (``Terms.languages``), two letters each, the default first.
"""

from schemas.plan_journal import LOCALE_WIDTH
from schemas.registry import Template
from schemas.wire.columns import cells


def languages_of(template: Template) -> str:
    """Returns what a template speaks, its default first: ``enesfr``."""
    others = sorted(template.texts.keys() - {template.default_language})
    return template.default_language + "".join(others)


def spoken(locales: bytes, languages: str) -> bytes:
    """Returns a column of languages with the default in place of those that are not spoken, and of none.

    Two bytes in all if everybody's is the same. What was accepted by a release that fixed no languages stays as it is.
    """
    if languages:
        default, known = languages[:LOCALE_WIDTH].encode(), frozenset(cells(languages.encode(), LOCALE_WIDTH))
        if not known.issuperset(wanted := set(cells(locales, LOCALE_WIDTH))):
            chosen = {locale: locale if locale in known else default for locale in wanted}
            locales = b"".join([chosen[locale] for locale in cells(locales, LOCALE_WIDTH)])
    first = locales[:LOCALE_WIDTH]
    return first if locales == first * (len(locales) // LOCALE_WIDTH) else locales
