"""What each wrong input gets, into Kafka and over HTTP, on a real Kafka with every process.

``python -m tests.acceptance.bad_inputs`` prints it.

The test of the same name demands it row by row. After all of them a sound event must reach its phone: that neighbours are
unharmed is part of the answer.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import aiokafka
import aiokafka.errors
import msgspec

from broker.audit.report import Audit
from schemas import topics
from schemas.ids import request_name, text_of
from schemas.lanes import Lane
from schemas.status import DeadLetter
from schemas.wire.cloudevents import decode_status
from streams.client import Client, InvalidEventError
from streams.client.progress import PLAN
from streams.commands.terminal import columns
from streams.dev.stack.stack import Stack, StackPlan
from streams.kafka import clients
from streams.kafka.scan import scan
from streams.operate.audit import audit_system
from streams.runtime import clock
from streams.runtime.kafka_access import Kafka
from tests.acceptance.http_inputs import HTTP_ROWS, Answer, call_of, send
from tests.acceptance.inputs import BROKER, CLIENT, DEAD_LETTER, ROWS, STATUS, Draft, Row, draft_of, sound
from tests.support.secured import running

_PATIENCE_S: Final = 30
_ASK_EVERY_S: Final = 0.3
_NO_LIMIT: Final = 8 * 1024 * 1024
_letters: Final = msgspec.json.Decoder(DeadLetter)


class Heard(NamedTuple):
    """An answer: who gave it, the state of the request if it has one, the reason, the sentence."""

    where: str
    state: str
    reason: str
    sentence: str


NOTHING: Final = Heard("nobody", "", "", "")


@dataclass(frozen=True)
class Outcome:
    """What became of all rows."""

    heard: dict[str, Heard]
    """Row to answer."""
    http: dict[str, Answer]
    """The same for requests to HTTP intake."""
    delivered: str
    """The state of the sound event that was published last."""
    restarts: int
    """Processes that ended meanwhile."""
    audit: Audit
    """The auditor's verdict on all of it."""


class _Sent(NamedTuple):
    """Where a row's record stands, and the name of its request if it has one."""

    topic: str
    partition: int
    offset: int
    name: str
    anywhere: bool
    """Whether plan moves it, so that its answer speaks of another offset."""


async def outcome_of(stack: Stack) -> Outcome:
    """Publish every row, collect the answers, and see a sound event through."""
    heard: dict[str, Heard] = {}
    sent: dict[str, _Sent] = {}
    async with Client(stack.kafka) as client, _producer(stack.kafka) as producer:
        for number, row in enumerate(ROWS):
            place = await _publish(row, number, client=client, append=partial(_append, stack.kafka, producer))
            if isinstance(place, Heard):
                heard[row.name] = place
            else:
                sent[row.name] = place
        heard |= await _answers(stack, sent)
        http = await _by_http(stack)
        delivered = await _delivered(client)
    restarts = sum(process.starts - 1 for process in stack.processes.values())
    return Outcome(heard, http, delivered, restarts, await audit_system(stack.settings))


def table(outcome: Outcome) -> Iterator[str]:
    """The rows, aligned: input, where it was answered, reason, sentence."""
    cells = [("input", "answered by", "reason", "sentence")]
    for row in ROWS:
        heard = outcome.heard.get(row.name, NOTHING)
        where = f"{heard.where}: {heard.state}" if heard.state else heard.where
        cells.append((row.name, where, heard.reason or "-", heard.sentence or "-"))
    for name, answer in outcome.http.items():
        told = [(error["reason"], error["detail"]) for error in answer.errors] or [("-", "-")]
        cells += [(name, f"HTTP {answer.status}", *each) for each in told]
    yield from columns(cells)
    asked = f"{len(ROWS)} inputs and {len(HTTP_ROWS)} requests over HTTP"
    yield f"{asked}; then a sound one: {outcome.delivered}; processes that ended: {outcome.restarts}"
    yield f"violations found by the auditor: {outcome.audit.total}"


def plan_of(folder: Path) -> StackPlan:
    """The stack that answers: every process, phones that are at hand."""
    return StackPlan(data=folder, free_ports=True, gateway_options=("--profile", "online"))


async def _by_http(stack: Stack) -> dict[str, Answer]:
    """Send every request to the stack's intake."""
    url = f"http://{stack.settings.intake_host}:{stack.settings.intake_port}"
    answers: dict[str, Answer] = {}
    async with aiohttp.ClientSession() as session:
        for row in HTTP_ROWS:
            call = call_of(row.name, clock.now_ms())
            row.spoil(call)
            answers[row.name] = await send(session, url, call)
    return answers


def _producer(kafka: Kafka) -> aiokafka.AIOKafkaProducer:
    # Not idempotent: one that is would be of no more use after a record that the broker refuses.
    return aiokafka.AIOKafkaProducer(acks="all", max_request_size=_NO_LIMIT, **clients._access(kafka))


async def _publish(
    row: Row, number: int, *, client: Client, append: Callable[[Draft], Awaitable[_Sent]]
) -> _Sent | Heard:
    now_ms = clock.now_ms()
    draft = draft_of(row, number, now_ms)
    if row.again:
        await append(sound(row.lane, draft.event["id"], now_ms))
    if row.through == CLIENT:
        return await _by_client(client, draft)
    try:
        return await append(draft)
    except aiokafka.errors.KafkaError as error:
        return Heard(BROKER, "", type(error).__name__.removesuffix("Error"), str(error))


async def _by_client(client: Client, draft: Draft) -> Heard:
    try:
        await client.publish(draft.lane, draft.event)
    except InvalidEventError as error:
        return Heard(CLIENT, "", error.refusal.reason.word, error.refusal.detail)
    return NOTHING


async def _append(kafka: Kafka, producer: aiokafka.AIOKafkaProducer, draft: Draft) -> _Sent:
    topic = topics.requests(draft.lane)
    place = await producer.send_and_wait(
        kafka.name(topic), draft.value, key=draft.key, partition=draft.place, headers=draft.headers
    )
    name = request_name(draft.lane, str(draft.event.get("source")), str(draft.event.get("id")))
    return _Sent(topic, place.partition, place.offset, text_of(name), draft.key is None)


async def _answers(stack: Stack, sent: dict[str, _Sent]) -> dict[str, Heard]:
    """The answer to each, once all have one or patience ends."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _PATIENCE_S
    while True:
        found = {**await _statuses(stack, sent), **await _dead_letters(stack, sent)}
        if len(found) == len(sent) or loop.time() > until_s:
            return found
        await asyncio.sleep(_ASK_EVERY_S)


async def _statuses(stack: Stack, sent: dict[str, _Sent]) -> dict[str, Heard]:
    found: dict[str, Heard] = {}
    for business in stack.businesses:
        async for records in scan(stack.kafka, topics.status(business)):
            for told in (decode_status(record.value or b"") for record in records):
                if told is None or told.shard != PLAN:
                    continue
                for row, place in sent.items():
                    if told.request == place.name and (place.anywhere or told.seq == place.offset):
                        found[row] = Heard(STATUS, told.state, told.reason, told.detail)
    return found


async def _dead_letters(stack: Stack, sent: dict[str, _Sent]) -> dict[str, Heard]:
    rows = {(place.topic, place.partition, place.offset): row for row, place in sent.items()}
    found: dict[str, Heard] = {}
    async for records in scan(stack.kafka, topics.DEAD_LETTERS):
        for letter in (_letters.decode(record.value or b"") for record in records):
            row = rows.get((letter.topic, letter.partition, letter.offset))
            if row is not None:
                found[row] = Heard(DEAD_LETTER, "", letter.reason, letter.detail)
    return found


async def _delivered(client: Client) -> str:
    """Publish a sound event and follow it until its person has it; the last state of that person."""
    draft = sound(Lane.UPDATE, "good", clock.now_ms())
    sent = await client.publish(Lane.UPDATE, draft.event)
    state = "not answered"
    try:
        following = client.follow("shop-parcelo", since=sent.at_ms - 1_000)
        async with asyncio.timeout(_PATIENCE_S), aclosing(following):
            async for status in following:
                if status.request == text_of(sent.name):
                    state = status.recipients[0].state if status.recipients else status.state
                    if state in ("delivered", "read"):
                        return state
    except TimeoutError:
        pass
    return state


async def _run() -> Sequence[str]:
    with tempfile.TemporaryDirectory(prefix="fanfare-inputs-") as folder:
        async with running(plan_of(Path(folder)), say=print) as stack:
            return list(table(await outcome_of(stack)))


if __name__ == "__main__":
    sys.stdout.write("\n".join([*asyncio.run(_run()), ""]))
