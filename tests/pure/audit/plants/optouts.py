# ruff: noqa: D103 - the name of a plant is its sentence
"""Planted violations about opt-outs that the gateway answers: a suppression must follow, and hold."""

from broker.audit.invariants import Breach
from schemas import topics
from schemas.delivery_journal import Answered
from schemas.facts import Scope, Suppression, Suppressions
from schemas.gateway_api import Code
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import i64s, u32s
from schemas.wire.header import Header, Kind, pack
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import MINUTE_MS, SHARDS, person
from tests.pure.audit.plants.table import Plants
from tests.pure.audit.story import Story

PLANTS = Plants()
SHARD = 1
_SOON = {"lag_ms": MINUTE_MS}


def offer(story: Story, event_id: str) -> Asked:
    """One more offer to the list, taken over."""
    asked = story.ask(Lane.CAMPAIGN, event_id, "offers")
    for shard in range(SHARDS):
        story.open(asked, shard)
    return asked


def opted_out(story: Story, asked: Asked, *, behind_ms: int = 0, told: bool = True) -> None:
    """The gateway refuses the first person for having stopped marketing; the suppressions are told so."""
    story.decide(asked, SHARD, {0: State.SENDING})
    story.hand(asked, SHARD, [0], event="refused", code=Code.USER_STOPPED_MARKETING)
    exception = (u32s([0]), bytes((Reason.RECIPIENT_OPTED_OUT,)), u32s([Code.USER_STOPPED_MARKETING]), i64s([0]))
    at_ms = story.now
    story.say(asked, SHARD, answered=(Answered(asked.name, intervals_of([0]), at_ms, *exception),))
    if told:
        who = person(asked.people[SHARD][0])
        entry = Suppression(who, "shop", Scope.OFFERS, revoke=True, evidence_ms=at_ms - behind_ms, received_ms=at_ms)
        head = Header(Kind.SUPPRESSION, Lane.CAMPAIGN, SHARD, 0, at_ms)
        story.put(topics.SUPPRESSIONS, SHARD, pack(head, Suppressions((entry,))))


@PLANTS.row(Breach.STOP_LOST, **_SOON)
def an_answered_opt_out_is_in_no_suppression(story: Story) -> None:
    opted_out(story, offer(story, "unheard"), told=False)


@PLANTS.row(Breach.STOP_LOST, **_SOON)
def an_answered_opt_out_is_told_as_older_than_it_is(story: Story) -> None:
    opted_out(story, offer(story, "backdated"), behind_ms=1)


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def an_opt_out_that_no_gateway_answered(story: Story) -> None:
    story.decide(offer(story, "invented"), SHARD, {0: Reason.RECIPIENT_OPTED_OUT})


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def a_row_is_withheld_for_an_opt_out_that_nobody_knows(story: Story) -> None:
    asked = offer(story, "withheld")
    story.decide(asked, SHARD, {0: State.SENDING})
    story.answer(asked, SHARD, [0], {0: Reason.RECIPIENT_OPTED_OUT})


@PLANTS.row(Breach.SENT_THOUGH_STOPPED)
def an_offer_to_somebody_who_had_opted_out(story: Story) -> None:
    opted_out(story, offer(story, "first"))
    story.send(offer(story, "second"), SHARD, [0])


def stopped(story: Story, scope: Scope = Scope.MARKETING) -> Asked:
    """The first person of an offer stops marketing, or the list; another offer is taken over after it."""
    (who, *_) = offer(story, f"before-{scope.name}").people[SHARD]
    story.stop(who, "shop", scope, listed="offers" if scope is Scope.LIST else "")
    story.now += 1
    return offer(story, f"after-{scope.name}")


def came_back(story: Story, asked: Asked, *, acted: bool = True) -> None:
    """That person opts in again, by an act or by an import."""
    story.opt("shop", "offers", asked.people[SHARD][:1], acted=acted)
    story.now += 1


@PLANTS.row(Breach.SENT_THOUGH_STOPPED)
def an_offer_to_a_list_that_its_person_had_stopped(story: Story) -> None:
    story.send(stopped(story, Scope.LIST), SHARD, [0])


@PLANTS.row(Breach.SENT_THOUGH_STOPPED)
def an_import_is_taken_for_an_act_of_the_person(story: Story) -> None:
    asked = stopped(story)
    came_back(story, asked, acted=False)
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def a_stop_is_held_against_somebody_who_came_back(story: Story) -> None:
    asked = stopped(story, Scope.LIST)
    came_back(story, asked)
    story.decide(asked, SHARD, {0: Reason.STOPPED})


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def a_row_is_withheld_from_somebody_who_never_left(story: Story) -> None:
    asked = offer(story, "withheld")
    story.decide(asked, SHARD, {0: State.SENDING})
    story.answer(asked, SHARD, [0], {0: Reason.NOT_OPTED_IN})
