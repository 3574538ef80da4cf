"""The people whom the replayed days are about, invented from a seed.

Owns who they are: an address, a language, and nothing else. A person is a pure function of (seed, index), and no two
indices below `POPULATION` share a number. Numbers are well formed (they pass `phonenumbers`) and taken where hardly
anybody has one: the exchange 555 in North America, 071 in Britain. India keeps no such range.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

POPULATION: Final = 500_000
"""People that a seed has."""

CUSTOMERS: Final = 50_000
"""The first so many are customers of the shop and the bank; on the storm day the airlines carry the same people."""

_STRIDE: Final = 7_368_787
"""A prime that divides no market's count of numbers, so that stepping by it visits each number once, in no visible
order."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a phone: `tel:+…` and a language tag."""

    address: str
    locale: str


@dataclass(frozen=True, slots=True)
class Market:
    """A country's share of the people, its languages with their weights, and how its numbers are made."""

    calling_code: str
    share: float
    languages: tuple[tuple[str, float], ...]
    prefixes: tuple[str, ...]
    digits: int
    """Digits after the prefix."""

    def number(self, count: int) -> str:
        """The `count`-th number of this market; distinct for distinct counts below its size."""
        which, rest = divmod(count % self.size, 10**self.digits)
        return f"tel:+{self.calling_code}{self.prefixes[which]}{rest:0{self.digits}d}"

    @property
    def size(self) -> int:
        """Returns how many different numbers there are."""
        return len(self.prefixes) * int(10**self.digits)


_AREA_CODES: Final = """
    201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252 253
    254 256 260 262 267 269 270 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 325 330
    331 334 336 337 339 347 351 352 360 361 385 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424
""".split()  # noqa: SIM905 - as a list it would take a line each

MARKETS: Final = (
    # 2 to 9 after the exchange: 555-1212 is directory assistance, and 555-0xxx and 555-1xxx are kept clear of with it.
    Market("1", 0.70, (("en", 0.74), ("es", 0.26)), tuple(f"{a}555{n}" for a in _AREA_CODES for n in range(2, 10)), 3),
    Market("44", 0.12, (("en", 0.94), ("hi", 0.06)), tuple(f"71{n:02d}" for n in range(100)), 6),
    Market("91", 0.18, (("hi", 0.60), ("en", 0.40)), tuple(f"98{n}" for n in range(10)), 7),
)
"""Where the people live. A New York day has passengers from all over; three markets are enough for three prices."""


def person(seed: int, index: int) -> Person:
    """The person number `index` of a seed; `IndexError` at or above `POPULATION`."""
    if not 0 <= index < POPULATION:
        raise IndexError(f"a seed has {POPULATION} people, not a number {index}")
    dice = Random(f"{seed}/person/{index}")
    market = dice.choices(MARKETS, weights=[m.share for m in MARKETS])[0]
    tags, weights = zip(*market.languages, strict=True)
    locale: str = dice.choices(tags, weights=weights)[0]
    return Person(market.number(index * _STRIDE + seed), locale)
