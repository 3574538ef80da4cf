"""Who says STOP twice is told once, whatever is repeated, and told again where there is something new to tell."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.confirmation import Confirmation, Confirmed, Lifted
from broker.webhook.keywords import Vocabulary
from broker.webhook.sort import sort
from schemas.facts import Scope
from schemas.gateway_api import Reply, Reports, ref_of
from schemas.ids import text_of
from schemas.lanes import DAY_MS, Lane
from tests.support.shard_bench import name

SECRET = b"r" * 32
PLACES = {
    "an offer": ref_of(SECRET, Lane.CAMPAIGN, 3, name(7), "offers"),
    "a flight": ref_of(SECRET, Lane.UPDATE, 3, name(8), "flight"),
    "a person": ref_of(SECRET, Lane.UPDATE, 3, name(9), ""),
    "nothing": "",
}
MINUTE_MS = 60_000


class Webhook:
    """What the webhook asks for of one person's replies, a batch each."""

    def __init__(self) -> None:
        self.confirmed = Confirmed()
        self.asked: list[str] = []

    def hears(self, body: str, at_ms: int, *, after: str = "nothing", reply: str = "") -> None:
        """Takes one reply to what ``after`` names."""
        address = base64.b64encode(b"sealed").decode()
        said = Reply(
            reply or f"in-{at_ms}",
            "shop",
            "shop/main",
            text_of(name(1)),
            "text",
            body,
            at_ms,
            PLACES[after],
            4,
            address,
        )
        done = sort(Reports("b", (), (said,)), received_ms=at_ms, ref_secret=SECRET, shards=8, vocabulary=Vocabulary())
        self.asked += [each.reply for each in self.confirmed.news(done.confirmations, done.lifted)]


STORIES = {
    "STOP twice": (["STOP@an offer", "STOP@nothing"], [0]),
    "STOP in two languages": (["STOP@an offer", "STOPP@an offer", "ALTO@nothing"], [0]),
    "STOP in answer to the confirmation": (["STOP@an offer", "STOP@a person"], [0]),
    "STOP of another list": (["STOP@an offer", "STOP@a flight", "STOP@an offer"], [0, 1]),
    "STOP, then STOP ALL": (["STOP@an offer", "STOP ALL@nothing", "STOP ALL@nothing"], [0, 1]),
    "STOP ALL, then STOP": (["STOP ALL@an offer", "STOP@a flight"], [0]),
    "START in between": (["STOP@an offer", "START@nothing", "STOP@an offer"], [0, 2]),
    "small talk in between": (["STOP@an offer", "thanks@nothing", "STOP@nothing"], [0]),
}


@pytest.mark.parametrize(("words", "confirmed"), STORIES.values(), ids=STORIES.keys())
def test_a_stop_is_confirmed_where_it_says_something_new(words: list[str], confirmed: list[int]) -> None:
    """Each story with the places of the words that are confirmed."""
    webhook = Webhook()
    for at, word in enumerate(words):
        body, _, after = word.partition("@")
        webhook.hears(body, at * MINUTE_MS, after=after)
    assert webhook.asked == [f"in-{at * MINUTE_MS}" for at in confirmed]


def test_a_day_later_a_stop_is_confirmed_anew() -> None:
    """Nobody remembers a text of the day before."""
    webhook = Webhook()
    for at_ms in (0, DAY_MS - 1, DAY_MS, DAY_MS + 1):
        webhook.hears("STOP", at_ms)
    assert webhook.asked == ["in-0", f"in-{DAY_MS}"]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12))
def test_repeated_batches_ask_for_the_first_reply_again_and_for_no_other(replies: list[str]) -> None:
    """A batch whose request may not have reached Kafka is asked for again under its name, which plan accepts once."""
    webhook = Webhook()
    for at, reply in enumerate(replies):
        webhook.hears("STOP", at, reply=reply)
    assert webhook.asked == [reply for reply in replies if reply == replies[0]]


@given(st.permutations([("STOP", 1), ("START", 2), ("STOP", 3)]))
def test_one_batch_is_judged_in_the_order_of_what_was_said(words: list[tuple[str, int]]) -> None:
    """Within a batch the times of the replies decide, not their places."""
    person = Confirmation("shop", "shop/main", "", Scope.MARKETING, 0, b"sealed", "en", name(1))
    stops = [msgspec.structs.replace(person, reply=str(at), at_ms=at) for word, at in words if word == "STOP"]
    lifted = [Lifted("shop", name(1), at) for word, at in words if word == "START"]
    assert [each.reply for each in Confirmed().news(stops, lifted)] == ["1", "3"]


def test_of_more_people_than_are_kept_the_silent_ones_are_forgotten() -> None:
    """The memory is bounded: a person who was forgotten is told once more."""
    confirmed = Confirmed(kept=2)
    stop = Confirmation("shop", "shop/main", "", Scope.MARKETING, 0, b"sealed", "en")
    stops = [msgspec.structs.replace(stop, reply=f"{who}", recipient=name(int(who))) for who in "123"]
    assert [each.reply for each in confirmed.news(stops, ())] == ["1", "2", "3"]
    again = [msgspec.structs.replace(each, reply=f"again {each.reply}", at_ms=5) for each in reversed(stops)]
    assert [each.reply for each in confirmed.news(again, ())] == ["again 1"]
