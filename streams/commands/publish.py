"""`fanfare publish`: one event, or a file of them, to its lane; then what becomes of it, until it is finished."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Final, NamedTuple

import typer

from broker.registry.fold import Registry
from broker.validation.dry_run import pace_of
from schemas.lanes import Lane
from schemas.reasons import Reason
from streams.client import Client, ClientError, Event, Failed, Outcome, Publication, Published
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.event_file import SealOption, codes_of, drawn_apart, freshened, read_events
from streams.commands.lanes import LaneOption, lane_named, lane_of_event
from streams.commands.statuses import ACCEPTED, REFUSED_STATUS, Follower, fault_row, fault_text, published_text
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.runtime import clock
from streams.runtime.kafka_access import Address

_FEW: Final = 20
"""So many events are followed without being asked to."""
_WAIT_S: Final = 15.0
_PATIENCE_S: Final = 30.0
"""Seconds that Kafka may be away in the middle."""
_PROGRESS_MS: Final = 2_000

app = application()


class Choice(NamedTuple):
    """Holds the options of the command. ``lane`` and ``wait_s``: None if not given."""

    lane: Lane | None
    codes: Mapping[str, str]
    fresh: bool
    follow: bool
    wait_s: float | None
    """Seconds to print statuses for."""
    piped: bool
    output: str


@app.command()
def main(
    *,
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="One JSON event, an array of them, or one a line (any number); - is stdin.",
        ),
    ],
    lane: LaneOption = None,
    seal: SealOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Give each a new id, and move its times to now.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say all that is wrong with each, as the registry stands, and publish nothing."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print statuses until every event is at its end, however long it takes.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to print statuses; 0: not.",
            show_default=f"{_WAIT_S:g} for up to {_FEW} events, 0 for more",
        ),
    ] = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Publish events, print the name of each, and what becomes of them.

    Events of one business stand in Kafka in the order of the file. What may not have arrived is sent again under its name, so it
    counts once. Refused events are answered on the business's status topic, as they are here.

    Exit status: 0 accepted, 1 refused or not published, 3 no answer in time.
    """
    try:
        codes = codes_of(seal, stdin_taken=file == "-")
        events = _Events(file, Choice(lane_named(lane), codes, fresh, follow, wait, file == "-", output))
    except ValueError as error:
        refuse("publish", str(error))
    raise typer.Exit(run("publish", (_check if dry_run else _publish)(configured("publish", bootstrap).kafka, events)))


class _Events:
    """The events of the file, as far as it can be read; ``ValueError`` if not even the first can."""

    def __init__(self, file: str, choice: Choice) -> None:
        self.choice = choice
        self.drawn = 0
        self.fault = ""
        """Sentence about the fault that ended the reading; empty if none did."""
        self.registry = Registry()
        """Tells the lane of what names none; filled in before events are drawn."""
        self._rest = (freshened(event) if choice.fresh else event for event in read_events(file))
        self._first = next(self._rest, None)

    def __iter__(self) -> Iterator[Publication]:
        try:
            for each in chain([] if self._first is None else [self._first], self._rest):
                self.drawn += 1
                yield self._publication(each)
        except ValueError as error:
            self.fault = str(error)

    def _publication(self, event: Event) -> Publication:
        lane = self.choice.lane
        return Publication(lane_of_event(event, self.registry) if lane is None else lane, event, self.choice.codes)


async def _check(address: Address, events: _Events) -> int:
    """Say what plan would refuse; nothing is sent."""
    faulty = 0
    async with Client(address) as client:
        events.registry = registry = await client.registry()
        sizes = await client.sizes()
        for lane, event, codes in ((each.lane, each.event, each.codes) for each in events):
            try:
                sealed = await client.seal(lane, event, codes) if codes else event
                found = [
                    (fault_row(fault), fault_text(fault)) for fault in client.check(lane, sealed, registry=registry)
                ]
            except ClientError as error:
                found = [({"detail": str(error)}, str(error))]
            faulty += bool(found)
            pace = "" if found else pace_of(lane, event, registry=registry, now_ms=clock.now_ms(), sizes=sizes)
            _show_checked(event, found, pace, events.choice.output)
    say(f"{events.drawn:,} events looked at, {faulty:,} of them faulty; nothing was published")
    return _faulted(events) or (REFUSED_STATUS if faulty else ACCEPTED)


def _show_checked(event: Event, found: Sequence[tuple[dict[str, str], str]], pace: str, output: str) -> None:
    """Prints the line about a sound event (of a list, also when it would be through), or all that is wrong with one."""
    kind = "faulty" if found else "sound"
    lines = [f"{kind:<10} {event.get('id')}  {pace}".rstrip(), *(f"           {text}" for _, text in found)]
    faults = [row for row, _ in found]
    show({"kind": kind, "id": event.get("id"), "faults": faults, "pace": pace}, output, "\n".join(lines))


async def _publish(address: Address, events: _Events) -> int:
    counted, kept = _Count(), _Kept(events.choice)
    async with Client(address, patience_s=_PATIENCE_S) as client:
        events.registry = registry = await client.registry()
        output = events.choice.output
        told = _telling_faults(events, client, registry)
        async for outcome in client.publish_many(drawn_apart(told) if events.choice.piped else told):
            show(_row(outcome), output, _line(outcome, address))
            counted.take(outcome)
            kept.take(outcome)
        counted.say_end()
        nobodys = [sent for sent in kept.sent if sent.business not in registry.businesses]
        for sent in nobodys:
            why = f"{sent.business} is not registered, and has no topic for an answer"
            row = {"kind": "refused", "id": sent.id, "reason": Reason.UNKNOWN_BUSINESS.word, "detail": why}
            show(row, output, f"refused    {sent.id}  {Reason.UNKNOWN_BUSINESS.word}: {why}")
        followed = [sent for sent in kept.sent if sent.business in registry.businesses]
        status = await Follower(address, followed, output=output).run(kept.wait_s) if followed else ACCEPTED
    return _faulted(events) or (REFUSED_STATUS if counted.failed or nobodys else status)


def _telling_faults(events: _Events, client: Client, registry: Registry) -> Iterator[Publication]:
    """Say of the first events what plan will refuse, before they are on their way; they are published all the same."""
    for place, each in enumerate(events):
        found = client.check(each.lane, each.event, registry=registry) if place < _FEW and not each.codes else ()
        for fault in found:
            say(f"faulty     {each.event.get('id')}  {fault_text(fault)}")
        yield each


class _Kept:
    """Keeps the events to be followed: all that were published if that was asked for, or if nothing was said and they are few."""

    def __init__(self, choice: Choice) -> None:
        self._asked = choice.follow or choice.wait_s is not None
        self.wait_s = _WAIT_S if not self._asked else choice.wait_s
        self._wanted = choice.follow or choice.wait_s != 0
        self.sent: list[Published] = []

    def take(self, outcome: Outcome) -> None:
        """Takes the outcome of one more event."""
        if self._wanted and isinstance(outcome, Published):
            self.sent.append(outcome)
        if len(self.sent) > _FEW and not self._asked:
            self._wanted = False
            self.sent.clear()


class _Count:
    """Counts events, and says so now and then where there are many."""

    def __init__(self) -> None:
        self.published = 0
        self.failed = 0
        self._begun_ms = clock.monotonic_ms()
        self._said_ms = self._begun_ms

    @property
    def all(self) -> int:
        """Published or not."""
        return self.published + self.failed

    def take(self, outcome: Outcome) -> None:
        """Takes the outcome of one more event."""
        if isinstance(outcome, Failed):
            self.failed += 1
        else:
            self.published += 1
        now_ms = clock.monotonic_ms()
        if self.all > _FEW and now_ms - self._said_ms >= _PROGRESS_MS:
            self._said_ms = now_ms
            say(self._sentence(now_ms))

    def say_end(self) -> None:
        """The sum, where there are many or where something failed."""
        if self.all > _FEW or self.failed:
            say(self._sentence(clock.monotonic_ms()))

    def _sentence(self, now_ms: int) -> str:
        seconds = max(now_ms - self._begun_ms, 1) / 1000
        failed = f", {self.failed:,} not published" if self.failed else ""
        return f"{self.published:,} published in {seconds:.1f} s ({self.published / seconds:,.0f}/s){failed}"


def _faulted(events: _Events) -> int:
    """The status of a file that could not be read to its end, once that is said."""
    if not events.fault:
        return ACCEPTED
    say(f"fanfare publish: {events.fault}")
    return REFUSED_STATUS


def _line(outcome: Outcome, address: Address) -> str:
    if isinstance(outcome, Failed):
        return f"failed     {outcome.event.get('id')}  {outcome.error}"
    return published_text(outcome, address)


def _row(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"kind": "failed", "id": outcome.event.get("id"), "detail": str(outcome.error)}
    place = {"topic": outcome.topic, "partition": outcome.partition, "offset": outcome.offset}
    return {"kind": "published", "id": outcome.id, "source": outcome.source, "request": outcome.request, **place}
