"""What `fanfare send`, `publish` and `follow` print of statuses as they come."""

import pytest

from schemas.ids import RequestName
from schemas.request import NOTIFICATION_TYPE
from schemas.status import RecipientStatus, Status
from streams.client import Published
from streams.commands.statuses import Printer, published_text
from streams.runtime.kafka_access import Kafka


def running(at_ms: int, **people: int) -> Status:
    """A status of one request at an instant: each person by id, with the code of the gateway's refusal."""
    told = tuple(RecipientStatus(whom, 0, "failed", at_ms, "unreachable", code) for whom, code in people.items())
    return Status("r", "//shop/crm", "e1", "running", at_ms, at_ms, recipients=told)


def test_what_says_nothing_new_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Another instant is no news, another code is; of a request that was forgotten everything is."""
    printer = Printer("text")
    for status in (running(1, a=0), running(2, a=0), running(3, a=131_026)):
        printer.tell(status, f"+{status.at_ms} s")
    printer.forget("r")
    printer.forget("r")
    printer.tell(running(4, a=131_026), "+4 s")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("running")]
    assert printed == [f"running    +{second} s  e1" for second in (1, 3, 4)]


def test_a_published_event_stands_where_kafka_has_it() -> None:
    """The prefix is a part of the name by which Kafka's own tools find the topic."""
    sent = Published("requests.otp", 3, 7, RequestName(bytes(16)), 1, "//shop/crm", "e1", NOTIFICATION_TYPE)
    assert published_text(sent, "kafka:1").startswith("published  requests.otp[3]@7  e1  request ")
    assert published_text(sent, Kafka(bootstrap="kafka:1", prefix="team-a.")).startswith(
        "published  team-a.requests.otp[3]@7"
    )
