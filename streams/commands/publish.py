"""`fanfare publish`: one event, or a file of them, to its lane; then what becomes of it, until it is finished."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from broker.consequences import consequence_of
from schemas.names import Lane, business_of, text_of
from schemas.reasons import Reason
from schemas.request import OPTIN_TYPE
from schemas.status import Status
from streams import clock
from streams.client import Client, Event, Published
from streams.commands.console import BootstrapOption, refuse, run, say
from streams.commands.event_file import freshened, read_events
from streams.settings import load

_EARLIER_MS: Final = 5_000
"""Statuses are looked for from so long before the publish on: brokers' clocks differ."""
_REFUSED: Final = 1
_UNANSWERED: Final = 3

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="JSON event, or one a line; - is stdin.")],
    lane: Annotated[str, typer.Option(metavar="LANE", help="otp, update or campaign.")],
    seal: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=CODE", help="Seal a one-time code into parameter NAME of each recipient."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Give it a new id, and move its times to now.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only look at its form and publish nothing.")] = False,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to follow the status; 0: not.")] = 15,
    bootstrap: BootstrapOption = None,
) -> None:
    """Publish events and print what becomes of them.

    Exit status: 0 accepted, 1 refused, 3 no answer in time. A code given with --seal stands in this machine's process
    list for a moment; programs seal with streams.client instead.
    """
    try:
        chosen, codes = Lane.of(lane), dict(_pair(each) for each in seal or ())
        events = [freshened(event) if fresh else event for event in read_events(file)]
    except KeyError:
        refuse("publish", f"there is no lane {lane!r}; there are: {', '.join(each.word for each in Lane)}")
    except ValueError as error:
        refuse("publish", str(error))
    raise typer.Exit(run("publish", _publish(chosen, events, codes, check=check, wait_s=wait, bootstrap=bootstrap)))


async def _publish(
    lane: Lane, events: Sequence[Event], codes: dict[str, str], *, check: bool, wait_s: float, bootstrap: str | None
) -> int:
    async with Client(load(bootstrap=bootstrap).bootstrap) as client:
        waiting: dict[str, Event] = {}
        first_ms = 0
        for event in events:
            sealed = await client.seal(lane, event, codes) if codes else event
            if check:
                client.validate(lane, sealed)
                print(f"sound      {event['id']}")
                continue
            sent = await client.publish(lane, sealed)
            first_ms = first_ms or sent.at_ms
            waiting[text_of(sent.name)] = event
            print(_place(event, sent))
        if check or not wait_s:
            return 0
        return await _Waiting(client, waiting, first_ms - _EARLIER_MS).run(wait_s)


class _Waiting:
    """Follows the statuses of published events until each is finished."""

    def __init__(self, client: Client, events: dict[str, Event], since_ms: int) -> None:
        self._client = client
        self._events = events
        self._since_ms = since_ms
        self._begun_ms = clock.monotonic_ms()
        self._unanswered = set(events)
        self._unfinished = set(events)
        self._refused = False
        self._said: dict[str, object] = {}
        self._finished = asyncio.Event()

    async def run(self, wait_s: float) -> int:
        """The exit status, once all are finished or ``wait_s`` is over."""
        businesses = {business_of(event["source"]) for event in self._events.values()}
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._follow(business)) for business in businesses]
        tasks.append(asyncio.ensure_future(self._finished.wait()))
        done, _ = await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        self._say_what_is_open(wait_s)
        return _UNANSWERED if self._unanswered else _REFUSED if self._refused else 0

    async def _follow(self, business: str) -> None:
        async for status in self._client.follow(business, since=self._since_ms):
            if status.request in self._unfinished:
                self._hear(status)

    def _hear(self, status: Status) -> None:
        self._unanswered.discard(status.request)
        said = (status.state, status.reason, status.counts, [(one.state, one.reason) for one in status.recipients])
        if self._said.get(status.request) != said:
            self._said[status.request] = said
            print("\n".join(_lines(status, (clock.monotonic_ms() - self._begun_ms) / 1000)), flush=True)
        joins = self._events[status.request].get("type") == OPTIN_TYPE
        self._refused |= status.state == "refused"
        if status.state in ("refused", "closed") or (joins and status.state == "accepted"):
            self._unfinished.discard(status.request)
        if not self._unfinished:
            self._finished.set()

    def _say_what_is_open(self, wait_s: float) -> None:
        if self._unanswered:
            say(
                f"fanfare publish: no answer to {len(self._unanswered)} after {wait_s:g} s; is that lane's worker running?"
            )
        elif self._unfinished:
            event = self._events[min(self._unfinished)]
            say(
                f"{len(self._unfinished)} not finished after {wait_s:g} s; "
                f"`fanfare explain {event['source']} {event['id']}` says what happened so far"
            )


def _lines(status: Status, after_s: float) -> Iterator[str]:
    counts = ", ".join(f"{count:,} {state}" for state, count in status.counts.items())
    told = counts or status.reason or ("nobody is on the list" if status.state == "closed" else "")
    yield f"{status.state:<10} +{after_s:.3f} s  {status.id}  {told}".rstrip()
    if status.reason:
        yield f"           {status.detail}".rstrip()
        yield f"           {consequence_of(Reason[status.reason.upper()]).next_step}"
    for person in status.recipients:
        code = f" code {person.code}" if person.code else ""
        yield f"           {person.recipient}  {person.state} {person.reason}{code}".rstrip()


def _place(event: Event, sent: Published) -> str:
    return f"published  {sent.topic}[{sent.partition}]@{sent.offset}  {event['id']}  request {text_of(sent.name)}"


def _pair(text: str) -> tuple[str, str]:
    name, equals, code = text.partition("=")
    if not name or not equals or not code:
        raise ValueError("--seal wants NAME=CODE")
    return name, code
