"""The webhook towards strangers: what is read of a post before its signature is known to be good, and what each fault is told."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import standardwebhooks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.registry.fold import Registry
from schemas import topics
from schemas.gateway_api import REPLAY_WINDOW_MS, ReportRun, Reports, ref_of
from schemas.lanes import Lane
from schemas.wire.sealed import AddressBook
from schemas.wire.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SigningKeys
from streams.gateway.frames import FrameReports
from streams.gateway.webhook import MAX_BODY_BYTES, MAX_UNVERIFIED, Secrets, Webhook, Written
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.runtime import clock, metrics
from streams.runtime.http_server import HttpServer
from streams.simulator.signature import signed_headers
from tests.support.log_lines import logged

NOW_MS = 1_900_000_000_000
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
REF_SECRET = b"r" * 32
REQUEST = bytes(range(16))
BODY = msgspec.json.encode(
    Reports("b", (ReportRun(ref_of(REF_SECRET, Lane.UPDATE, 3, REQUEST), "delivered", ((4, 2),), NOW_MS),))
)


def written(secret: bytes) -> str:
    """A secret as people hand it on."""
    return "whsec_" + base64.b64encode(secret).decode()


def signature(body: bytes, *secrets: bytes, at_ms: int = NOW_MS, message_id: str = "b") -> bytes:
    """The header as the specification has it, made without what is tested."""
    signed = b"%b.%d." % (message_id.encode(), at_ms // 1_000) + body
    made = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets or (NEW,))
    return b" ".join(b"v1," + each for each in made)


class Kept(ConfirmedProducer):
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("", "kept")
        self.records: list[Outgoing] = []

    async def send_many(self, records: Sequence[Outgoing]) -> list[int]:
        """As that of Kafka."""
        self.records += records
        return list(range(len(records)))


class Running:
    """A webhook that listens, and what it appended."""

    def __init__(self, port: int, kept: Kept) -> None:
        self.port = port
        self.kept = kept

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def post(self, body: bytes = BODY, /, **headers: bytes | None) -> int:
        """Post a batch, signed, with ``headers`` changed or left out; the status of the answer."""
        return (await self.answer(head(body, **headers) + body))[0]

    async def answer(self, sent: bytes) -> tuple[int, bytes]:
        """Send bytes; the status and the whole of the answer."""
        reader, writer = await self.open()
        with contextlib.closing(writer):
            writer.write(sent)
            return await read(reader)


def head(body: bytes, /, **headers: bytes | None) -> bytes:
    """The head of a post. Names are written with underscores."""
    lines: dict[str, bytes | None] = {
        "host": b"webhook",
        "content_length": b"%d" % len(body),
        ID_HEADER: b"b",
        TIMESTAMP_HEADER: b"%d" % (NOW_MS // 1_000),
        SIGNATURE_HEADER: signature(body),
        "connection": b"close",
        **headers,
    }
    held = [name.replace("_", "-").encode() + b": " + value for name, value in lines.items() if value is not None]
    return b"\r\n".join([b"POST /v1/reports HTTP/1.1", *held, b"", b""])


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One answer until the connection ends."""
    async with asyncio.timeout(20):
        told = await reader.read()
    return int(told.split(b" ", 2)[1]), told


@contextlib.asynccontextmanager
async def running(*, body_s: float = 20) -> AsyncIterator[Running]:
    """A webhook that listens on a free port."""
    kept = Kept()
    keys = SigningKeys([written(NEW), written(OLD)])
    secrets = Secrets(ref=REF_SECRET, pepper=bytes(32), address_book=AddressBook({1: bytes(32)}))
    server = Webhook(
        kept, [FrameReports(keys)], secrets=secrets, written=Written(8), now_ms=lambda: NOW_MS, registry=Registry()
    )
    server.body_s = body_s
    async with HttpServer(server.app, "webhook", ("127.0.0.1", 0), stop_s=0, unreadable=server.unreadable_head) as door:
        yield Running(door.port, kept)


@pytest.fixture
async def webhook() -> AsyncIterator[Running]:
    """A running webhook."""
    async with running() as webhook:
        yield webhook


async def test_a_signed_batch_is_appended(webhook: Running) -> None:
    """The table below differs from this in one thing each."""
    assert await webhook.post() == 200
    assert [(record.topic, record.partition) for record in webhook.kept.records] == [(topics.receipts(Lane.UPDATE), 3)]


def signed_at(at_ms: int) -> dict[str, bytes | None]:
    """The headers of a batch that was signed at another time."""
    return {TIMESTAMP_HEADER: b"%d" % (at_ms // 1_000), SIGNATURE_HEADER: signature(BODY, at_ms=at_ms)}


@pytest.mark.parametrize(
    ("why", "headers"),
    [
        ("the new secret alone", {SIGNATURE_HEADER: signature(BODY, NEW)}),
        ("the old secret alone", {SIGNATURE_HEADER: signature(BODY, OLD)}),
        ("both, as a gateway that changes its secret", {SIGNATURE_HEADER: signature(BODY, OLD, NEW)}),
        ("one that we do not know beside one that we do", {SIGNATURE_HEADER: signature(BODY, OTHER, OLD)}),
        ("a version that we do not know beside ours", {SIGNATURE_HEADER: b"v1a,abc v2 " + signature(BODY)}),
        ("the end of the window", signed_at(NOW_MS - REPLAY_WINDOW_MS)),
    ],
)
async def test_secrets_change_without_a_gap(webhook: Running, why: str, headers: dict[str, bytes | None]) -> None:
    """A post is believed if any of its signatures was made with any of our secrets."""
    assert await webhook.post(**headers) == 200, why
    assert len(webhook.kept.records) == 1


@pytest.mark.parametrize(
    ("why", "status", "headers"),
    [
        ("no id", 401, {ID_HEADER: None}),
        ("an id with a dot in it", 401, {ID_HEADER: b"b.1", SIGNATURE_HEADER: signature(BODY, message_id="b.1")}),
        ("an id that was not signed", 401, {ID_HEADER: b"c"}),
        ("no timestamp", 401, {TIMESTAMP_HEADER: None}),
        ("a timestamp in words", 401, {TIMESTAMP_HEADER: b"now"}),
        ("a timestamp of 5,000 digits", 401, {TIMESTAMP_HEADER: b"9" * 5_000}),
        ("a timestamp in Arabic digits", 401, {TIMESTAMP_HEADER: "١٩".encode()}),
        ("a negative timestamp", 401, {TIMESTAMP_HEADER: b"-5"}),
        ("a timestamp with a fraction", 401, {TIMESTAMP_HEADER: b"%d.0" % (NOW_MS // 1_000)}),
        ("a timestamp that was not signed", 401, {TIMESTAMP_HEADER: b"%d" % (NOW_MS // 1_000 + 1)}),
        ("a timestamp before the window", 401, signed_at(NOW_MS - REPLAY_WINDOW_MS - 1_000)),
        ("a timestamp after the window", 401, signed_at(NOW_MS + REPLAY_WINDOW_MS + 1_000)),
        ("no signature", 401, {SIGNATURE_HEADER: None}),
        ("a signature of byte 0xFF", 401, {SIGNATURE_HEADER: b"\xff" * 47}),
        ("a signature that ends in byte 0xFF", 401, {SIGNATURE_HEADER: b"v1," + b"a" * 43 + b"\xff"}),
        ("a signature without a version", 401, {SIGNATURE_HEADER: signature(BODY).removeprefix(b"v1,")}),
        ("a signature of another version", 401, {SIGNATURE_HEADER: b"v1a" + signature(BODY).removeprefix(b"v1")}),
        ("a signature of another secret", 401, {SIGNATURE_HEADER: signature(BODY, OTHER)}),
        ("a signature of another body", 401, {SIGNATURE_HEADER: signature(BODY + b" ")}),
        ("nine signatures", 401, {SIGNATURE_HEADER: signature(BODY, *[OTHER] * 8, NEW)}),
        ("a body that is said to be compressed", 415, {"content_encoding": b"gzip"}),
        ("a coding that nobody knows", 415, {"content_encoding": b"identity, new"}),
        ("a length above the bound", 413, {"content_length": b"%d" % (MAX_BODY_BYTES + 1)}),
        ("a head that is not HTTP", 400, {"content_length": b"many"}),
        ("a header without end", 400, {"x": b"x" * 20_000}),
    ],
)
async def test_a_stranger_is_refused(webhook: Running, why: str, status: int, headers: dict[str, bytes | None]) -> None:
    """Whatever the head holds, it is refused in a sentence, never with 500, and nothing is appended."""
    assert await webhook.post(**headers) == status, why
    assert webhook.kept.records == []
    assert await webhook.post() == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    message_id=st.one_of(st.just(b"b"), st.binary(max_size=40)),
    timestamp=st.one_of(st.binary(max_size=40), st.from_regex(rb"[0-9]{1,30}", fullmatch=True)),
    signatures=st.one_of(st.binary(max_size=80), st.from_regex(rb"( ?v1,[0-9a-f\xff]{43}=){1,9}", fullmatch=True)),
)
def test_no_three_headers_are_believed_or_fail(message_id: bytes, timestamp: bytes, signatures: bytes) -> None:
    """Any bytes in the three headers are 400 or 401."""

    async def posted() -> int:
        async with running() as webhook:
            told = {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signatures}
            return await webhook.post(**told)

    assert asyncio.run(posted()) in {400, 401}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b'{"id":"\xff"}', b'{"id":"b","runs":7}', b"[" * 100_000, b'{"id":"\\ud800"}']
)
async def test_what_was_signed_and_is_no_batch(webhook: Running, body: bytes) -> None:
    """The gateway is told 400 about its own mistake."""
    assert await webhook.post(body) == 400
    assert webhook.kept.records == []


async def test_a_body_that_was_signed_compressed_is_not_inflated(webhook: Running) -> None:
    """The bytes that were signed are what is judged: compressed ones under no header are no batch."""
    assert await webhook.post(gzip.compress(BODY)) == 400


async def test_a_body_has_a_bound_of_time() -> None:
    """Whoever sends half of it and waits is told so, and the place is free again."""
    async with running(body_s=0.05) as webhook:
        status, told = await webhook.answer(head(BODY) + BODY[:10])
        assert (status, b"too_slow" in told) == (408, True)
        assert webhook.kept.records == []


async def test_bodies_have_a_bound_of_number(webhook: Running) -> None:
    """As many as may be are read; another is asked to come again, and has a place when one of them is gone."""
    held = [await webhook.open() for _ in range(MAX_UNVERIFIED)]
    for _, writer in held:
        writer.write(head(BODY) + BODY[:10])
    async with asyncio.timeout(20):
        while (refused := await webhook.answer(head(BODY) + BODY))[0] == 200:
            pass
    assert (refused[0], b"Retry-After: 1\r\n" in refused[1]) == (503, True)
    reader, writer = held[0]
    writer.write(BODY[10:])
    assert (await read(reader))[0] == 200
    assert await webhook.post() == 200
    for _, other in held:
        other.close()


async def test_refused_posts_do_not_fill_the_log(webhook: Running) -> None:
    """A hundred posts of a stranger are all counted, and are a line or two, without anything that they sent."""
    before = metrics.POSTS.of("bad_signature").value
    with logged() as lines:
        for _ in range(100):
            assert await webhook.post(**{SIGNATURE_HEADER: b"canary"}) == 401
    assert metrics.POSTS.of("bad_signature").value == before + 100
    refused = [line for line in lines() if line["event"] == "post_refused"]
    assert 1 <= len(refused) <= 10
    assert {line["why"] for line in refused} == {"bad_signature"}
    assert "canary" not in str(lines())


@given(body=st.text(max_size=200), secrets=st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=4))
def test_what_is_signed_is_what_the_specification_signs(body: str, secrets: list[bytes]) -> None:
    """The three headers, made without the library, and believed by the library with any of the secrets."""
    sent, at_ms = body.encode(), clock.now_ms()
    headers = signed_headers(map(written, secrets), "m_1-x", at_ms, sent)
    assert headers == {
        ID_HEADER: "m_1-x",
        TIMESTAMP_HEADER: str(at_ms // 1_000),
        SIGNATURE_HEADER: signature(sent, *secrets, at_ms=at_ms, message_id="m_1-x").decode(),
    }
    for secret in secrets:
        standardwebhooks.Webhook(written(secret)).verify(sent, headers, json_parse=False)
