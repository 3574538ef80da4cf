"""The webhook: what gateways report, verified, sorted and appended; nothing is decided here.

A batch is answered 200 when every record it became is acknowledged by Kafka, not before: otherwise the gateway repeats it
whole, which does no harm, because all of it are joins (PROTOCOL.md section 1.3, row 19). Where a gateway posts to, how it signs
and what a body says is the gateway's own (``port.py``). Its signature is checked over the raw body before a byte of it is parsed
or inflated. Until then the sender is a stranger: the head is judged before the body is read, a body may take ``BODY_S``, and only
``MAX_UNVERIFIED`` of them are held at once.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from broker.confirmation import Confirmation, Confirmed, Lifted, event_of
from broker.registry.fold import Registry, share_of
from broker.webhook.keywords import Vocabulary
from broker.webhook.sort import Sorted, sort
from schemas import topics
from schemas.gateway_api import REPLAY_WINDOW_MS, Reports
from schemas.ids import partition_of
from schemas.registry import CONFIRMATION_LANE
from schemas.wire.head import FORMAT
from schemas.wire.sealed import AddressBook, SealError
from streams.gateway.port import ReportMapping, UnbelievedError, UnreadableError
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.runtime import metrics
from streams.runtime.crash_points import point
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.runtime.rate_limited_log import RateLimitedLine

_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)
_encoder: Final = msgspec.json.Encoder()


class Confirmer:
    """Asks in the business's name, from the number that was written to if that may send updates, else from its default."""

    def __init__(self, registry: Registry, address_book: AddressBook, *, pepper: bytes, shards: int) -> None:
        self._registry = registry
        self._address_book = address_book
        self._pepper = pepper
        self._shards = shards
        self._confirmed = Confirmed()

    def records(self, confirmations: Sequence[Confirmation], lifted: Iterable[Lifted]) -> list[Outgoing]:
        """Returns a record of ``requests.update`` for each stop that can and must be confirmed; the others are counted."""
        found: list[Outgoing] = []
        news = list(self._confirmed.news(confirmations, lifted))
        metrics.CONFIRMATIONS.of("known").inc(len(confirmations) - len(news))
        for confirmation in news:
            record = self._record(confirmation)
            outcome = record if isinstance(record, str) else "asked"
            metrics.CONFIRMATIONS.of(outcome).inc()
            if not isinstance(record, str):
                found.append(record)
        return found

    def _record(self, confirmation: Confirmation) -> Outgoing | str:
        """Returns the record, or the outcome that says why there is none."""
        business = self._registry.businesses.get(confirmation.business)
        if business is None or self._registry.template_for(business.id, confirmation.template) is None:
            return "no_template"
        asked = self._registry.sender_for(business.id, confirmation.sender)
        fit = asked is not None and asked.active and share_of(asked, CONFIRMATION_LANE) > 0
        if not fit and self._registry.sender_for(business.id, None) is None:
            return "no_sender"
        try:
            address = self._address_book.open(confirmation.address)
        except SealError:
            return "no_address"
        sender = confirmation.sender if fit else None
        event = event_of(confirmation, address, name=business.name, sender=sender, pepper=self._pepper)
        key = business.id.encode()
        partition = partition_of(key, self._shards)
        topic = topics.requests(CONFIRMATION_LANE)
        return Outgoing(topic, _encoder.encode(event), key=key, partition=partition, headers=_HEADERS)


MAX_BODY_BYTES: Final = 8 * 1024 * 1024
BODY_S: Final = 10.0
"""For so long a body may come in. A gateway that is slower repeats it."""
MAX_UNVERIFIED: Final = 32
"""Bodies that are being read: 256 MB at most. A gateway of three listeners has 24 posts in flight."""
RETRY_AFTER_S: Final = 1
"""After which a gateway that found no room may come again."""

_STATUS: Final[Mapping[str, int]] = {
    "taken": 200,
    "unreadable": 400,
    "bad_signature": 401,
    "too_old": 401,
    "too_slow": 408,
    "too_large": 413,
    "compressed": 415,
    "failed": 500,
    "too_many": 503,
}
_SENTENCE: Final[Mapping[str, str]] = {
    "bad_signature": "Nothing says that the gateway has sent this.",
    "unreadable": "This is not a batch of reports.",
    "too_old": f"The timestamp is more than {REPLAY_WINDOW_MS // 1_000} s from now: sign it again when you repeat it.",
    "too_slow": f"The body did not come within {BODY_S:g} s: send it again, at once.",
    "too_large": f"At most {MAX_BODY_BYTES} bytes are taken at once: split the batch.",
    "compressed": "Bodies are taken as they were signed: send this one without Content-Encoding.",
    "failed": "The webhook has failed at this batch: send it again, or report it.",
    "too_many": "Too many bodies are being read: send this one again.",
}


class Secrets(NamedTuple):
    """Holds the keys by which the webhook knows again what is ours."""

    ref: bytes
    """We sign the references that come back with it."""
    pepper: bytes
    """We sign confirmations of stops with it."""
    address_book: AddressBook
    """Opens the address that a stop is confirmed to."""


class Written(NamedTuple):
    """Describes the records that are appended."""

    shards: int
    record_format: int = FORMAT
    """The newest that may be written."""


class Webhook:
    """The application. ``now_ms`` is our clock: it stamps evidence and bounds replays. ``registry`` is followed by its owner."""

    def __init__(
        self,
        producer: ConfirmedProducer,
        mappings: Iterable[ReportMapping],
        *,
        secrets: Secrets,
        written: Written,
        now_ms: Callable[[], int],
        registry: Registry,
    ) -> None:
        self._producer = producer
        self._secrets = secrets
        self._written = written
        self._now_ms = now_ms
        self._registry = registry
        self._vocabulary = (registry.upto, Vocabulary(registry.keywords))
        """The words that stop, and the registry's offset that they are of."""
        self._confirmer = Confirmer(registry, secrets.address_book, pepper=secrets.pepper, shards=written.shards)
        self.body_s = BODY_S
        self._unverified = 0
        """Bodies that are being read."""
        self._refused = RateLimitedLine(Event.POST_REFUSED, component="webhook")
        self.app = web.Application(client_max_size=MAX_BODY_BYTES)
        self.app.add_routes([web.post(mapping.path, partial(self._take, mapping)) for mapping in mappings])

    def unreadable_head(self, status: int) -> web.Response:
        """Returns the answer to a head that is not HTTP; ``status`` is what the server's library would answer."""
        return self._answer("unreadable" if status < web.HTTPInternalServerError.status_code else "failed")

    async def _take(self, mapping: ReportMapping, request: web.Request) -> web.Response:
        try:
            return self._answer(await self._judge(mapping, request), hint=mapping.signing)
        except ConnectionError:  # nobody is there to read this
            return self._answer("unreadable")
        except Exception:  # noqa: BLE001 - one batch must not end those of others
            log(Event.REQUEST_FAILED, component="webhook", exc_info=True)
            return self._answer("failed")

    def _answer(self, outcome: str, *, hint: str = "") -> web.Response:
        metrics.POSTS.of(outcome).inc()
        if outcome == "taken":
            return web.Response()
        self._refused.say(why=outcome)
        sentence = f"{_SENTENCE[outcome]} {hint}" if outcome == "bad_signature" else _SENTENCE[outcome]
        answer = web.Response(status=_STATUS[outcome], text=f"{outcome}: {sentence}\n")
        if outcome == "too_many":
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        return answer

    async def _judge(self, mapping: ReportMapping, request: web.Request) -> str:
        """Takes a batch, or says why not: a key of ``_STATUS``."""
        try:
            signed = mapping.check_of(request.headers, self._now_ms())
            refusal = self._refused_head(request)
            if refusal is not None:
                return refusal
            body = await self._read(request)
            if not isinstance(body, bytes):
                return body
            return await self._append(mapping.reports(body)) if signed(body) else "bad_signature"
        except UnbelievedError as error:
            return error.why
        except UnreadableError:
            return "unreadable"

    def _refused_head(self, request: web.Request) -> str | None:
        """Returns why a body is not even read, judged by its head alone; None if it is."""
        if any(coding.strip().lower() != "identity" for coding in request.headers.getall("Content-Encoding", [])):
            return "compressed"
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return "too_large"
        return "too_many" if self._unverified >= MAX_UNVERIFIED else None

    async def _read(self, request: web.Request) -> bytes | str:
        """Returns the body, or why it was not read to its end."""
        self._unverified += 1
        try:
            async with asyncio.timeout(self.body_s):
                return await request.read()
        except TimeoutError:
            return "too_slow"
        except web.HTTPRequestEntityTooLarge:
            return "too_large"
        except web.RequestPayloadError:
            return "unreadable"
        finally:
            self._unverified -= 1

    def _words(self) -> Vocabulary:
        if self._vocabulary[0] != self._registry.upto:
            self._vocabulary = self._registry.upto, Vocabulary(self._registry.keywords)
        return self._vocabulary[1]

    async def _append(self, reports: Reports) -> str:
        done = sort(
            reports,
            received_ms=self._now_ms(),
            ref_secret=self._secrets.ref,
            shards=self._written.shards,
            vocabulary=self._words(),
            record_format=self._written.record_format,
        )
        records = [Outgoing(each.topic, each.value, None, each.partition) for each in done.records]
        await self._producer.send_many(records + self._confirmer.records(done.confirmations, done.lifted))
        point("webhook.appended")
        _count(done)
        return "taken"


def _count(done: Sorted) -> None:
    for (lane, status), messages in done.receipts.items():
        metrics.RECEIPTS.of(lane.word, status.name.lower()).inc(messages)
    for kind, replies in done.replies.items():
        metrics.REPLIES.of(metrics.REPLY.known(kind)).inc(replies)
    for change, people in done.changes.items():
        metrics.SUPPRESSED.of(change.scope.name.lower(), "revoke" if change.revoke else "restore").inc(people)
    if done.foreign:
        metrics.FOREIGN.of().inc(done.foreign)
        log(Event.RECEIPT_FOREIGN, component="webhook", reports=done.foreign)
