"""The webhook: what the gateway reports, verified, sorted and appended. ``POST /v1/reports``; nothing is decided here.

A batch is answered 200 when every record it became is acknowledged by Kafka, not before: otherwise the gateway repeats it
whole, which does no harm, because all of it are joins (PROTOCOL.md section 1.3, row 19). The signature is checked over the
raw body, in constant time, before a byte of it is parsed.
"""

import hmac
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from broker.reports import Sorted, sort
from schemas.wire.frames import REPLAY_WINDOW_MS, SIGNATURE_HEADER, TIMESTAMP_HEADER, Reports, signature_of
from streams import metrics
from streams.faults import point
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.log import Event, log

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
KEEP_ALIVE_S: Final = 120

_reports = msgspec.json.Decoder(Reports)


class Webhook:
    """The application. ``now_ms`` is our clock: it stamps evidence and bounds replays."""

    def __init__(
        self,
        producer: ConfirmedProducer,
        *,
        webhook_secret: bytes,
        ref_secret: bytes,
        shards: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._producer = producer
        self._webhook_secret = webhook_secret
        self._ref_secret = ref_secret
        self._shards = shards
        self._now_ms = now_ms
        self.app = web.Application(client_max_size=MAX_BODY_BYTES)
        self.app.add_routes([web.post("/v1/reports", self._take)])

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        now_ms = self._now_ms()
        refusal = self._unverified(request, body, now_ms)
        if refusal is not None:
            metrics.POSTS.of(refusal).inc()
            log(Event.SIGNATURE_REFUSED, component="webhook", why=refusal)
            return web.Response(status=401, text=f"{refusal}\n")
        try:
            reports = _reports.decode(body)
        except msgspec.MsgspecError:
            metrics.POSTS.of("unreadable").inc()
            return web.Response(status=400, text="not a batch of reports\n")
        done = sort(reports, received_ms=now_ms, ref_secret=self._ref_secret, shards=self._shards)
        await self._producer.send_many(
            [Outgoing(each.topic, each.value, None, each.partition) for each in done.records]
        )
        point("webhook.appended")
        _count(done)
        return web.Response()

    def _unverified(self, request: web.Request, body: bytes, now_ms: int) -> str | None:
        """Why the batch is not believed, None if it is."""
        sent = request.headers.get(TIMESTAMP_HEADER, "")
        if not sent.isdecimal():
            return "bad_signature"
        expected = signature_of(self._webhook_secret, int(sent), body)
        if not hmac.compare_digest(expected.encode(), request.headers.get(SIGNATURE_HEADER, "").encode()):
            return "bad_signature"
        return None if abs(now_ms - int(sent)) <= REPLAY_WINDOW_MS else "too_old"


def _count(done: Sorted) -> None:
    metrics.POSTS.of("taken").inc()
    for (lane, status), messages in done.receipts.items():
        metrics.RECEIPTS.of(lane.word, status.name.lower()).inc(messages)
    for kind, replies in done.replies.items():
        metrics.REPLIES.of(metrics.REPLY.known(kind)).inc(replies)
    for change, people in done.changes.items():
        metrics.SUPPRESSED.of(change.scope.name.lower(), "revoke" if change.revoke else "restore").inc(people)
    if done.foreign:
        metrics.FOREIGN.of().inc(done.foreign)
        log(Event.RECEIPT_FOREIGN, component="webhook", reports=done.foreign)
