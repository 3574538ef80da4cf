"""What the simulated gateway approves, as records of the `registry` topic arrive."""

from typing import Final

import msgspec
import pytest

from broker.registry.fold import Registry
from schemas.registry import Business, Deployment, Entry, Sender, Template, key_of
from streams.kafka.reader import LogRecord
from streams.simulator.registry import Registered
from tests.support.simulated import ENTRIES

BAKERY: Final = Business("bakery", "The Bakery")
SENDER: Final = Sender("bakery/main", "bakery", "+15550100", rate_per_s=5, shares={"update": 100})
READY: Final = Template("ready", "utility", (), {"en": "Ready."}, business="bakery")


def record(entry: Entry, *, key: str | None = None, offset: int = 0) -> LogRecord:
    """A record of the topic; under the entry's own key unless told otherwise."""
    return LogRecord(offset, 0, (key or key_of(entry)).encode(), msgspec.json.encode(entry))


def told(*entries: Entry) -> Registered:
    """A gateway that has read these entries from the topic."""
    registered = Registered()
    registered.apply(0, [record(entry) for entry in entries])
    return registered


def test_the_topic_says_the_same_as_files() -> None:
    """Entry for entry, a gateway that reads the topic approves what one that reads files does."""
    by_topic, by_files = told(*ENTRIES), Registered(ENTRIES)
    assert by_topic.businesses == by_files.businesses
    assert by_topic.senders == by_files.senders
    for entry in ENTRIES:
        if isinstance(entry, Template):
            asked = (entry.business, entry.id, entry.version)
            assert by_topic.template(*asked) == by_files.template(*asked) == entry


def test_an_entry_holds_from_its_record_on() -> None:
    """A business, its sender and its template are unknown before their records and known after them."""
    registered = told(*ENTRIES)
    assert not registered.may_send("bakery", "bakery/main", "update")
    assert registered.template("bakery", "ready", 1) is None
    registered.apply(0, [record(BAKERY), record(SENDER), record(READY)])
    assert registered.may_send("bakery", "bakery/main", "update")
    assert registered.throughput("bakery/main", "update") == 5
    assert registered.template("bakery", "ready", 1) == READY


def test_a_new_version_leaves_the_old_one_approved() -> None:
    """Requests that were accepted under version 1 go out although version 2 was registered since."""
    second = msgspec.structs.replace(READY, version=2, texts={"en": "Come and get it."})
    registered = told(BAKERY, SENDER, READY, second)
    assert registered.template("bakery", "ready", 1) == READY
    assert registered.template("bakery", "ready", 2) == second


@pytest.mark.parametrize("removed", [BAKERY, SENDER])
def test_a_removed_account_may_not_send(removed: Business | Sender) -> None:
    """Without the business or its number nothing is taken any more."""
    registered = told(BAKERY, SENDER, READY)
    registered.apply_one(key_of(removed), None)
    assert not registered.may_send("bakery", "bakery/main", "update")


def test_a_removed_template_is_unknown_in_every_version() -> None:
    """A removal names the template, so none of its versions is left; others are."""
    registered = told(*ENTRIES, READY, msgspec.structs.replace(READY, version=2))
    registered.apply_one(key_of(READY), None)
    assert [registered.template("bakery", "ready", version) for version in (1, 2)] == [None, None]
    assert registered.template("acme", "gate", 1) is not None


@pytest.mark.parametrize(
    "strange",
    [
        LogRecord(3, 0, b"business/bakery", b"no JSON"),
        LogRecord(3, 0, b"business/bakery", b'{"kind":"oven","id":"bakery"}'),
        LogRecord(3, 0, b"business/bakery", b"\xff"),
        record(Business("bakery", "Another"), key="business/other"),
        record(Deployment("main", 8)),
    ],
)
def test_what_is_no_entry_of_ours_changes_nothing(strange: LogRecord) -> None:
    """A record that cannot be read, or stands under another key, is passed over; the next one is applied."""
    registered = told(BAKERY)
    registered.apply(0, [strange, record(SENDER)])
    assert registered.businesses == {"bakery": BAKERY}
    assert registered.senders == {"bakery/main": SENDER}


def test_gateway_and_broker_read_the_topic_alike() -> None:
    """Two readers that share no code hold the same accounts after the same records."""
    records = [record(entry) for entry in (*ENTRIES, BAKERY, SENDER, msgspec.structs.replace(BAKERY, active=False))]
    registry, registered = Registry(), Registered()
    registered.apply(0, records)
    for each in records:
        registry.apply((each.key or b"").decode(), each.value)
    assert (registered.businesses, registered.senders) == (registry.businesses, registry.senders)
