"""Prints what is told of events: what is wrong with one, its place once it is published, each step of what becomes of it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from broker.consequences import consequence_of
from broker.explain.line import reason_of
from schemas.reasons import Fault
from schemas.status import Status
from streams.client import Published, StillOpenError
from streams.client.progress import REFUSED
from streams.client.waiting import wait_for
from streams.commands.terminal import say, show
from streams.runtime import clock
from streams.runtime.kafka_access import Address, kafka_at

ACCEPTED: Final = 0
ACCEPTED_STATE: Final = "accepted"
REFUSED_STATUS: Final = 1
UNANSWERED: Final = 3


class Follower:
    """Prints the statuses of published events until each is finished."""

    def __init__(self, bootstrap: Address, sent: Sequence[Published], *, output: str) -> None:
        self._bootstrap = bootstrap
        self._sent = sent
        self._printer = Printer(output)
        self._begun_ms = clock.monotonic_ms()
        self._refused = False

    async def run(self, wait_s: float | None) -> int:
        """The exit status, once all are finished or ``wait_s`` is over."""
        try:
            await wait_for(self._bootstrap, self._sent, until="closed", timeout_s=wait_s, since=None, told=self._show)
        except StillOpenError as error:
            say(f"fanfare: {error}")
            if any(each.request not in error.newest for each in self._sent):
                return UNANSWERED
        return REFUSED_STATUS if self._refused else ACCEPTED

    def _show(self, status: Status) -> None:
        after_s = (clock.monotonic_ms() - self._begun_ms) / 1000
        self._printer.tell(status, f"+{after_s:.3f} s")
        self._refused |= status.state == REFUSED


class Printer:
    """Prints statuses, but for those that say nothing new: shards report one by one, and most of them add nothing."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._said: dict[str, object] = {}

    def tell(self, status: Status, when: str) -> None:
        """Prints a status, if it is news of its request."""
        people = [(one.state, one.reason, one.code) for one in status.recipients]
        said = (status.state, status.reason, status.counts, people)
        if self._said.get(status.request) != said:
            self._said[status.request] = said
            show(status_row(status), self._output, "\n".join(lines_of(status, when)))

    def forget(self, request: str) -> None:
        """Drops what was said of a request that is at its end."""
        self._said.pop(request, None)


def fault_row(fault: Fault) -> dict[str, str]:
    """Returns what is wrong with an event as JSON."""
    return {"place": fault.place, "reason": fault.reason.word, "detail": fault.detail}


def fault_text(fault: Fault) -> str:
    """Returns the same for a line: the place as a JSON pointer, the reason and its sentence."""
    return f"{fault.place or '/'}  {fault.reason.word}: {fault.detail}"


def published_text(sent: Published, address: Address) -> str:
    """Returns the line about a published event: its place, under Kafka's name for the topic, and the name of its request."""
    return f"published  {kafka_at(address).name(sent.topic)}[{sent.partition}]@{sent.offset}  {sent.id}  request {sent.request}"


def status_row(status: Status) -> dict[str, Any]:
    """Returns a status as a row of JSON, with what to do next if it is a refusal."""
    row = {"kind": "status", **msgspec.to_builtins(status)}
    step = next_step(status.reason)
    return row | {"next_step": step} if step else row


def next_step(reason: str) -> str:
    """Returns what can be done about a reason by its word; empty for none, and for one of another release."""
    known = reason_of(reason)
    return "" if known is None else consequence_of(known).next_step


def lines_of(status: Status, when: str) -> Iterator[str]:
    """Yields the lines of a status: the state, since when, when a list will be through, and for a refusal what to do."""
    counts = ", ".join(f"{count:,} {state}" for state, count in status.counts.items())
    told = counts or status.reason or ("nobody is on the list" if status.state == "closed" else "")
    yield f"{status.state:<10} {when}  {status.id}  {told}".rstrip()
    yield from (f"           {line}".rstrip() for line in _explained(status))
    for person in status.recipients:
        code = f" code {person.code}" if person.code else ""
        yield f"           {person.recipient}  {person.state} {person.reason}{code}".rstrip()


def _explained(status: Status) -> Iterator[str]:
    if status.reason:
        yield status.detail
        if step := next_step(status.reason):
            yield step
    elif status.detail and status.state == ACCEPTED_STATE:
        yield status.detail
