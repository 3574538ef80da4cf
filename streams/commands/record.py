"""`fanfare record TOPIC...`: writes down what businesses publish, one line of JSON an event, for `fanfare replay`."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import typer

from schemas.lanes import listed
from schemas.wire import timestamps
from streams.commands.console import BootstrapOption, configured, run, since_ms
from streams.commands.terminal import application, refuse, say
from streams.dev.recordings.files import LANES, STANDARD, Writer
from streams.dev.recordings.pseudonyms import Pseudonyms
from streams.dev.recordings.recorder import Recorder
from streams.registry.read import read_registry
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.signals import until_signalled

_PROGRESS_S: Final = 2.0
_LANE_WORDS: Final = {lane.word: topic for topic, lane in LANES.items()}


class _Span(NamedTuple):
    since_ms: int
    """Where to begin, milliseconds since the epoch."""
    seconds: float | None


class _Writing(NamedTuple):
    out: str
    seed: int | None
    """Of the pseudonyms; None for the numbers as they are."""


app = application()


@app.command()
def main(
    *,
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC", help=f"{listed(LANES)}; or just the lanes."),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="FILE", help="A new file; .zst at its end compresses. - is standard output."
        ),
    ] = STANDARD,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin there, not now: 2026-11-22T06:40:00Z, or 30m ago (s, m, h, d)."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", help="End after so long; 0: with what is there already. Otherwise on Ctrl-C."),
    ] = None,
    pseudonymise: Annotated[
        bool, typer.Option("--pseudonymise", help="Invented numbers of the same country in place of people's.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Decides the invented numbers. Who knows it can tell whose they are; random if not given.",
        ),
    ] = None,
    bootstrap: BootstrapOption = None,
) -> None:
    """Record the events that businesses publish.

    One line of JSON an event: topic, partition, at_ms (Kafka's time), key, headers (the content type), value. What is no event
    with a source and an id is left out and counted; so are Fanfare's own heartbeats, and in the otp lane what plan would refuse
    by its form, because a code may stand anywhere in it.

    One-time codes are never written, neither sealed nor in clear: an empty seal stands in their place, and `fanfare replay` seals
    invented ones. --pseudonymise replaces every number in E.164, wherever it stands; other texts (names in parameters,
    ids, labels) stay as they are. Without it there are people in the file: only you may read it.

    Exit status: 0, also after Ctrl-C, which writes what was read before it ends.
    """
    try:
        chosen = [_topic(each) for each in dict.fromkeys(topics)]
        begin_ms = clock.now_ms() if since is None else _instant(since)
    except ValueError as error:
        refuse("record", str(error))
    span, writing = (
        _Span(begin_ms, seconds),
        _Writing(out, (secrets.randbits(128) if seed is None else seed) if pseudonymise else None),
    )
    run("record", _record(configured("record", bootstrap).kafka, chosen, span, writing))


async def _record(bootstrap: Address, topics: Sequence[str], span: _Span, writing: _Writing) -> None:
    registry = await read_registry(bootstrap)
    with Writer(writing.out) as writer:
        recorder = Recorder(writer, registry, None if writing.seed is None else Pseudonyms(writing.seed))
        if span.seconds == 0:
            work = recorder.history(bootstrap, topics, since_ms=span.since_ms)
        else:
            say(f"recording {', '.join(topics)} from {timestamps.text_of(span.since_ms)} on; Ctrl-C ends it")
            work = recorder.live(bootstrap, topics, since_ms=span.since_ms, seconds=span.seconds)
        telling = asyncio.create_task(_tell_progress(recorder))
        try:
            await until_signalled(work)
        finally:
            telling.cancel()
            recorder.drain()
    say(f"{_progress(recorder)}; {writing.out if writing.out != STANDARD else 'standard output'} is complete")


async def _tell_progress(recorder: Recorder) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        say(_progress(recorder))


def _progress(recorder: Recorder) -> str:
    left_out = f", {recorder.left_out:,} records left out" if recorder.left_out else ""
    return f"{recorder.written:,} events recorded{left_out}"


def _topic(word: str) -> str:
    topic = _LANE_WORDS.get(word, word)
    if topic not in LANES:
        raise ValueError(f"{word!r} is no topic that businesses publish to; there are: {', '.join(LANES)}")
    return topic


def _instant(text: str) -> int:
    try:
        return since_ms(text, clock.now_ms())
    except ValueError as error:
        raise ValueError(f"--since: {error}, or like 30m") from error
