"""What `fanfare send`, `publish` and `follow` print of statuses as they come."""

import pytest

from schemas.status import RecipientStatus, Status
from streams.commands.statuses import Printer


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
