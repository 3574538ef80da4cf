"""The verdict on sound requests: who, with what, and when; and what an accepted request carries on."""

from typing import Any

import msgspec
import pytest

from broker.deliver.versions import Versions
from broker.heartbeat import addresses as null_addresses
from broker.plan.outputs import Answer, outputs
from schemas.ids import recipient_id
from schemas.lanes import CLOCK_SLACK_MS, HOUR_MS, Lane
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.registry import Business, PriceCard, Template
from schemas.status import DeadLetter
from schemas.wire.columns import cells, of_u16s
from schemas.wire.timestamps import text_of
from tests.support.plan_bench import BOOK, NOW_MS, PEPPER, SHARDS, Bench, address, event, given

U = Lane.UPDATE.rules.windows


def data(**fields: Any) -> dict[str, Any]:
    """An update whose data has these fields."""
    return event(data=fields)


def at(time_ms: int, expires_ms: int) -> dict[str, Any]:
    """An update with these times."""
    return event(time=text_of(time_ms), expirytime=text_of(expires_ms))


VERDICTS: dict[str, tuple[dict[str, Any], Lane, Reason, str]] = {
    "a suspended business": (event(source="//sleeper/x"), Lane.UPDATE, Reason.BUSINESS_SUSPENDED, "suspended"),
    "a business without a sender": (event(source="//loner/x"), Lane.UPDATE, Reason.UNKNOWN_SENDER, "no default sender"),
    "an unknown sender": (
        data(sender="airline/mian"),
        Lane.UPDATE,
        Reason.UNKNOWN_SENDER,
        "did you mean `airline/main`?",
    ),
    "somebody else's sender": (
        data(sender="sleeper/main"),
        Lane.UPDATE,
        Reason.UNKNOWN_SENDER,
        "no sender `sleeper/main`",
    ),
    "a sender without a share of the lane": (
        data(sender="airline/codes"),
        Lane.UPDATE,
        Reason.UNKNOWN_SENDER,
        "no share of the update lane",
    ),
    "a suspended sender": (data(sender="airline/off"), Lane.UPDATE, Reason.SENDER_SUSPENDED, "airline/off"),
    "an unknown template": (data(template="delays"), Lane.UPDATE, Reason.UNKNOWN_TEMPLATE, "did you mean `delay`?"),
    "somebody else's template": (data(template="private"), Lane.UPDATE, Reason.UNKNOWN_TEMPLATE, "no active template"),
    "a template that is off": (data(template="old"), Lane.UPDATE, Reason.UNKNOWN_TEMPLATE, "switched off"),
    "marketing in the update lane": (data(template="offer"), Lane.UPDATE, Reason.WRONG_LANE, "requests.campaign"),
    "an offer to people who did not ask for it": (
        event(Lane.CAMPAIGN, data={"to": {"recipients": [{"address": address(1)}]}}),
        Lane.CAMPAIGN,
        Reason.INVALID_FIELD,
        "name its list in data.to.list",
    ),
    "a code in the campaign lane": (event(Lane.OTP), Lane.CAMPAIGN, Reason.WRONG_LANE, "requests.otp"),
    "no parameters": (data(params={}), Lane.UPDATE, Reason.MISSING_PARAMETER, "`flight`"),
    "no parameters, to a list": (data(params={}, to={"list": "l"}), Lane.UPDATE, Reason.MISSING_PARAMETER, "`flight`"),
    "a parameter for one of two only": (
        data(
            params={},
            to={"recipients": [{"address": address(1), "params": {"flight": "x"}}, {"address": address(2)}]},
        ),
        Lane.UPDATE,
        Reason.MISSING_PARAMETER,
        "every recipient",
    ),
    "an unknown parameter": (
        data(params={"fligth": "x"}),
        Lane.UPDATE,
        Reason.UNKNOWN_PARAMETER,
        "did you mean `flight`?",
    ),
    "an unknown parameter of one recipient": (
        data(to={"recipients": [{"address": address(1)}, {"address": address(2), "params": {"gate": "x"}}]}),
        Lane.UPDATE,
        Reason.UNKNOWN_PARAMETER,
        "data.to.recipients[1].params",
    ),
    "a code in clear": (
        event(Lane.OTP, data={"params": {"code": "1"}}),
        Lane.OTP,
        Reason.NOT_SEALED,
        "sealed values only",
    ),
    "a code in clear that lives too long": (
        event(Lane.OTP, data={"params": {"code": "1"}}, expirytime=text_of(NOW_MS + HOUR_MS)),
        Lane.OTP,
        Reason.NOT_SEALED,
        "burnt",
    ),
    "sealed to an unknown key": (
        event(Lane.OTP, data={"params": {"code": {"sealed": "k9." + "A" * 80}}}),
        Lane.OTP,
        Reason.NOT_SEALED,
        "registered: `k1`",
    ),
    "a sealed value for two": (
        event(Lane.OTP, people=(1, 2)),
        Lane.OTP,
        Reason.INVALID_FIELD,
        "opens for one recipient only",
    ),
    "a sealed value in a clear slot": (
        data(params={"flight": {"sealed": "k1." + "A" * 80}}),
        Lane.UPDATE,
        Reason.INVALID_FIELD,
        "takes text",
    ),
    "stale, by one millisecond": (at(NOW_MS - U.stale_ms, NOW_MS + 1), Lane.UPDATE, Reason.STALE, "older than"),
    "from the future": (
        at(NOW_MS + CLOCK_SLACK_MS + 1, NOW_MS + HOUR_MS),
        Lane.UPDATE,
        Reason.FROM_THE_FUTURE,
        "producer's clock",
    ),
    "expired": (at(NOW_MS - HOUR_MS, NOW_MS), Lane.UPDATE, Reason.REQUEST_EXPIRED, "had passed"),
    "expired before it happened": (at(NOW_MS + 2, NOW_MS + 1), Lane.UPDATE, Reason.INVALID_FIELD, "before time"),
    "a lifetime too long": (
        at(NOW_MS, NOW_MS + U.lifetime_max_ms + 1),
        Lane.UPDATE,
        Reason.LIFETIME_TOO_LONG,
        "48 h",
    ),
}


@pytest.mark.parametrize("row", VERDICTS.values(), ids=VERDICTS.keys())
def test_a_request_that_may_not_be_is_refused(row: tuple[dict[str, Any], Lane, Reason, str]) -> None:
    """The verdict is appended with its sentence and without content, and the business is told the same."""
    whole, lane, reason, sentence = row
    bench = Bench(lane)
    bench.policy = msgspec.structs.replace(bench.policy, shard=given(whole).origin.partition)
    (entry,) = bench.run(given(whole, 3)).journal
    assert Reason(entry.verdict) is reason
    assert sentence in entry.detail
    assert entry.rows is None
    assert not entry.list
    assert entry.terms is not None
    assert not entry.terms.params
    (answer,) = bench.direct
    assert answer.business == whole["source"].removeprefix("//").partition("/")[0]
    assert (answer.status.state, answer.status.reason, answer.status.seq) == ("refused", reason.word, 3)
    assert answer.status.detail == entry.detail
    assert not bench.work


LEGAL: dict[str, dict[str, Any]] = {
    "one millisecond before stale": at(NOW_MS - U.stale_ms + 1, NOW_MS + 1),
    "as far ahead as clocks may be off": at(NOW_MS + CLOCK_SLACK_MS, NOW_MS + HOUR_MS),
    "the longest lifetime": at(NOW_MS, NOW_MS + U.lifetime_max_ms),
    "a sender by its short name": data(sender="slow"),
    "1,000 recipients": event(people=range(1000)),
    "a parameter at the bound": data(params={"flight": "a" * 1024}),
    "a cancellation": event(data={"facet": "*", "version": 2**63 - 1}, subject="flight/UA1"),
}


@pytest.mark.parametrize("whole", LEGAL.values(), ids=LEGAL.keys())
def test_what_lies_at_the_bound_is_accepted(whole: dict[str, Any]) -> None:
    """Bounds hold on the right side."""
    (entry,) = Bench().decide(given(whole)).journal
    assert entry.verdict == 0, entry.detail


def test_an_unregistered_business_is_known_to_the_dead_letters_only() -> None:
    """Nothing is appended: no topic exists to answer on."""
    bench = Bench()
    whole = event(source="//nobody/x")
    bench.policy = msgspec.structs.replace(bench.policy, shard=given(whole).origin.partition)
    step = bench.decide(given(whole))
    assert not step.journal
    (letter,) = step.direct
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.business) == (Reason.UNKNOWN_BUSINESS.word, "nobody")


def test_terms_fix_everything_at_acceptance() -> None:
    """Deliver and settle need the registry no more: version, card, expiry, fact and labels stand in the entry."""
    whole = event(
        data={"facet": "gate", "version": 7, "labels": {"team": "ops"}, "test": True},
        subject="flight/UA1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    (entry,) = Bench().decide(given(whole)).journal
    terms = entry.terms
    assert terms is not None
    assert (terms.business, terms.sender, terms.template, terms.template_version) == (
        "airline",
        "airline/main",
        "delay",
        3,
    )
    assert (terms.card, terms.category) == (2, 2)
    assert (terms.entity, terms.facet, terms.version) == ("flight/UA1", "gate", 7)
    assert terms.params == {"flight": "UA1"}
    assert terms.labels == {"team": "ops"}
    assert terms.test
    assert terms.trace.startswith("00-4bf9")
    assert terms.keep_ms > terms.expires_ms == NOW_MS + 600_000


def test_a_fact_is_remembered_while_an_older_version_may_be_accepted() -> None:
    """A short-lived newer version still supersedes an older one that its producer publishes a day late."""
    bench = Bench()
    fact = {"facet": "gate", "version": 8}
    newer = event(id="8", data=fact, subject="flight/UA1", expirytime=text_of(NOW_MS + HOUR_MS))
    older = event(id="7", data=fact | {"version": 7}, subject="flight/UA1", expirytime=text_of(NOW_MS + 40 * HOUR_MS))
    versions = Versions()
    versions.see(_accepted(bench, newer), NOW_MS)
    bench.now_ms = NOW_MS + U.stale_ms - 10 * HOUR_MS
    assert [each.version for each in versions.stated_until(bench.now_ms, bench.now_ms, versions.facts())] == [8]
    assert versions.superseded(_accepted(bench, older))


def _accepted(bench: Bench, whole: dict[str, Any]) -> Terms:
    (entry,) = bench.decide(given(whole)).journal
    assert entry.terms is not None
    assert entry.verdict == 0
    return entry.terms


def test_rows_hold_who_and_in_which_language_and_market() -> None:
    """Columns in the order of the request; the template's default where no language of it was named; somebody twice is one."""
    people = [
        {"address": address(1), "locale": "en-GB"},
        {"address": "tel:+447123456789"},
        {"address": address(1), "locale": "en-GB"},
        {"address": address(2), "locale": "de"},
        {"address": "tel:+919876543210", "locale": "hi", "params": {"flight": "e\u0301"}},
    ]
    (entry,) = Bench().decide(given(data(to={"recipients": people}))).journal
    rows = entry.rows
    assert rows is not None
    addresses = [address(1), "tel:+447123456789", address(2), "tel:+919876543210"]
    assert cells(rows.recipients, 16) == [recipient_id(PEPPER, each) for each in addresses]
    assert [BOOK.open(cell) for cell in cells(rows.addresses, 33)] == addresses
    assert rows.locales == b"enesesHI".lower()
    assert entry.terms is not None
    assert entry.terms.languages == "esenhi"
    assert of_u16s(rows.markets) == (1, 44, 1, 91)
    assert rows.params == ({}, {}, {}, {"flight": "\u00e9"}), "parameters in normal form C, of those who have their own"


def test_a_business_speaks_its_own_template_before_everybodys() -> None:
    """An own template of the same id wins; the newest card counts."""
    bench = Bench()
    bench.registry.add(Template("delay", "utility", (), {"en": "own"}, business="airline", version=9))
    bench.registry.add(PriceCard(5, "USD", {"utility": {"*": 1}}))
    (entry,) = bench.decide(given(data(params={}))).journal
    assert entry.terms is not None
    assert (entry.terms.template_version, entry.terms.card) == (9, 5)


def test_nothing_is_accepted_that_no_card_prices() -> None:
    """What could not be billed is refused while the operator can still be told."""
    bench = Bench()
    bench.registry.add(PriceCard(6, "USD", {"marketing": {"*": 1}}))
    (entry,) = bench.decide(given(event())).journal
    assert Reason(entry.verdict) is Reason.NOT_SUPPORTED
    assert "price" in entry.detail


def test_a_campaign_without_expirytime_lives_as_long_as_its_lane_allows() -> None:
    """Only the interactive lanes must say until when."""
    bench = Bench(Lane.CAMPAIGN)
    (entry,) = bench.decide(given(event(Lane.CAMPAIGN, expirytime=None))).journal
    assert entry.terms is not None
    assert entry.terms.expires_ms == NOW_MS + Lane.CAMPAIGN.rules.windows.lifetime_max_ms


def test_the_business_is_told_how_many_shards_will_report() -> None:
    """``accepted`` comes from plan, counts come from the shards."""
    bench = Bench()
    step = bench.run(given(event(people=range(40))), given(data(to={"list": "l"}) | {"id": "2"}, 1))
    told = [answer.status for answer in bench.direct if isinstance(answer, Answer)]
    assert [(status.state, status.shards) for status in told] == [("accepted", 8), ("accepted", 8)]
    assert len(outputs(step.journal[0], SHARDS).work) == 8


def test_heartbeats_are_accepted_untold_and_nothing_else_is() -> None:
    """Fanfare's own businesses are registered, have no topic of their own, and send heartbeats only; a dead letter tells."""
    from_heart: dict[str, Any] = {"source": "//fanfare-0/heartbeat"}
    bench = Bench()
    bench.registry.add(Business("fanfare-0", "Fanfare"))
    bench.registry.add(
        msgspec.structs.replace(bench.registry.senders["airline/main"], id="fanfare-0/m", business="fanfare-0")
    )
    bench.registry.add(Template("fanfare_heartbeat_update", "utility", (), {"en": "x"}))
    beating = {"template": "fanfare_heartbeat_update", "params": {}, "test": True}
    null = {"recipients": [{"address": null_addresses(PEPPER, SHARDS)[0]}]}
    beat = event(data=beating | {"to": null}, **from_heart)
    bench.policy = msgspec.structs.replace(bench.policy, shard=given(beat).origin.partition)
    assert [entry.verdict for entry in bench.run(given(beat)).journal] == [0]
    assert not bench.run(given(beat, 1)).journal
    assert not bench.direct
    somebody = event(data=beating, **from_heart)
    everybody = event(data=beating | {"to": {"list": "l"}}, **from_heart)
    for offset, other in enumerate((event(**from_heart), somebody, everybody), start=2):
        assert not bench.run(given(other | {"id": str(offset)}, offset)).journal
        letter = bench.direct.pop()
        assert isinstance(letter, DeadLetter)
        assert (letter.business, letter.reason) == ("fanfare-0", Reason.UNKNOWN_TEMPLATE.word)
