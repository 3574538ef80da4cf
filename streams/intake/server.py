"""The server of HTTP intake: ``POST /v1/events?lane=LANE``, answered 202 once Kafka has acknowledged, or with a problem.

The lane stands in the query because it is part of the address: CloudEvents' SDKs are configured with an address and send headers
of their own, and the lane belongs to a request's name, so it is never guessed. A request is judged whole: of a batch all events
are taken or none. Whoever gets no answer, 429 or 503 sends the same again; an id is accepted once, however often it comes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

from aiohttp import web

from schemas.lanes import LANE_WORDS, Lane
from streams.intake.admission import Caller, Directory, Room
from streams.intake.http_events import MAX_BODY_BYTES, Mode, Taken, events_of, lane_of, mode_of, taken
from streams.intake.problems import (
    CONTENT_TYPE,
    RETRY_AFTER_S,
    STATUS,
    Outcome,
    Problem,
    RefusedError,
    refusal,
    text_of,
    together,
)
from streams.kafka.publisher import NotGrantedError, Publisher, PublishError
from streams.runtime import clock, metrics
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.http_server import MAX_HEADERS, MAX_LINE_BYTES
from streams.runtime.log import log
from streams.runtime.rate_limited_log import RateLimitedLine
from streams.runtime.untyped_json import json_bytes

PATH: Final = "/v1/events"
BODY_S: Final = 10.0
"""For so long a body may come in."""
ACKNOWLEDGE_S: Final = 10.0
"""For so long Kafka may take: longer than a leader election, shorter than most clients wait."""
_SMALL_BYTES: Final = 16 * 1024
"""Larger bodies are checked in a thread, one after another, so that small ones do not wait for them."""

_BAD_HEAD: Final = (
    f"The head of the request is not HTTP/1.1, or too long: send up to {MAX_HEADERS} headers of {MAX_LINE_BYTES} bytes, "
    "and one length or chunks."
)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Intake:
    """The application. ``now_ms`` is our clock: times of events are judged by it."""

    def __init__(
        self, publisher: Publisher, directory: Directory, *, shards: int, now_ms: Callable[[], int], room: Room
    ) -> None:
        self._publisher = publisher
        self._directory = directory
        self._shards = shards
        self._now_ms = now_ms
        self._room = room
        self._unknown_keys = RateLimitedLine(Event.KEY_REFUSED, component="intake")
        self._full = RateLimitedLine(Event.INTAKE_FULL, component="intake")
        self._away = False
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="check")
        metrics.INTAKE_IN_FLIGHT.of().follow(lambda: room.in_flight)
        self.app = web.Application(middlewares=[self._answered], client_max_size=MAX_BODY_BYTES)
        self.app.add_routes([web.post(PATH, self._take, expect_handler=_wait)])

    def unreadable_head(self, status: int) -> web.Response:
        """Returns the answer to a head that is not HTTP; ``status`` is what the server's library would answer."""
        outcome = Outcome.INVALID if status < web.HTTPInternalServerError.status_code else Outcome.FAILED
        metrics.INTAKE_REQUESTS.of(outcome.value).inc()
        told = refusal(outcome, "", "bad_head", _BAD_HEAD)
        return web.Response(status=status, body=text_of(told), content_type=CONTENT_TYPE)

    @web.middleware
    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Every request is answered and counted here."""
        begun_ms = clock.monotonic_ms()
        outcome, headers = Outcome.ACCEPTED, {}
        try:
            answer = await handler(request)
        except RefusedError as error:
            outcome, answer = error.problem.outcome, _answer(error.problem)
        except web.HTTPException as error:
            problem = _of_library(error, request)
            outcome, answer = problem.outcome, _answer(problem)
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        except ConnectionError:
            outcome, answer = Outcome.GONE, web.Response(status=STATUS[Outcome.GONE])
        except Exception:  # noqa: BLE001 - one request must not end those of others
            log(Event.REQUEST_FAILED, component="intake", exc_info=True)
            sentence = "Intake has failed at this request; nothing is known to be taken. Send it again, or report it."
            outcome, answer = Outcome.FAILED, _answer(refusal(Outcome.FAILED, "", "failed", sentence))
        answer.headers.update(headers)
        metrics.INTAKE_REQUESTS.of(outcome.value).inc()
        metrics.INTAKE_SECONDS.of(outcome.value).observe((clock.monotonic_ms() - begun_ms) / 1000)
        return answer

    async def _take(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        lane, mode = _head(request)
        if not self._room.enter(caller.business):
            self._full.say()
            sentence = (
                "Too many requests are in flight: wait for answers before you send more, then send this one again."
            )
            _refuse(refusal(Outcome.TOO_MANY, "", "too_many_in_flight", sentence))
        try:
            body = await _body(request)
            events = await self._checked(lane, mode, request, body, caller)
            await self._append(events)
        finally:
            self._room.leave(caller.business)
        metrics.INTAKE_EVENTS.of(lane.word).inc(len(events))
        receipts = [event.receipt() for event in events]
        told = receipts if mode is Mode.BATCH else receipts[0]
        return web.Response(status=202, body=json_bytes(told), content_type="application/json")

    def _caller(self, request: web.Request) -> Caller:
        held = request.headers.getall("Authorization", [])
        scheme, _, key = (held[0] if len(held) == 1 else "").partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            if (caller := self._directory.caller(key.strip())) is not None:
                return caller
            self._unknown_keys.say()
            sentence = "The API key is not known, or switched off: ask who operates Fanfare for one."
            raise RefusedError(refusal(Outcome.NO_KEY, "header Authorization", "unknown_key", sentence))
        sentence = "Send the API key of your business once, as Authorization: Bearer <key>."
        raise RefusedError(refusal(Outcome.NO_KEY, "header Authorization", "missing_key", sentence))

    async def _checked(
        self, lane: Lane, mode: Mode, request: web.Request, body: bytes, caller: Caller
    ) -> Sequence[Taken]:
        headers = list(request.headers.items())
        now_ms = self._now_ms()

        def check() -> Sequence[Taken] | Problem:
            events = events_of(mode, headers, body)
            if isinstance(events, Problem):
                return events
            return taken(lane, events, caller, shards=self._shards, now_ms=now_ms)

        if len(body) <= _SMALL_BYTES:
            found = check()
        else:
            found = await asyncio.get_running_loop().run_in_executor(self._aside, check)
        if isinstance(found, Problem):
            _refuse(found)
        return found

    async def _append(self, events: Sequence[Taken]) -> None:
        """Return when all are acknowledged; those of one request stand in its order."""
        try:
            async with asyncio.timeout(ACKNOWLEDGE_S):
                queued = [await self._publisher.enqueue(event.record) for event in events]
                ended = await asyncio.gather(*queued, return_exceptions=True)
            for each in ended:
                if isinstance(each, BaseException):
                    raise each
        except NotGrantedError as error:
            fatal(Exit.REFUSED_START, component="intake", detail=str(error))
        except (PublishError, TimeoutError) as error:
            self._heard(away=True)
            sentence = "Kafka did not acknowledge the request: send the same again, which is safe even if it was taken."
            raise RefusedError(refusal(Outcome.KAFKA_AWAY, "", "kafka_away", sentence)) from error
        self._heard(away=False)

    def _heard(self, *, away: bool) -> None:
        if away != self._away:
            self._away = away
            log(Event.KAFKA_AWAY if away else Event.KAFKA_BACK, component="intake")


def _head(request: web.Request) -> tuple[Lane, Mode]:
    """Reads lane and mode from the head, before any of the body is read."""
    lane, mode = lane_of(request.query.getall("lane", [])), mode_of(list(request.headers.items()))
    problems = [found for found in (mode, lane) if isinstance(found, Problem)]
    if (request.content_length or 0) > MAX_BODY_BYTES:
        problems.insert(0, _large())
    if (problem := together(problems)) is not None:
        _refuse(problem)
    assert isinstance(lane, Lane)
    assert isinstance(mode, Mode)
    return lane, mode


async def _wait(_request: web.Request) -> None:
    """Whoever asks whether to send a body is told to by :func:`_body`, after the head was judged."""


async def _body(request: web.Request) -> bytes:
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as error:
        sentence = f"The body did not come within {BODY_S:g} s: send it again, at once."
        raise RefusedError(refusal(Outcome.TOO_SLOW, "", "too_slow", sentence)) from error
    except web.RequestPayloadError as error:
        sentence = "The body does not end as its head says it would: send it again, whole."
        raise RefusedError(refusal(Outcome.INVALID, "", "broken_body", sentence)) from error


def _of_library(error: web.HTTPException, request: web.Request) -> Problem:
    """Translates a refusal of the server's library."""
    match error:
        case web.HTTPNotFound():
            sentence = f"There is nothing here: events go to POST {PATH}?lane=LANE, which is {LANE_WORDS}."
            return refusal(Outcome.NOT_FOUND, "path", "not_found", sentence)
        case web.HTTPMethodNotAllowed():
            return refusal(Outcome.WRONG_METHOD, "method", "wrong_method", f"Events are sent with POST {PATH}.")
        case web.HTTPRequestEntityTooLarge():
            return _large()
        case _:
            return refusal(Outcome.INVALID, "", "bad_request", f"{request.method} {PATH} wants no such head.")


def _large() -> Problem:
    sentence = f"At most {MAX_BODY_BYTES} bytes are taken at once: split the batch into several."
    return refusal(Outcome.TOO_LARGE, "", "too_large", sentence)


def _refuse(problem: Problem) -> NoReturn:
    raise RefusedError(problem)


def _answer(problem: Problem) -> web.Response:
    answer = web.Response(status=problem.status, body=text_of(problem), content_type=CONTENT_TYPE)
    if problem.outcome in RETRY_AFTER_S:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S[problem.outcome])
    if problem.outcome is Outcome.NO_KEY:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="fanfare"'
    return answer
