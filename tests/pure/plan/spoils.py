"""Ways in which an event to plan can be wrong, one a row: what is written where, in the bytes, and in the headers."""

import base64
from typing import Any, Final

import msgspec

from schemas.request import CONTROL_TYPE, OPTIN_TYPE

Headers = tuple[tuple[str, bytes], ...]
Path = tuple[str | int, ...]


class _Drop:
    """Stands for leaving a field out."""


DROP: Final = _Drop()
_STRUCTURED: Final = ("content-type", b"application/cloudevents+json; charset=UTF-8")
_PEOPLE: Final = ("data", "to", "recipients")
_EVIDENCE: Final = ("data", "evidence")
_OLD, _AHEAD = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"

_ENVELOPE: Final[dict[str, tuple[Any, ...]]] = {
    "specversion": (DROP, "0.3", 1),
    "id": (DROP, "", "x" * 300, 7, "a\0b"),
    "source": (DROP, "airline", "//airline", "//loner/x", "//fanfare-0/x", "x" * 300, "//airline/a\nb", ["a"]),
    "type": (DROP, "fanfare.notification.v2", OPTIN_TYPE, CONTROL_TYPE, "", "x" * 300),
    "time": (DROP, "yesterday", "2026-11-22T06:40:00", "2026-02-30T06:40:00Z", _OLD, _AHEAD, 5),
    "expirytime": (DROP, "tomorrow", _OLD, _AHEAD, 5, None),
    "subject": (DROP, "", "x" * 300, 7, "a\u202eb"),
    "expirytme": ("x",),
    "traceparent": ("x", 7, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
    "datacontenttype": ("text/plain", "application/json", "application/vnd.x+json; charset=utf-8"),
    "data": (DROP, None, {}, [], "x", 7),
    "data_base64": ("e30=", "{}", base64.b64encode(b'{"template":"delay"}').decode()),
    "tracestate": ("x",),
}
_DATA: Final[dict[str, tuple[Any, ...]]] = {
    "template": (DROP, "dely", "", "x" * 200, 5, "old", "private", "offer", "delay", "code", "a\nb", "fanfare_stopped"),
    "templat": ("x",),
    "__faust": ({"ns": "x"},),
    "segment": ("all",),
    "start_ms": (1,),
    "sender": (DROP, "off", "codes", "slow", "mian", "shop/main", "", "x" * 200, "\u202e"),
    "params": (
        DROP,
        [1],
        {},
        {"flight": 7},
        {"flight": "a\nb"},
        {"flight": "a\u202eb"},
        {"flight": "a" * 1025},
        {"flight": "e\u0301"},
        {"fligt": "x"},
        {"flight": "x", "extra": "y"},
        {"flight": {"sealed": "k1." + "A" * 80}},
        {"code": "424242"},
        {"code": {"sealed": "424242"}},
        {"code": {"sealed": "k9." + "A" * 80}},
        {"code": {"seald": "x"}},
        {"code": {"sealed": "k1." + "A" * 3000}},
        {str(number): "" for number in range(33)},
        {str(number): "" for number in range(32)},
    ),
    "labels": (
        {str(number): "x" for number in range(5)},
        {"": "x"},
        {"a": "x" * 65},
        {"a": "b\n"},
        {"a": 1},
        [1],
        {"a": "b"},
    ),
    "facet": (DROP, "gate", "Gate", "", "x" * 65, "*"),
    "version": (DROP, -1, 0, 2**62, "1", 1.5, 2**63),
    "test": (True, False, "yes"),
    "to": (
        DROP,
        {},
        {"list": "offers"},
        {"list": "a b"},
        {"list": ""},
        {"list": "x" * 129},
        {"list": "l", "segment": {}},
        {"recipients": []},
        {"recipients": [{"address": "tel:+12015550001"}] * 1_001},
        {"recipients": [{"address": f"tel:+1201555{number:04d}"} for number in range(200)]},
        {"recipients": [{"address": "+12015550100"}]},
        {"recipients": [{"address": "tel:+1 2015550100"}]},
        {"recipients": [{"address": "tel:+12015"}]},
        {"recipients": [{"address": "tel:+0123456789"}]},
        {"recipients": [{"address": "tel:+999123456789"}]},
        {"recipients": [{"address": "tel:+12015550003"}, {"adress": "x"}]},
        {"recipients": [{"address": "tel:+12015550003"}, {"address": "tel:+12015550003"}]},
        {"recipients": [{"address": "tel:+12015550003"}, {"address": "tel:+12015550003", "locale": "es"}]},
        {"recipients": [{"address": "tel:+12015550003", "locale": "English!"}]},
        {"recipients": [{"address": "tel:+12015550003", "params": {"code": {"sealed": "k1." + "A" * 80}}}]},
        {"recipients": [{"address": "tel:+12015550003", "params": {"code": "424242"}}]},
        {"recipients": [{"address": "tel:+12015550003", "params": {"x": "a\nb"}}]},
        {"recipients": [{"address": "tel:+12015550003"}], "list": "l"},
    ),
    "op": (DROP, "add", "join", "leave", 1),
    "list": (DROP, "a b", "x", 7),
    "purpose": ("fun", "service", None),
    "members": (
        DROP,
        [],
        [{"address": "tel:+12015550001"}] * 4_097,
        [{"address": "0170"}],
        [{"address": "tel:+12015550001", "evidence_ms": -1}],
        [{"address": "tel:+12015550001", "locale": "English!"}],
        [{"address": "tel:+12015550001", "params": {}}],
    ),
    "evidence": (DROP, None, {}, {"method": "web_form"}),
    "action": (DROP, "stop", "PAUSE", 1),
    "request": (DROP, "x", "a" * 26, 7),
    "of": ({"source": "//airline/ops", "id": ""}, {"source": "loner", "id": "1"}, {"source": "//loner/x", "id": "1"}),
    "subject": ("", "x" * 300, "a\nb", "flight/1"),
    "campaign": ("offer-1",),
}
_PERSON: Final[dict[str, tuple[Any, ...]]] = {
    "address": (DROP, "0170", 7, "tel:+1555", "tel:+390612345678", "tel:+12015550001"),
    "locale": ("English!", "en-GB", "e", "it", None, 7),
    "params": ({"flight": "x"}, {"flight": 1}, {"nothing": "x"}, {"code": {"sealed": "k1." + "A" * 80}}, None),
    "adress": ("x",),
}
_PROOF: Final[dict[str, tuple[Any, ...]]] = {
    "method": (DROP, "", "cookie", "webform", "x" * 200),
    "wording": (DROP, " ", "x" * 5_000, "a\0"),
    "source": (DROP, "", "x\x1b"),
    "proof": ("x",),
}

SPOILS: Final[tuple[tuple[Path, Any], ...]] = tuple(
    ((*holder, name), value)
    for holder, rows in (
        ((), _ENVELOPE),
        (("data",), _DATA),
        ((*_PEOPLE, 0), _PERSON),
        ((*_PEOPLE, 1), _PERSON),
        (("data", "members", 1), _PERSON),
        (_EVIDENCE, _PROOF),
    )
    for name, values in rows.items()
    for value in values
)
"""A path and what is written there; :data:`DROP` leaves it out."""

NOISE: Final[tuple[Any, ...]] = (
    DROP,
    DROP,
    None,
    True,
    -1,
    3,
    1.5,
    "",
    "x",
    "a.b",
    "\u202e",
    "x" * 3_000,
    "//airline/b",
    [],
    ["x", 1],
    {},
    {"sealed": "x"},
    {"list": "l"},
    {"address": "tel:+12015550001"},
    {"ünknown": 1},
    {"a`b": {"a/b~c": []}},
)

BYTES: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"", b""),
    (b"", b"hello"),
    (b"", b"{}"),
    (b"", b"[]"),
    (b"", b"\xef\xbb\xbf{}"),
    (b"", b'{"specversion":"1.0",'),
    (b"", b'{"specversion":"1.0","x":NaN}'),
    (b"", b'{"specversion":"1.0","specversion":"1.0"}'),
    (b"", b'{"specversion":"1.0","id":"' + b"a" * 600_000 + b'"}'),
    (b"", b'{"specversion":"1.0","id":[' + b"[" * 500),
    (b'"1.0"', b'"1.0'),
    (b'"1.0"', b"NaN"),
    (b'"1.0"', b'"\\ud800"'),
    (b'"1.0"', b'"\\u0031.0"'),
    (b'"1.0"', b'"1.\xff0"'),
    (b'"1.0"', b"[" * 40 + b"]" * 40),
    (b'"1.0"', b"99999999999999999999"),
    (b'"1.0"', b"1e999"),
    (b'"template"', b'"template":"offer","template"'),
    (b'"template"', b'"x":[' + b"{}," * 40 + b'{}],"template"'),
    (b'"address"', b'"address":"x","address"'),
    (b'"address"', b'"\\u0061ddress":"x","address"'),
    (b"UA1", b"U\\n1"),
    (b"Rome", b"\\ud83d\\ude00"),
    (b"Rome", b"Ro\xc0\xafme"),
    (b"}", b"},"),
    (b",", b" ,\n"),
)
"""What is replaced, once, by what; with nothing to replace, the whole."""

HEADERS: Final[tuple[Headers, ...]] = (
    (_STRUCTURED,),
    (_STRUCTURED,),
    (("b3", b"1"), ("x-mirror", b"\xff")),
    (("Content-Type", b"application/cloudevents+json"),),
    (("content-type", b"text/plain"),),
    (("content-type", b"application/cloudevents+json; charset=latin1"),),
    (_STRUCTURED, _STRUCTURED),
    (_STRUCTURED, ("Faust-Ag-ReplyTo", b"registry")),
    (("fanfare-signature", b"x"),),
    (("fanfare-origin", b"here"),),
    (("fanfare-origin", b"3:17"),),
    (("Fanfare-Origin", b"3:17"),),
    (("redrive-attempt", b"3"), ("redrive-origin", b"requests.otp[1]@5")),
    (("ce_id", b"7"), ("ce_source", b"//airline/ops")),
)


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Every path in a JSON value but the root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, held in inner for deeper in [(*path, key), *paths(held, (*path, key))]]


def put(whole: Any, path: Path, value: Any) -> None:
    """Write a copy there, or leave out, where the way to it exists; a table's row that is spoilt again stays what it was."""
    here, own = whole, None if value is DROP else msgspec.json.decode(msgspec.json.encode(value))
    for step in path[:-1]:
        here = _held(here, step)
    last = path[-1]
    if isinstance(here, dict):
        here.pop(last, None)
        if value is not DROP:
            here[last] = own
    elif isinstance(here, list) and isinstance(last, int) and last < len(here):
        here[last] = own


def _held(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    return holder[step] if isinstance(holder, list) and isinstance(step, int) and step < len(holder) else None
