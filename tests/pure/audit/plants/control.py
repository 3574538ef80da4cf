# ruff: noqa: D103 - the name of a plant is its sentence
"""Planted violations about control: late after a word, sent while held, cancelled by nobody, a word that is lost."""

from broker.audit.invariants import Breach
from broker.audit.sources import Logged
from schemas import topics
from schemas.delivery_journal import Held
from schemas.facts import ControlAction, ControlScope
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import SHARDS
from tests.pure.audit.plants.table import Plants
from tests.pure.audit.story import Story

PLANTS = Plants()
SHARD = 1
PAUSE, RESUME, CANCEL = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.CANCEL
_BOUND_MS = 100 + Lane.CAMPAIGN.rules.windows.frame_ms


def offer(story: Story, event_id: str) -> Asked:
    """One more offer to the list, taken over."""
    asked = story.ask(Lane.CAMPAIGN, event_id, "offers", entity="sale")
    for shard in range(SHARDS):
        story.open(asked, shard)
    return asked


def end(story: Story, asked: Asked, status: int) -> None:
    """Decide whatever the shards but one have."""
    for shard in set(range(SHARDS)) - {SHARD}:
        story.decide(asked, shard, dict.fromkeys(range(len(asked.people[shard])), status))


def say(story: Story, asked: Asked, action: ControlAction, event_id: str = "") -> Logged:
    """The shop says something about its offer, or an operator about the sender."""
    if event_id:
        return story.control("shop", ControlScope.REQUEST, text_of(asked.name), action, event_id=event_id)
    return story.control("", ControlScope.SENDER, asked.terms.sender, action)


def hold(story: Story, asked: Asked, word: Logged, *, held: bool) -> None:
    """Deliver says that it is bound by a word, in one shard."""
    story.say(asked, SHARD, held=(Held(asked.name, held, word.offset),))


def controlled(story: Story) -> None:
    """An offer is paused with one message in the air and one withheld, resumed, paused by an operator, and cancelled."""
    asked = offer(story, "controlled")
    rest = range(2, len(asked.people[SHARD]))
    story.decide(asked, SHARD, {0: State.SENDING})
    story.decide(asked, SHARD, {1: State.SENDING})
    paused = say(story, asked, PAUSE, "pause-1")
    story.now += _BOUND_MS // 2
    story.hand(asked, SHARD, [0])
    story.answer(asked, SHARD, [0])
    story.answer(asked, SHARD, [1], {1: State.WAITING})
    hold(story, asked, paused, held=True)
    story.now += 2 * _BOUND_MS
    resumed = say(story, asked, RESUME, "resume-1")
    hold(story, asked, resumed, held=False)
    story.decide(asked, SHARD, {1: State.SENDING}, attempt=2)
    story.hand(asked, SHARD, [1], attempt=2)
    story.answer(asked, SHARD, [1])
    hold(story, asked, say(story, asked, PAUSE), held=True)
    story.now += 2 * _BOUND_MS
    cancelled = say(story, asked, CANCEL, "cancel-1")
    hold(story, asked, cancelled, held=False)
    story.decide(asked, SHARD, dict.fromkeys(rest, Reason.CANCELLED))
    end(story, asked, Reason.CANCELLED)


@PLANTS.row(Breach.LATE_AFTER_CONTROL)
def a_message_leaves_after_a_pause(story: Story) -> None:
    asked = offer(story, "paused")
    say(story, asked, PAUSE, "pause-2")
    story.now += _BOUND_MS + 1
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.LATE_AFTER_CONTROL)
def a_message_leaves_after_a_cancel_and_a_resume(story: Story) -> None:
    asked = offer(story, "cancelled")
    say(story, asked, CANCEL, "cancel-2")
    say(story, asked, RESUME, "resume-2")
    story.now += _BOUND_MS + 1
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.LATE_AFTER_CONTROL)
def a_message_leaves_after_an_operator_has_stopped_its_sender(story: Story) -> None:
    asked = offer(story, "stopped")
    say(story, asked, PAUSE)
    story.now += _BOUND_MS + 1
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.LATE_AFTER_CONTROL)
def a_message_leaves_after_its_subject_was_cancelled(story: Story) -> None:
    asked = offer(story, "subject")
    story.control("shop", ControlScope.SUBJECT, "sale", CANCEL, event_id="cancel-3")
    story.now += _BOUND_MS + 1
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.SENT_WHILE_HELD)
def a_message_is_decided_while_the_journal_says_held(story: Story) -> None:
    asked = offer(story, "held")
    hold(story, asked, say(story, asked, PAUSE, "pause-3"), held=True)
    story.send(asked, SHARD, [0])


@PLANTS.row(Breach.CANCELLED_BY_NOTHING)
def a_message_is_cancelled_by_nobody(story: Story) -> None:
    story.decide(offer(story, "invented"), SHARD, {0: Reason.CANCELLED})


@PLANTS.row(Breach.CANCELLED_BY_NOTHING)
def a_row_is_withheld_for_a_cancel_of_another(story: Story) -> None:
    asked = offer(story, "own")
    say(story, offer(story, "other"), CANCEL, "cancel-4")
    story.decide(asked, SHARD, {0: State.SENDING})
    story.answer(asked, SHARD, [0], {0: Reason.CANCELLED})


@PLANTS.row(Breach.CANCELLED_BY_NOTHING)
def a_request_is_cancelled_with_an_older_word_about_its_subject(story: Story) -> None:
    story.control("shop", ControlScope.SUBJECT, "sale", CANCEL, event_id="cancel-5")
    story.now += 10
    story.decide(offer(story, "later"), SHARD, {0: Reason.CANCELLED})


@PLANTS.row(Breach.TOLD_OTHERWISE, Breach.NO_VERDICT)
def a_control_event_is_accepted_and_its_word_is_lost(story: Story) -> None:
    say(story, offer(story, "lost"), PAUSE, "pause-4")
    story.logs[topics.CONTROLS].pop()
