"""Events that are read at once are those that the strict look takes, and they say the same."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.lanes import Lane
from schemas.request import CONTROL_TYPE, OPTIN_TYPE, CloudEvent
from schemas.wire import cloudevents, envelope
from tests.pure.plan.spoils import BYTES, NOISE, SPOILS, paths, put
from tests.support.plan_bench import event

_PROOF: Final = {"method": "web_form", "wording": "Tell me.", "source": "app"}
_JOIN: Final = {"list": "l", "op": "join", "members": [{"address": "tel:+12015550001"}], "evidence": _PROOF}
SOUND: Final = (
    event(people=range(3), data={"labels": {"a:b": ":c"}}, subject="s"),
    event(data={"facet": "gate", "version": 7}, subject="flight/1", traceparent="x"),
    event(Lane.OTP),
    event(Lane.CAMPAIGN, expirytime=None),
    event(type=OPTIN_TYPE, data=None) | {"data": _JOIN},
    event(type=CONTROL_TYPE) | {"data": {"action": "pause", "subject": "flight:1"}},
)
_CHANGES: Final = (
    (b'":', b'" :'),
    (b"{", b"{ \n"),
    (b'"id":', b'"id":"0","id":'),
    (b'"to":', b'"to":{},"to":'),
    (b'"params":', b'"params":{"flight":":"},"params":'),
    (b'"version":7', b'"version":7,"version":7'),
    (b'"version":7', b'"version":9223372036854775808'),
    (b'"version":7', b'"version":-0'),
    (b'"version":7', b'"version":07'),
    (b'"version":7', b'"version":7.0'),
    (b'"version":7', b'"version":7,"test":false'),
    (b'"flight/1"', b'"fl\tight"'),
    (b'"flight/1"', b'"fl\x7fight"'),
    (b"}", b"}}"),
    *((old, new) for old, new in BYTES if old),
)


def exactly(value: bytes, patch: pytest.MonkeyPatch) -> object:
    """The event as the strict look has it, or what it says instead."""
    with patch.context() as patched:
        patched.setattr(cloudevents, "plain_event", lambda *_: None)
        return cloudevents.decode(value, ())


def without_body(found: object) -> object:
    """The same without what was read at once."""
    return msgspec.structs.replace(found, body=None, canonical=b"") if isinstance(found, CloudEvent) else found


@given(st.sampled_from(SOUND), st.lists(st.tuples(st.sampled_from(_CHANGES), st.integers(1, 3)), max_size=2), st.data())
@settings(max_examples=1_500, deadline=None)
def test_both_ways_say_the_same(
    whole: dict[str, Any], changes: list[tuple[tuple[bytes, bytes], int]], data: st.DataObject
) -> None:
    """Whatever is wrong with the content or with the text."""
    changed = msgspec.json.decode(msgspec.json.encode(whole))
    for _ in range(data.draw(st.integers(0, 2))):
        where, value = data.draw(
            st.sampled_from(SPOILS) | st.tuples(st.sampled_from(paths(changed)), st.sampled_from(NOISE))
        )
        put(changed, where, value)
    text = msgspec.json.encode(changed)
    for (old, new), times in changes:
        text = text.replace(old, new, times)
    found = cloudevents.decode(text, ())
    with pytest.MonkeyPatch.context() as patch:
        assert without_body(found) == exactly(text, patch)
    if isinstance(found, CloudEvent) and found.body is not None:
        shape = envelope.SHAPES[found.type]
        assert found.body == shape.decode(found.data)
        assert found.canonical == envelope.canonical(found.data)


@pytest.mark.parametrize("whole", SOUND, ids=lambda whole: str(whole["type"]))
def test_what_programs_write_is_read_at_once(whole: dict[str, Any]) -> None:
    """Else the quick way would be for nothing."""
    found = cloudevents.decode(msgspec.json.encode(whole), cloudevents.STRUCTURED_HEADERS)
    assert isinstance(found, CloudEvent)
    assert found.body is not None
