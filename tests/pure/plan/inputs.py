"""Inputs to plan by the hundred thousand, from a seed: sound, bad in every way, repeated, conflicting, moved and in other lanes.

The tables stand here and are shared with nobody: the digest of ``digest.py`` is of these very inputs.
"""

from random import Random
from typing import Any, Final

import msgspec

from broker import confirmation, heartbeat
from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry
from schemas.facts import ListSize, Scope
from schemas.ids import partition_of, request_name, text_of
from schemas.lanes import Lane
from schemas.registry import (
    CONFIRMATIONS,
    Business,
    Deployment,
    Entry,
    Key,
    Parameter,
    PriceCard,
    Sender,
    Template,
)
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.wire.sealed import AddressBook
from schemas.wire.timestamps import text_of as instant
from tests.pure.plan.spoils import BYTES, HEADERS, NOISE, SPOILS, Headers, paths, put

SHARDS: Final = 8
PEPPER: Final = b"digest" * 5
BOOK: Final = AddressBook({1: b"d" * 32})
SEALED: Final = "k1." + "A" * 80
_WHOLE: Final = {lane.word: 100 for lane in Lane}
_SPEAKERS: Final = (*("airline", "shop", "bank") * 4, "sleeper", "nobody", "loner", "fanfare-0")

ENTRIES: Final[tuple[Entry, ...]] = (
    Business("airline", "Airline", test_numbers=("+12015550001", "+12015550002")),
    Business("shop", "Shop"),
    Business("bank", "Bank", test_numbers=("+447700900123",)),
    Business("sleeper", "Sleeper", active=False),
    Business("loner", "Loner"),
    Sender("airline/main", "airline", "+12015550100", rate_per_s=400, default=True, shares=_WHOLE),
    Sender("airline/slow", "airline", "+12015550101", rate_per_s=1, shares=_WHOLE),
    Sender("airline/off", "airline", "+12015550102", active=False),
    Sender("airline/codes", "airline", "+12015550104", shares={"otp": 100}),
    Sender("shop/main", "shop", "+12015550105", rate_per_s=5),
    Sender("bank/one", "bank", "+12015550106", rate_per_s=1_000, default=True),
    Sender("bank/two", "bank", "+12015550107", rate_per_s=10),
    Sender("sleeper/main", "sleeper", "+12015550103"),
    Template("code", "authentication", (Parameter("code", sealed=True),), {"en": "{code}"}),
    Template("delay", "utility", (Parameter("flight"),), {"en": "{flight}", "es": "{flight}", "hi": "{flight}"}, "es"),
    Template("gate", "utility", (Parameter("flight"), Parameter("gate")), {"en": "{flight}{gate}"}, version=7),
    Template("offer", "marketing", (Parameter("city"),), {"en": "{city}", "it": "{city}"}),
    Template("private", "utility", (), {"en": "x"}, business="loner"),
    Template("old", "utility", (), {"en": "x"}, active=False),
    *(Template(one, "utility", (Parameter("business"),), {"en": "{business}"}) for one in CONFIRMATIONS),
    PriceCard(1, "USD", {"authentication": {"*": 1}, "utility": {"*": 1}}),
    PriceCard(2, "USD", {"authentication": {"*": 2}, "utility": {"*": 2}, "marketing": {"*": 2}}),
    Key("k1", "seal", "00" * 32),
    Deployment("digest", SHARDS),
    *heartbeat.entries(SHARDS),
)

ADDRESSES: Final = (
    *(f"tel:+1201555{number:04d}" for number in range(60)),
    *(f"tel:+4915112345{number:03d}" for number in range(30)),
    *(f"tel:+44791112345{digit}" for digit in range(10)),
    *(f"tel:+9198765432{number:02d}" for number in range(20)),
    "tel:+390612345678",
    "tel:+393123456789",
    "tel:+33612345678",
    "tel:+5511961234567",
    "tel:+819012345678",
    "tel:+80012345678",
)
"""Valid numbers, one with an Italian leading zero and one of no country."""


class Said(msgspec.Struct, frozen=True):
    """A record of ``requests`` before it has a place."""

    lane: Lane
    key: bytes | None
    value: bytes
    headers: Headers
    partition: int
    """To which partition its producer sends it."""


def registry() -> Registry:
    """What is registered at the beginning."""
    filled = Registry()
    for entry in ENTRIES:
        filled.add(entry)
    return filled


def sizes() -> ListSizes:
    """How many are on the lists whose size is known."""
    known = ListSizes()
    for shard in range(SHARDS):
        known.apply(ListSize("airline", "offers", shard, 50_000 + shard, 9))
        known.apply(ListSize("shop", "offers", shard, 3, 9))
    return known


class Producers:
    """Publishes for all businesses: draws one record after another from a seed, and remembers a few hundred of them."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._serial = 0
        self._past: list[tuple[Lane, dict[str, Any]]] = []

    def draw(self, now_ms: int) -> Said:
        """The next record."""
        roll = self._rng.random()
        if roll < 0.25 and self._past:
            return self._again(now_ms)
        lane = self._rng.choice(list(Lane))
        whole = self._sound(lane, now_ms)
        for _ in range(self._rng.choice((0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3))):
            self._spoil(whole)
        return self._said(lane, whole)

    def _again(self, now_ms: int) -> Said:
        """An event that was published before: the same, made again, changed, or in another lane."""
        lane, whole = self._rng.choice(self._past)
        roll = self._rng.random()
        if roll < 0.35:
            return self._said(lane, whole)
        if roll < 0.55:
            return self._said(lane, whole | {"time": instant(now_ms)})
        if roll < 0.7:
            return self._said(self._rng.choice(list(Lane)), whole)
        changed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
        self._spoil(changed)
        return self._said(lane, changed)

    def _said(self, lane: Lane, whole: dict[str, Any]) -> Said:
        """The record of an event, which may be spoilt as bytes, by its key, by its headers or by its partition."""
        rng = self._rng
        self._past.append((lane, whole))
        if len(self._past) > 300:
            self._past.pop(rng.randrange(len(self._past)))
        source = whole.get("source")
        business = source.removeprefix("//").partition("/")[0].encode() if isinstance(source, str) else b""
        value, headers = msgspec.json.encode(whole), rng.choice(HEADERS) if rng.random() < 0.1 else ()
        if rng.random() < 0.06:
            value, headers = _binary(whole, rng)
        if rng.random() < 0.05:
            old, new = rng.choice(BYTES)
            value = value.replace(old, new, 1) if old else new
        partition = partition_of(business, SHARDS)
        key: bytes | None = business
        if rng.random() < 0.05:
            key = rng.choice((None, None, b"", b"loner"))
            partition = rng.randrange(SHARDS)
        return Said(lane, key, value, headers, partition)

    # -- sound events

    def _sound(self, lane: Lane, now_ms: int) -> dict[str, Any]:
        rng = self._rng
        self._serial += 1
        time_ms = now_ms - rng.choice((0, 0, 500, 60_000, 600_000))
        lifetime_ms = rng.choice((20_000, 300_000, lane.rules.windows.lifetime_max_ms))
        business = rng.choice(_SPEAKERS)
        whole: dict[str, Any] = {
            "specversion": "1.0",
            "type": NOTIFICATION_TYPE,
            "source": f"//{business}/ops",
            "id": str(self._serial),
            "time": instant(time_ms),
            "expirytime": instant(time_ms + lifetime_ms),
        }
        if rng.random() < 0.2:
            whole["traceparent"] = f"00-{self._serial:032x}-00f067aa0ba902b7-01"
        roll = rng.random()
        if roll < 0.08:
            return whole | {"type": OPTIN_TYPE, "data": self._optin()}
        if roll < 0.16:
            return whole | {"type": CONTROL_TYPE, "data": self._control(lane, business)}
        if roll < 0.18:
            return self._heartbeat(lane, now_ms)
        if roll < 0.2:
            return self._confirmation(business, now_ms)
        return whole | self._notification(lane)

    def _notification(self, lane: Lane) -> dict[str, Any]:
        rng = self._rng
        template = {Lane.OTP: "code", Lane.UPDATE: rng.choice(("delay", "gate")), Lane.CAMPAIGN: "offer"}[lane]
        slots: dict[str, dict[str, Any]] = {
            "code": {"code": {"sealed": SEALED}},
            "gate": {"flight": "UA1", "gate": "é4"},
            "offer": {"city": "Rome"},
        }
        params: dict[str, Any] = slots.get(template, {"flight": f"UA{rng.randrange(9)}"})
        data: dict[str, Any] = {"template": template, "params": params}
        if lane is Lane.CAMPAIGN or (lane is Lane.UPDATE and rng.random() < 0.1):
            data["to"] = {"list": rng.choice(("offers", "parcels"))}
        else:
            count = rng.choice((1, 1, 1, 1, 2, 3, 12, 60)) if lane is Lane.UPDATE else 1
            data["to"] = {"recipients": [self._person() for _ in range(count)]}
        if lane is Lane.UPDATE and rng.random() < 0.2:
            data["params"] = {}
            for person in data["to"].get("recipients", ()):
                person["params"] = params
        more: dict[str, Any] = {"data": data}
        if lane is Lane.UPDATE and rng.random() < 0.5:
            more["subject"] = f"flight/{rng.randrange(5)}"
            data |= {"facet": rng.choice(("gate", "*")), "version": rng.randrange(9)}
        if rng.random() < 0.2:
            data["labels"] = {"season": "winter", "n": str(rng.randrange(3))}
        if rng.random() < 0.15:
            data["sender"] = rng.choice(("main", "slow", "slow", "airline/slow", "one", "codes", "off"))
        if rng.random() < 0.05:
            data["test"] = True
            data["to"] = {"recipients": [{"address": "tel:+12015550001"}]}
        return more

    def _person(self) -> dict[str, Any]:
        person = {"address": self._rng.choice(ADDRESSES)}
        return person | {"locale": self._rng.choice(("en", "es-MX", "hi_IN"))} if self._rng.random() < 0.3 else person

    def _optin(self) -> dict[str, Any]:
        rng = self._rng
        evidence = {"method": rng.choice(("web_form", "Text", "import")), "wording": "Tell\nme", "source": "app"}
        members = [self._person() | ({"evidence_ms": rng.randrange(2**41)} if rng.random() < 0.3 else {}) for _ in "ab"]
        data = {"list": "offers", "op": rng.choice(("join", "leave")), "members": members, "evidence": evidence}
        return data | ({"purpose": rng.choice(("marketing", "service"))} if rng.random() < 0.3 else {})

    def _control(self, lane: Lane, business: str) -> dict[str, Any]:
        rng = self._rng
        source, event_id = f"//{business}/ops", str(max(1, self._serial - rng.randrange(40)))
        target = rng.choice(
            (
                {"request": text_of(request_name(lane, source, event_id))},
                {"of": {"source": source, "id": event_id}},
                {"subject": "flight/1"},
            )
        )
        return {"action": rng.choice(("pause", "resume", "cancel")), **target}

    def _heartbeat(self, lane: Lane, now_ms: int) -> dict[str, Any]:
        times = (instant(now_ms), instant(now_ms + 60_000))
        shard = self._rng.randrange(SHARDS)
        return dict(
            heartbeat.event(lane, shard, pepper=PEPPER, shards=SHARDS, times=times, serial=f"beat-{self._serial}")
        )

    def _confirmation(self, business: str, now_ms: int) -> dict[str, Any]:
        scope = self._rng.choice((Scope.MARKETING, Scope.ALL))
        one = confirmation.Confirmation(business, "main", f"reply-{self._serial}", scope, now_ms, b"", "en")
        return confirmation.event_of(one, "tel:+12015550001", name="Airline", sender=None, pepper=PEPPER)

    # -- what is wrong with them

    def _spoil(self, whole: dict[str, Any]) -> None:
        if self._rng.random() < 0.75:
            path, value = self._rng.choice(SPOILS)
        else:
            path, value = self._rng.choice(paths(whole) or [("id",)]), self._rng.choice(NOISE)
        put(whole, path, value)


def _binary(whole: dict[str, Any], rng: Random) -> tuple[bytes, Headers]:
    """The event in binary mode."""
    headers = [
        (f"ce_{name}", held.encode()) for name, held in whole.items() if name != "data" and isinstance(held, str)
    ]
    headers += rng.choice(
        ([], [("content-type", b"application/json")], [("Content-Type", b"text/plain")], [("ce_id", b"x")])
    )
    return msgspec.json.encode(whole.get("data")), tuple(headers)
