"""What people wrote, in answer to what, and what came later: what each lane tells them then.

`python -m tests.pure.webhook.stop_stories` prints the table.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from broker.plan.opt_in import AudienceRecord
from broker.webhook.keywords import Vocabulary
from broker.webhook.sort import sort
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Scope, Suppression, Suppressions
from schemas.gateway_api import Reply, Reports, ref_of
from schemas.ids import recipient_id, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Rows, WorkItem
from schemas.reasons import State, word_of
from schemas.request import OPTIN_TYPE
from schemas.wire.columns import u16s, values_of
from schemas.wire.header import Kind, body_of, head_of
from schemas.wire.timestamps import text_of as instant
from tests.support import plan_bench
from tests.support.plan_bench import PEPPER, SHARDS, address, event, given
from tests.support.shard_bench import NOW_MS, Bench, name, terms

LISTS: Final = {"offers": "marketing", "news": "marketing", "flight/1": "service", "flight/2": "service"}
"""Everybody begins on all four, by an app, a minute ago."""
PROBES: Final[Mapping[str, tuple[Lane, str]]] = {
    "code": (Lane.OTP, ""),
    "parcel": (Lane.UPDATE, ""),
    "flight/1": (Lane.UPDATE, "flight/1"),
    "flight/2": (Lane.UPDATE, "flight/2"),
    "offers": (Lane.CAMPAIGN, "offers"),
    "news": (Lane.CAMPAIGN, "news"),
}
"""What is sent to the person in the end: a code, an update to them, updates and offers to lists."""

_REF_SECRET: Final = b"r" * 32
_BEFORE_MS: Final = 60_000
_WHO: Final = address(1)
_PERSON: Final = recipient_id(PEPPER, _WHO)


class Life:
    """One person, and what a shard knows of them. Each step is a second after the one before."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.bench = Bench()
        self._steps = 0
        for list_id, purpose in LISTS.items():
            self.join(list_id, "app", purpose=purpose, at_ms=NOW_MS - _BEFORE_MS)

    def _next(self) -> int:
        self._steps += 1
        self.now_ms += 1_000
        return self.now_ms

    def say(self, body: str, to: str = "", *, kind: str = "text", ref: str | None = None) -> None:
        """Write something in answer to one of :data:`PROBES`, or to nothing that is known."""
        now_ms = self._next()
        if ref is None:
            lane, list_id = PROBES[to] if to else (Lane.UPDATE, "")
            ref = ref_of(_REF_SECRET, lane, 3, name(7), list_id) if to else ""
        reply = Reply(f"in-{self._steps}", "airline", "airline/main", text_of(_PERSON), kind, body, now_ms, ref, 0)
        done = sort(
            Reports("b", (), (reply,)),
            received_ms=now_ms,
            ref_secret=_REF_SECRET,
            shards=SHARDS,
            vocabulary=Vocabulary(),
        )
        for record in done.records:
            if record.topic == topics.SUPPRESSIONS:
                for entry in body_of(record.value, Suppressions).entries:
                    self._suppress(entry)

    def platform_stops(self) -> None:
        """The gateway answers that the person stopped marketing in the platform's settings."""
        now_ms = self._next()
        self._suppress(
            Suppression(_PERSON, "airline", Scope.OFFERS, revoke=True, evidence_ms=now_ms, received_ms=now_ms)
        )

    def _suppress(self, entry: Suppression) -> None:
        self.bench.consent.apply(entry)
        self.bench.suppressed_upto += 1

    def join(
        self,
        list_id: str,
        method: str,
        *,
        purpose: str | None = None,
        lane: Lane = Lane.UPDATE,
        at_ms: int | None = None,
    ) -> None:
        """The business publishes an opt-in; the person gave it just now, or at ``at_ms``."""
        self._opt(
            {"op": "join", "evidence": {"method": method, "wording": "Yes.", "source": "here"}},
            list_id,
            lane,
            at_ms,
            purpose,
        )

    def leave(self, list_id: str) -> None:
        """The business publishes that the person has left."""
        self._opt({"op": "leave"}, list_id, Lane.UPDATE, None, None)

    def _opt(self, how: dict[str, Any], list_id: str, lane: Lane, at_ms: int | None, purpose: str | None) -> None:
        now_ms = self._next() if at_ms is None or at_ms > NOW_MS else at_ms
        member = {"address": _WHO, "evidence_ms": now_ms if at_ms is None else at_ms}
        data = {"list": list_id, "members": [member], **how} | ({"purpose": purpose} if purpose else {})
        whole = event(lane, type=OPTIN_TYPE, expirytime=None, time=instant(now_ms)) | {"data": data}
        planner = plan_bench.Bench(lane)
        planner.now_ms = now_ms
        for one in planner.decide(given(whole, timestamp_ms=max(now_ms, at_ms or 0))).direct:
            if isinstance(one, AudienceRecord):
                self.bench.audience.apply(one.change, self.bench.audience.upto + 1)

    def hears(self) -> dict[str, str]:
        """Returns what each probe comes to: ``told``, or the reason why not."""
        return {probe: self._sent(number, *place) for number, (probe, place) in enumerate(PROBES.items(), start=1)}

    def _sent(self, number: int, lane: Lane, list_id: str) -> str:
        bench = Bench(lane)
        bench.consent, bench.audience = self.bench.consent, self.bench.audience
        bench.suppressed_upto, bench.now = self.bench.suppressed_upto, self.now_ms
        bench.restart()
        rows = None if list_id else Rows(_PERSON, bytes(33), b"en", u16s([1]))
        bench.take(WorkItem(name(number), terms(), rows, list_id))
        bench.run()
        said = [
            values_of(section.statuses)[0]
            for record in bench.log
            if head_of(record).kind is Kind.OUTCOME
            for section in body_of(record, Outcome).decided
        ]
        return "not_opted_in" if not said else "told" if said == [State.SENDING] else word_of(said[-1])


Step = Callable[[Life], None]


class Story(NamedTuple):
    """What happened, in order, and who is silent after it; everything else is told."""

    title: str
    steps: Sequence[Step]
    silent: Mapping[str, str]

    def lived(self) -> dict[str, str]:
        """Returns what the person hears after it."""
        life = Life()
        for step in self.steps:
            step(life)
        return life.hears()


def says(body: str, to: str = "", **how: str) -> Step:
    """The person writes."""
    return lambda life: life.say(body, to, **how)


def joins(list_id: str, method: str, **how: Any) -> Step:
    """The person joins."""
    return lambda life: life.join(list_id, method, **how)


_MARKETING: Final = {"offers": "stopped", "news": "stopped"}
_ALL_BUT_CODES: Final = dict.fromkeys(("parcel", "flight/1", "flight/2", "offers", "news"), "stopped_all")
_BLOCKED: Final = dict.fromkeys(PROBES, "blocked")
_FIRST_FLIGHT: Final = _MARKETING | {"flight/1": "stopped"}

STORIES: Final = (
    Story("English, STOP to an offer: marketing ends, flights and parcels go on", [says("STOP", "offers")], _MARKETING),
    Story(
        "German, Stopp! to a flight update: that list and marketing end", [says("Stopp!", "flight/1")], _FIRST_FLIGHT
    ),
    Story("German, ABMELDEN to the other flight", [says("ABMELDEN", "flight/2")], _MARKETING | {"flight/2": "stopped"}),
    Story("Spanish, ¡Baja! to a parcel's update, which went to no list", [says("¡Baja!", "parcel")], _MARKETING),
    Story("Spanish, ALTO to an offer", [says("ALTO", "news")], _MARKETING),
    Story("Hindi, रोकें to a one-time code", [says("रोकें", "code")], _MARKETING),
    Story("French, Arrêt with an emoji to nothing that is known", [says("Arrêt 🛑")], _MARKETING),
    Story("a STOP under a forged reference takes nobody off a list", [says("stop", ref="forged")], _MARKETING),
    Story("Portuguese, SAIR to a flight update", [says("SAIR", "flight/1")], _FIRST_FLIGHT),
    Story("Italian, Basta!! to a flight update", [says("Basta!!", "flight/1")], _FIRST_FLIGHT),
    Story("Arabic, without its hamza, to a flight update", [says("ايقاف", "flight/1")], _FIRST_FLIGHT),
    Story("Indonesian, berhenti to an offer", [says("berhenti", "offers")], _MARKETING),
    Story("STOP ALL to an offer leaves codes", [says("STOP ALL", "offers")], _ALL_BUT_CODES),
    Story("German, Alles abbestellen to a flight update", [says("Alles abbestellen", "flight/1")], _ALL_BUT_CODES),
    Story("a block ends everything", [says("", "offers", kind="block")], _BLOCKED),
    Story("unblocking restores everything", [says("", kind="block"), says("", kind="unblock")], {}),
    Story(
        "unblocking does not take back a STOP",
        [says("STOP", "flight/1"), says("", kind="block"), says("", kind="unblock")],
        _FIRST_FLIGHT,
    ),
    Story("START takes back the STOP of marketing and of the list", [says("Stop", "flight/1"), says("Start")], {}),
    Story("Spanish, Alta takes back STOP ALL", [says("Stop all", "offers"), says("Alta", "offers")], {}),
    Story("a STOP after START holds", [says("Stop", "offers"), says("Start"), says("Stop", "offers")], _MARKETING),
    Story("Cancel to an offer cannot be order talk", [says("Cancel", "offers")], _MARKETING),
    Story("Cancel to a flight update is about the flight", [says("Cancel", "flight/1")], {}),
    Story("German, Kündigen to a parcel's update is about the order", [says("Kündigen", "parcel")], {}),
    Story("End to nothing that is known is no STOP", [says("End")], {}),
    Story("please don't stop is no STOP", [says("please don't stop", "offers")], {}),
    Story("OK, thanks is no STOP", [says("OK, thanks!", "flight/1")], {}),
    Story(
        "a later web form for the offers brings all marketing back",
        [says("STOP", "offers"), joins("offers", "web_form", purpose="marketing")],
        {},
    ),
    Story(
        "a later import does not",
        [says("STOP", "offers"), joins("offers", "import", purpose="marketing")],
        _MARKETING,
    ),
    Story(
        "asking for another list brings marketing back, and not the list that was stopped",
        [says("STOP", "offers"), joins("news", "keyword", lane=Lane.CAMPAIGN)],
        {"offers": "stopped"},
    ),
    Story(
        "joining the flight again in the app brings the flight back, and no marketing",
        [says("STOP", "flight/1"), joins("flight/1", "app")],
        _MARKETING,
    ),
    Story(
        "a phone call for another flight brings nothing back",
        [says("STOP", "flight/1"), joins("flight/2", "phone_call")],
        _FIRST_FLIGHT,
    ),
    Story(
        "joining for service on the campaign's topic brings no marketing back",
        [says("STOP", "offers"), joins("offers", "in_person", lane=Lane.CAMPAIGN, purpose="service")],
        _MARKETING,
    ),
    Story(
        "an old spelling of a method counts as what it means",
        [says("STOP", "offers"), joins("offers", "Web form", lane=Lane.CAMPAIGN)],
        {},
    ),
    Story(
        "an opt-in from before the STOP, told after it, brings nothing back",
        [says("STOP", "offers"), joins("offers", "web_form", purpose="marketing", at_ms=NOW_MS - 1_000)],
        _MARKETING,
    ),
    Story(
        "at the same moment the STOP wins",
        [says("STOP", "offers"), joins("offers", "web_form", purpose="marketing", at_ms=NOW_MS + 1_000)],
        _MARKETING,
    ),
    Story(
        "an import after the opt-in does not undo it",
        [
            says("STOP", "offers"),
            joins("offers", "web_form", purpose="marketing"),
            joins("offers", "import", purpose="marketing"),
        ],
        {},
    ),
    Story(
        "a STOP after the opt-in ends it again",
        [says("STOP", "offers"), joins("offers", "chat", purpose="marketing"), says("STOP", "offers")],
        _MARKETING,
    ),
    Story(
        "an opt-in does not take back STOP ALL",
        [says("STOP ALL", "offers"), joins("offers", "web_form", purpose="marketing")],
        _ALL_BUT_CODES,
    ),
    Story(
        "an opt-in does not take back a block",
        [says("", kind="block"), joins("offers", "web_form", purpose="marketing")],
        _BLOCKED,
    ),
    Story(
        "whoever stopped marketing in the platform's settings is told when they ask again",
        [lambda life: life.platform_stops(), joins("offers", "web_form", purpose="marketing")],
        {},
    ),
    Story(
        "whoever stopped marketing in the platform's settings still gets everything else",
        [lambda life: life.platform_stops()],
        dict.fromkeys(("offers", "news"), "recipient_opted_out"),
    ),
    Story(
        "leaving a list by event ends that list alone",
        [lambda life: life.leave("flight/1")],
        {"flight/1": "not_opted_in"},
    ),
)


def main() -> None:
    """Print the table: a line a story."""
    width = max(len(story.title) for story in STORIES)
    table = {"": {probe: probe for probe in PROBES}, **{story.title: story.lived() for story in STORIES}}
    for title, heard in table.items():
        sys.stdout.write(f"{title:{width}}  {'  '.join(f'{heard[probe]:12}' for probe in PROBES)}".rstrip() + "\n")


if __name__ == "__main__":
    main()
