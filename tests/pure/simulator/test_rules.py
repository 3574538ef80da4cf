"""Whether the simulated gateway takes a message: one row for each refusal, their order, and their places."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.gateway_api import Code, Frame, Section
from schemas.wire.sealed import seal_code
from streams.simulator.frame_rows import FormError, Rows, intervals, listed
from streams.simulator.phone_users import ONLINE, Crowd, Profile
from streams.simulator.registry import Registered
from streams.simulator.rules import Asked, Rules
from tests.support.simulated import BOOK, ENTRIES, HOUR_MS, NOW_MS, address, frame, locales, name, section

KEY = X25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()


def rules(*, limits: bool = False, profile: Profile = ONLINE) -> Rules:
    """The rules over the small registry."""
    return Rules(Registered(ENTRIES), Crowd(1, profile), BOOK, {"k1": b"k" * 32}, limits=limits)


def judged(told: Rules, asked: Section, whole: Frame | None = None, now_ms: int = NOW_MS) -> Asked:
    """What becomes of one section."""
    rows = Rows(asked)
    answer = Asked(whole or frame(asked), rows, list(range(rows.count)), now_ms)
    told.judge(answer)
    return answer


def code_section(number: int = 1, *, sealed: str | None = None, **fields: Any) -> Section:
    """A one-time code for one person, sealed for its place unless given."""
    if sealed is None:
        sealed = seal_code(
            "493027", ("k1", PUBLIC), request=name("r"), address=address(number), template="code", parameter="code"
        )
    return section([number], template="code", category="authentication", params={"code": sealed}, **fields)


@pytest.mark.parametrize(
    ("why", "fields", "code"),
    [
        ("as it should be", {}, None),
        ("a language that the template lacks", {"locales": locales("de")}, Code.TEMPLATE_MISSING),
        ("one language a person", {"locales": locales("en", "es", "en")}, None),
        ("past its expiry", {"expires_ms": NOW_MS - 1}, Code.EXPIRED),
        ("an unknown template", {"template": "nix"}, Code.TEMPLATE_MISSING),
        ("an unknown version", {"template_version": 7}, Code.TEMPLATE_MISSING),
        ("somebody else's template", {"template": "mine", "category": "utility"}, Code.TEMPLATE_MISSING),
        ("another category than approved", {"category": "utility"}, Code.TEMPLATE_MISSING),
        ("a paused template", {"template_version": 0}, Code.TEMPLATE_PAUSED),
        ("a parameter too few", {"params": {}}, Code.TEMPLATE_PARAMETERS),
        ("a parameter too many", {"params": {"what": "x", "more": "y"}}, Code.TEMPLATE_PARAMETERS),
        ("another parameter", {"params": {"which": "x"}}, Code.TEMPLATE_PARAMETERS),
        ("an unknown sender", {"sender": "acme/none"}, Code.ACCOUNT_LOCKED),
        ("a locked sender", {"sender": "acme/off"}, Code.ACCOUNT_LOCKED),
        ("a locked business", {"business": "shut", "sender": "shut/main"}, Code.ACCOUNT_LOCKED),
        ("another business's sender", {"business": "shut", "sender": "acme/main"}, Code.ACCOUNT_LOCKED),
        ("a heartbeat, whatever it says", {"business": "fanfare-3", "template": "nix"}, None),
        ("a heartbeat past its expiry", {"business": "fanfare-3", "expires_ms": 1}, Code.EXPIRED),
    ],
)
def test_whole_sections(why: str, fields: dict[str, Any], code: Code | None) -> None:
    """What is wrong with a section refuses everybody in it, with the platform's own code."""
    answer = judged(rules(), section([1, 2, 3], **fields))
    assert {refused.code for refused in answer.refused.values()} == ({code} if code else set()), why
    assert answer.open == ([] if code else [0, 1, 2])


def test_stale_frame_comes_first() -> None:
    """A frame past ``not_after_ms`` is answered stale before anything else is looked at."""
    asked = section([1, 2], template="nix", expires_ms=NOW_MS - 1)
    answer = judged(rules(), asked, frame(asked, not_after_ms=NOW_MS - 1))
    assert [refused.code for refused in answer.refused.values()] == [Code.STALE_FRAME] * 2
    just_in_time = section([1, 2])
    assert not judged(rules(), just_in_time, frame(just_in_time, not_after_ms=NOW_MS)).refused


def test_rows_of_parameters() -> None:
    """Where each person has parameters of their own, only those whose parameters do not fit are refused."""
    each: tuple[dict[str, str], ...] = ({"gate": "A1"}, {}, {"gate": "A2", "seat": "3F"}, {"gate": "A3"})
    answer = judged(rules(), section([1, 2, 3, 4], template="gate", category="utility", params={}, params_each=each))
    assert {at: refused.code for at, refused in answer.refused.items()} == dict.fromkeys(
        (1, 2), Code.TEMPLATE_PARAMETERS
    )
    assert answer.open == [0, 3]


def test_sender_throughput() -> None:
    """Beyond its tokens a sender is throttled, the first messages pass, and the waits grow by its rate."""
    told = rules(limits=True)
    answer = judged(told, section(range(130)))
    assert answer.open == list(range(50)), "of 100 a second half is the campaign lane's"
    assert {refused.code for refused in answer.refused.values()} == {Code.SENDER_THROTTLED}
    waits = [refused.retry_after_ms for refused in answer.refused.values()]
    assert waits == [20 * (place + 1) for place in range(80)]
    later = judged(told, section(range(100, 130)), now_ms=NOW_MS + waits[29])
    assert not later.refused


def test_pair_limit() -> None:
    """46 messages of one sender to one person at once: the last is throttled with the time to wait."""
    told = rules(limits=True)
    answers = [judged(told, section([7], request=name(str(number)))) for number in range(46)]
    assert [bool(answer.refused) for answer in answers] == [False] * 45 + [True]
    refused = answers[-1].refused[0]
    assert (refused.code, refused.retry_after_ms) == (Code.PAIR_THROTTLED, 6_000)


def test_limits_can_be_off() -> None:
    """Without limits neither throughput nor pairs are counted."""
    told = rules(limits=False)
    assert not judged(told, section(range(500))).refused
    assert not any(judged(told, section([7], request=name(str(number)))).refused for number in range(60))


def test_people() -> None:
    """Wrong numbers are refused in every lane, those who stopped marketing only in marketing."""
    profile = replace(ONLINE, wrong_number=2_000, stopped_marketing=2_000)
    marketing = judged(rules(profile=profile), section(range(400)))
    codes = {at: refused.code for at, refused in marketing.refused.items()}
    wrong = {at for at, code in codes.items() if code == Code.UNDELIVERABLE}
    stopped = {at for at, code in codes.items() if code == Code.USER_STOPPED_MARKETING}
    assert 40 < len(wrong) < 120
    assert 40 < len(stopped) < 120
    utility = judged(
        rules(profile=profile), section(range(400), template="gate", category="utility", params={"gate": "A1"})
    )
    assert {refused.code for refused in utility.refused.values()} == {Code.UNDELIVERABLE}
    assert wrong <= utility.refused.keys()


def test_sealed_code_opens() -> None:
    """A code that was sealed for this request, person, template and slot opens, for the phone alone."""
    answer = judged(rules(), code_section())
    assert (answer.open, answer.clear) == ([0], {0: {"code": "493027"}})


@pytest.mark.parametrize(
    ("why", "asked"),
    [
        ("moved to another person", code_section(2, sealed=code_section(1).params["code"])),
        ("moved to another request", code_section(1, request=name("other"))),
        ("not sealed at all", code_section(1, sealed="493027")),
        ("broken", code_section(1, sealed=code_section(1).params["code"][:-4])),
        ("for a key that is not here", code_section(1, sealed="k9" + code_section(1).params["code"][2:])),
    ],
)
def test_sealed_code_elsewhere(why: str, asked: Section) -> None:
    """A code anywhere else does not open, and the answer says so without a word of it."""
    answer = judged(rules(), asked)
    assert [refused.code for refused in answer.refused.values()] == [Code.CODE_NOT_OPENED], why
    assert answer.clear == {}


@pytest.mark.parametrize(
    ("why", "fields"),
    [
        ("a request that is no name", {"request": "abc"}),
        ("fewer recipients than ranks", {"ranks": ((0, 4),)}),
        ("addresses of another number", {"addresses": b""}),
        ("locales of another number", {"locales": locales("en", "es")}),
        ("parameters of another number", {"params_each": ({},)}),
        ("nobody", {"ranks": (), "recipients": b""}),
        ("ranks that overlap", {"ranks": ((0, 2), (1, 1))}),
        ("ranks that go back", {"ranks": ((5, 1), (0, 2))}),
        ("an empty interval", {"ranks": ((0, 3), (9, 0))}),
    ],
)
def test_form(why: str, fields: dict[str, Any]) -> None:
    """A section whose parts do not fit together is refused as a whole, before anything is taken."""
    with pytest.raises(FormError):
        Rows(replace(section([1, 2, 3]), **fields))


@pytest.mark.parametrize("column", [b"recipients", b"addresses", b"locales"])
def test_columns_are_base64(column: bytes) -> None:
    """A frame comes back from JSON as it went in; one whose columns hold other signs is none."""
    encoded = msgspec.json.encode(frame(section([1, 2, 3])))
    assert msgspec.json.decode(encoded, type=Frame) == frame(section([1, 2, 3]))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(encoded.replace(b'"%s":"' % column, b'"%s":"%%' % column), type=Frame)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_places(good: list[bool]) -> None:
    """A refusal stands at the place of the person whom it is about, whatever the mixture."""
    each = tuple({"gate": "A1"} if fits else {"gate": "A1", "seat": "1"} for fits in good)
    ranks = [3 * place + 1 for place in range(len(good))]
    asked = section(range(len(good)), ranks=ranks, template="gate", category="utility", params={}, params_each=each)
    answer = judged(rules(), asked)
    assert answer.open == [place for place, fits in enumerate(good) if fits]
    assert sorted(answer.refused) == [place for place, fits in enumerate(good) if not fits]
    assert all(refused.position == place for place, refused in answer.refused.items())
    intervals, column = Rows(asked).part(answer.open)
    assert listed(intervals) == [rank for rank, fits in zip(ranks, good, strict=True) if fits]
    assert len(column) == 16 * len(answer.open)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_intervals(chosen: set[int]) -> None:
    """Ascending ranks come back from their intervals, of which there are as few as can be."""
    ranks = sorted(chosen)
    found = intervals(ranks)
    assert listed(found) == ranks
    assert all(first + count < following for (first, count), (following, _) in pairwise(found))


def test_expiry_is_inclusive() -> None:
    """At its expiry a message may still go; an hour later it may not."""
    assert not judged(rules(), section([1], expires_ms=NOW_MS)).refused
    assert judged(rules(), section([1]), frame(section([1]), not_after_ms=NOW_MS * 2), NOW_MS + HOUR_MS + 1).refused
