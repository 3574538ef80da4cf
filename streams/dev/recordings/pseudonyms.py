"""Invented numbers in place of people's: seeded, of the same country, and never the same for two people of one recording.

Every text of an event is looked through, because numbers also stand in subjects and parameters. Where
``dev/sources/seeded_people.py`` has numbers that hardly anybody owns they are taken; elsewhere a number is made from the
country's own example, and somebody may own it: a recording is replayed against the simulated gateway, not against people.
"""

import hashlib
import re
from typing import Any, Final

import msgspec
import phonenumbers

from streams.client import Event
from streams.dev.recordings.files import Entry
from streams.dev.sources.seeded_people import MARKETS

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}(?![0-9])")
_ADDRESS: Final = re.compile(r"tel:\+[1-9][0-9]{6,14}")
_ATTEMPTS: Final = 10_000
_VARIED_DIGITS: Final = 6
WITHHELD: Final = "tel:withheld"
"""In place of an address that is no number in E.164: it was refused, and is refused again."""

_BY_CODE: Final = {int(market.calling_code): market for market in MARKETS}
_TIMES: Final = frozenset({"time", "expirytime"})


class ExhaustedError(OSError):
    """No number is left to invent; the message is a sentence."""


class Pseudonyms:
    """The invented numbers of one recording. The same seed and order of people give the same numbers.

    Whoever knows the seed can find out whose a number is, by trying.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._invented: dict[str, str] = {}
        self._taken: set[str] = set()

    def entry(self, entry: Entry) -> Entry:
        """The entry with every number replaced."""
        key = None if entry.key is None else self._text(entry.key)
        return msgspec.structs.replace(entry, key=key, value=self.event(entry.value))

    def event(self, event: Event) -> Event:
        """The event with every number replaced; its times stay."""
        return {
            self._text(name): held if name in _TIMES else self._replaced(held, name) for name, held in event.items()
        }

    def number(self, number: str) -> str:
        """The invented ``+…`` for a ``+…``; the same each time."""
        found = self._invented.get(number)
        if found is None:
            found = self._free(number)
            self._invented[number] = found
            self._taken.add(found)
        return found

    def _replaced(self, value: Any, name: str) -> Any:
        match value:
            case str() if name == "address":
                return self._text(value) if _ADDRESS.fullmatch(value) else WITHHELD
            case str():
                return self._text(value)
            case dict():
                return {self._text(key): self._replaced(held, key) for key, held in value.items()}
            case list():
                return [self._replaced(held, name) for held in value]
            case _:
                return value

    def _text(self, text: str) -> str:
        return _NUMBER.sub(lambda found: self.number(found[0]), text)

    def _free(self, number: str) -> str:
        for attempt in range(_ATTEMPTS):
            invented = _candidate(number, self._draw(number, attempt))
            if invented not in self._taken and invented != number:
                return invented
        raise ExhaustedError("a country has more people in this recording than invented numbers")

    def _draw(self, number: str, attempt: int) -> int:
        said = f"{self._seed}/{attempt}/{number}".encode()
        return int.from_bytes(hashlib.sha256(said).digest()[:8], "big")


def _candidate(number: str, draw: int) -> str:
    """A number of the same country as ``number`` (``+…``); one of no country for what is no valid number."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return _unknown(number, draw)
    if not phonenumbers.is_valid_number(parsed):
        return _unknown(number, draw)
    market = _BY_CODE.get(parsed.country_code or 0)
    if market is not None:
        return market.number(draw).removeprefix("tel:")
    region = phonenumbers.region_code_for_number(parsed)
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    return _varied(parsed if example is None else example, draw)


def _varied(example: Any, draw: int) -> str:
    """The example with its last digits drawn: as many of them as leave it a valid number."""
    national = phonenumbers.national_significant_number(example)
    for varied in range(min(_VARIED_DIGITS, len(national) - 3), 0, -1):
        text = f"+{example.country_code}{national[:-varied]}{draw % 10**varied:0{varied}d}"
        if phonenumbers.is_valid_number(phonenumbers.parse(text)):
            return text
    return f"+{example.country_code}{national}"


def _unknown(number: str, draw: int) -> str:
    """As many digits, of no country: 999 is not assigned. What was no valid number is none afterwards."""
    digits = max(len(number) - 4, 8)
    return f"+999{draw % 10**digits:0{digits}d}"
