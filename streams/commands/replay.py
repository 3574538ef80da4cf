"""`fanfare replay FILE`: publishes a recording as events of now, at a chosen pace, and measures Kafka's acknowledgements."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from schemas.lanes import Lane
from streams.client import Client, Event, SealingError, SealKey
from streams.client.sealing import seal_key_of
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import INTERRUPTED, OutputOption, application, refuse, say
from streams.dev.recordings.files import Entry, read_entries
from streams.dev.recordings.playback import Clock, Replay, Result, json_of, sentence_of
from streams.dev.recordings.preparation import Wanted, chosen, spaced, steady, wanted_of
from streams.registry.read import read_registry
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.signals import stop_on_interrupt

_PROGRESS_S: Final = 2.0
_SENTENCES: Final = 3
_FAILED: Final = 1

app = application()


@app.command()
def main(
    *,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `fanfare record` wrote; - is standard input.", show_default=False),
    ],
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="So many times faster than it was recorded; 1 if no --rate."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="N events a second instead, whatever their spacing was."),
    ] = None,
    loop: Annotated[int, typer.Option(min=1, metavar="N", help="Replay it N times, each as new requests.")] = 1,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only this lane, type or template. One key twice: either; two keys: both.",
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Mark notifications as tests (data.test): they reach registered test numbers only."
        ),
    ] = False,
    hlog: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the latencies as an HDR histogram log, too.", show_default=False),
    ] = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Publish a recording again, as requests of now.

    Each source gets a run id at its end (//business/system/RUN), so nothing is a duplicate of what was recorded; ids stay, and
    what was repeated is repeated. Times move to when an event is due. The subject of a fact (data.version) gets the run
    id as well, so that neither makes old news of the other. One-time codes are invented and sealed to the newest registered key.

    Opt-ins and opt-outs are real ones: replay against a development deployment, or leave them out with
    --filter type=fanfare.notification.v1.

    The loop is open: what is due does not wait for Kafka, and latency runs from when an event was due to its acknowledgement.
    The file is held in memory. Ctrl-C lets out nothing more, waits for what is in flight, and prints the figures.

    Exit status: 0 all acknowledged, 1 some not, 130 after Ctrl-C.
    """
    try:
        wanted = wanted_of(filters or ())
    except ValueError as error:
        refuse("replay", str(error))
    if speed is not None and rate is not None:
        refuse("replay", "--speed and --rate exclude each other")
    how = _How(_Pace(speed or 1.0, rate, loop), test, hlog)
    result = run("replay", _replay(file, wanted, how, configured("replay", bootstrap).kafka))
    if output == "text":
        print(sentence_of(result))
    print(json_of(result), flush=True)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(_FAILED if result.errors else 0)


class _Pace(NamedTuple):
    speed: float
    rate: float | None
    loops: int

    def schedule(self, entries: Sequence[Entry]) -> Iterator[tuple[int, int, int]]:
        """When each entry of each loop is due."""
        if self.rate is not None:
            return steady(len(entries), rate=self.rate, loops=self.loops)
        return spaced([entry.at_ms for entry in entries], speed=self.speed, loops=self.loops)


class _How(NamedTuple):
    pace: _Pace
    test: bool
    hlog: Path | None


async def _replay(file: str, wanted: Wanted, how: _How, address: Address) -> Result:
    # Each partition's records ascend in time already, so a stable sort keeps their order.
    entries = sorted((entry for entry in read_entries(file) if chosen(entry, wanted)), key=lambda entry: entry.at_ms)
    total = len(entries) * how.pace.loops
    async with Client(address, seal_key=await _seal_key(address)) as client:

        async def enqueue(lane: Lane, event: Event, codes: Mapping[str, str]) -> Awaitable[object]:
            return await client.enqueue(lane, event, codes=codes)

        began_ms = clock.now_ms()
        name = f"{began_ms:x}"
        say(f"{total:,} events, run {name}")
        replay = Replay(enqueue, Clock(clock.now_ms, clock.monotonic_ms), name=name, test=how.test)
        telling = asyncio.create_task(_tell_progress(replay, total))
        stop_on_interrupt(replay.stop)
        try:
            result = await replay.run(entries, how.pace.schedule(entries))
        finally:
            telling.cancel()
        for sentence, count in replay.errors.most_common(_SENTENCES):
            say(f"{count:,} times: {sentence}")
        if how.hlog is not None:
            replay.latencies.write(how.hlog, began_ms=began_ms, ended_ms=clock.now_ms())
        return result


async def _seal_key(bootstrap: Address) -> SealKey | None:
    """The registered key, read before the begin: looked up for the first code, it would make all that is due then late."""
    try:
        return seal_key_of(await read_registry(bootstrap))
    except SealingError:
        return None


async def _tell_progress(replay: Replay, total: int) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        say(
            f"{replay.sent:,} of {total:,} sent, {replay.acknowledged:,} acknowledged, {replay.behind_ms} ms behind, "
            f"{replay.errors.total():,} errors"
        )
