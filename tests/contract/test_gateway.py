"""The gateway port against the simulated gateway: a process of its own, real sockets, its own log as the witness."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.gateway_api import Code, Frame, Refused, Section
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.wire.sealed import seal_code
from streams.gateway.frames import FrameGateway, kind_of, trace_of
from streams.gateway.port import Fenced, GatewayError, Throttled, Unknown, UnknownKind
from streams.runtime import clock
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC
from tests.support.listeners import Hearing, Listening, hearing, listening
from tests.support.programs import until
from tests.support.simulated import address, frame, fresh, locales, name, person
from tests.support.simulated import living as section

TIMEOUT_MS = 5_000
ONLINE = ("--profile", "online", "--no-limits")


async def outcome(port: FrameGateway, sent: Frame, timeout_ms: int = TIMEOUT_MS) -> str:
    """How a call ended, in a word or two."""
    try:
        answer = await port.send(sent, timeout_ms=timeout_ms)
    except Fenced as fenced:
        return f"fenced {fenced.epoch}"
    except Throttled as throttled:
        return f"{throttled.how} {throttled.retry_after_ms}"
    except Unknown as unknown:
        return f"unknown {unknown.kind}"
    return f"refused {sum(map(len, answer.sections))}"


@pytest.fixture
async def webhook() -> AsyncIterator[Hearing]:
    """A webhook that hears everything."""
    async with hearing() as heard:
        yield heard


@pytest.fixture
async def listener(tmp_path: Path, webhook: Hearing) -> AsyncIterator[Listening]:
    """A gateway whose people are all online, without limits."""
    async with listening(tmp_path, webhook.url, *ONLINE) as gateway:
        yield gateway


@pytest.fixture
async def port(listener: Listening) -> AsyncIterator[FrameGateway]:
    """The broker's side."""
    async with FrameGateway(listener.url) as gateway:
        yield gateway


async def test_accepts_shows_and_reports(listener: Listening, port: FrameGateway, webhook: Hearing) -> None:
    """A frame of two sections is accepted whole, shown as a phone shows it, logged, and reported as delivered."""
    sent = fresh(section(range(3), locales=locales("en", "es", "en")), section(range(5, 9), request="q"))
    answer = await port.send(sent, timeout_ms=TIMEOUT_MS)
    assert answer.sections == ((), ())
    assert abs(answer.at_ms - clock.now_ms()) < TIMEOUT_MS
    phones = await listener.ask("/v1/phones?limit=7")
    assert isinstance(phones, list)
    assert [phone["text"] for phone in phones[-3:]] == [
        "News: winter sale",
        "Noticias: winter sale",
        "News: winter sale",
    ]
    assert (phones[0]["name"], phones[0]["verified"], phones[0]["number"]) == ("Acme Air", True, "+18005550100")
    assert phones[0]["phone"] == "+120•••••008"
    await until(lambda: len(webhook.heard("delivered")) == 7)
    refs = (sent.sections[0].ref, sent.sections[1].ref)
    assert sorted(webhook.heard("delivered")) == sorted(
        [(refs[0], rank) for rank in range(3)] + [(refs[1], rank) for rank in range(4)]
    )
    accepted = listener.log("accepted")
    assert [(line.request, line.ranks, line.epoch, line.shard) for line in accepted] == [
        (each.request, each.ranks, 1, 3) for each in sent.sections
    ]


async def test_the_traceparent_reaches_the_log_and_one_that_all_share_is_a_header(
    listener: Listening, port: FrameGateway
) -> None:
    """Each section has its own; HTTP's header has room for one."""
    one, other = (f"00-{digit * 32}-{digit * 16}-01" for digit in "12")
    alike = fresh(section([1], traceparent=one), section([2], request="s", traceparent=one))
    mixed = fresh(section([3], request="t", traceparent=other), section([4], request="u"))
    for sent in (alike, mixed):
        await port.send(sent, timeout_ms=TIMEOUT_MS)
    logged = [line.traceparent for line in listener.log("accepted")]
    assert logged == [one, one, other, ""]
    assert trace_of(alike) == {"traceparent": one}
    assert trace_of(mixed) == trace_of(fresh(section([5]))) == {}


async def test_page_and_bad_forms(listener: Listening, port: FrameGateway) -> None:
    """The phones have a page; a frame that is none is answered 400, and nothing of it is taken."""
    async with aiohttp.ClientSession(listener.url) as session:
        assert "<title>Fanfare: phones</title>" in await (await session.get("/")).text()
        for body in (b"", b"{}", b"\xff", b"[1]"):
            assert (await session.post("/v1/frames", data=body)).status == 400
            assert (await session.post("/v1/hello", data=body)).status == 400
            assert (await session.post("/v1/faults", data=body)).status == 400
    crooked = fresh(section(range(2)), section([1, 2, 3], addresses=""))
    for wrong in (crooked, replace(fresh(section([1])), lane="air")):
        assert await outcome(port, wrong) == f"unknown {UnknownKind.UNEXPECTED_STATUS}"
    assert listener.log() == []


async def test_repeats_are_accepted_and_shown_once(listener: Listening, port: FrameGateway) -> None:
    """The same names again, under other ranks, mixed with new ones or twice in a frame, are accepted and shown once."""
    await port.send(fresh(section(range(100))), timeout_ms=TIMEOUT_MS)
    mixed = section(list(range(50, 150)), ranks=range(500, 600), attempt=2)
    assert (await port.send(fresh(mixed, mixed), timeout_ms=TIMEOUT_MS)).sections == ((), ())
    assert set(listener.visible().values()) == {1}
    assert len(listener.visible()) == 150
    await port.send(fresh(section([7, 8, 7, 7], request="twice")), timeout_ms=TIMEOUT_MS)
    assert set(listener.visible().values()) == {1}
    assert [line.ranks for line in listener.log("repeated")] == [((500, 50),), ((500, 100),), ((2, 2),)]


async def test_dedupes_before_it_judges_staleness(listener: Listening, port: FrameGateway) -> None:
    """A known name past ``not_after_ms`` and expiry is still accepted; a new one in the same frame is stale."""
    await port.send(fresh(section(range(3))), timeout_ms=TIMEOUT_MS)
    late = frame(section([9, 0, 2], expires_ms=clock.now_ms() - 1), not_after_ms=clock.now_ms() - 1)
    answer = await port.send(late, timeout_ms=TIMEOUT_MS)
    assert answer.sections == ((Refused(0, Code.STALE_FRAME),),)
    assert len(listener.visible()) == 3
    [refused] = listener.log("refused")
    assert (refused.code, refused.ranks) == (Code.STALE_FRAME, ((0, 1),))
    again = await port.send(fresh(section([9])), timeout_ms=TIMEOUT_MS)
    assert again.sections == ((),)


async def test_epoch_fence(listener: Listening, port: FrameGateway) -> None:
    """After a hello, or a frame, of a higher epoch the lower ones are refused for that shard, also after a restart."""
    await port.hello(Lane.CAMPAIGN, 3, 5, timeout_ms=TIMEOUT_MS)
    assert await outcome(port, fresh(section([1]), epoch=4)) == "fenced 5"
    with pytest.raises(Fenced) as fenced:
        await port.hello(Lane.CAMPAIGN, 3, 4, timeout_ms=TIMEOUT_MS)
    assert fenced.value.epoch == 5
    assert await outcome(port, fresh(section([1]), epoch=5)) == "refused 0"
    await port.hello(Lane.CAMPAIGN, 4, 1, timeout_ms=TIMEOUT_MS)
    assert await outcome(port, fresh(section([2]), epoch=7)) == "refused 0"
    await listener.kill()
    await listener.start()
    assert await outcome(port, fresh(section([1]), epoch=6)) == "fenced 7"
    assert len(listener.visible()) == 2
    assert [line.epoch for line in listener.log("fenced")] == [4, 4, 6]


async def test_frame_of_a_replaced_owner_is_refused_when_judged(listener: Listening, port: FrameGateway) -> None:
    """A frame that was on its way when a new owner said hello takes no effect."""
    await listener.faults({"kind": "latency", "ms": 500, "count": 1})
    late = asyncio.create_task(outcome(port, fresh(section([1]), epoch=1)))
    await until_struck(listener)
    async with FrameGateway(listener.url) as successor:
        await successor.hello(Lane.CAMPAIGN, 3, 2, timeout_ms=TIMEOUT_MS)
    assert await late == "fenced 2"
    assert not listener.visible()


async def until_struck(listener: Listening) -> None:
    """Wait until a fault that is in force has struck once."""
    async with asyncio.timeout(TIMEOUT_MS / 1_000):
        while not any(fault["struck"] for fault in await _faults(listener)):
            await asyncio.sleep(0.01)


async def _faults(listener: Listening) -> list[dict[str, int]]:
    listed = await listener.ask("/v1/faults")
    assert isinstance(listed, list)
    return listed


@pytest.mark.parametrize(
    ("fault", "expected", "taken"),
    [
        ({"kind": "latency", "ms": 50}, "refused 0", True),
        ({"kind": "latency", "ms": 3_000}, "unknown time_out", False),
        ({"kind": "throttle", "ms": 2_500}, "throttled 2500", False),
        ({"kind": "unavailable", "ms": 1_000}, "unavailable 1000", False),
        ({"kind": "error"}, "unknown server_error", False),
        ({"kind": "reset"}, "unknown reset", False),
        ({"kind": "refuse", "ms": 300}, "unknown reset", False),
        ({"kind": "accept_then_silence", "ms": 3_000}, "unknown time_out", True),
        ({"kind": "accept_then_error"}, "unknown server_error", True),
        ({"kind": "accept_then_reset"}, "unknown reset", True),
        ({"kind": "slow_body", "ms": 3_000}, "unknown time_out", True),
        ({"kind": "slow_body", "ms": 100}, "refused 0", True),
        ({"kind": "message", "code": Code.TRANSIENT}, "refused 3", False),
    ],
)
async def test_faults(
    listener: Listening, port: FrameGateway, *, fault: dict[str, object], expected: str, taken: bool
) -> None:
    """Each fault leads to its own typed outcome; the same names again are accepted and shown once."""
    await listener.faults({**fault, "count": 3 if fault["kind"] == "message" else 1})
    sent = fresh(section(range(3)))
    assert await outcome(port, sent, timeout_ms=1_000) == expected
    if "time_out" not in expected:
        assert bool(listener.visible()) is taken
    again = [await outcome(port, sent)]
    while again[-1] == f"unknown {UnknownKind.REFUSED}":
        again.append(await outcome(port, sent))
    assert again[-1] == "refused 0"
    assert set(listener.visible().values()) == {1}
    assert len(listener.log("repeated")) == (taken and "time_out" not in expected) or "time_out" in expected


async def test_refused_connections(listener: Listening, port: FrameGateway) -> None:
    """Where nobody listens nothing was taken, and the outcome says that."""
    await listener.kill()
    with pytest.raises(Unknown) as unknown:
        await port.send(fresh(section([1])), timeout_ms=TIMEOUT_MS)
    assert unknown.value.kind is UnknownKind.REFUSED
    assert unknown.value.surely_not_taken


@pytest.mark.parametrize("skew_ms", [1_500, -1_500])
async def test_a_skewed_clock_judges_answers_and_logs(listener: Listening, port: FrameGateway, skew_ms: int) -> None:
    """Ahead, it takes a frame with a second to live for stale; behind, one whose end is past it takes; all by its own time."""
    await listener.faults({"kind": "skew", "ms": skew_ms})
    edge_ms = clock.now_ms() + skew_ms // 2
    answer = await port.send(frame(section([1]), not_after_ms=edge_ms), timeout_ms=TIMEOUT_MS)
    assert abs(answer.at_ms - clock.now_ms() - skew_ms) < abs(skew_ms) // 2
    assert bool(answer.sections[0]) is (skew_ms > 0)
    [line] = listener.log()
    assert (line.event, line.at_ms) == ("refused" if skew_ms > 0 else "accepted", answer.at_ms)
    await listener.faults()
    well = await port.send(fresh(section([2])), timeout_ms=TIMEOUT_MS)
    assert abs(well.at_ms - clock.now_ms()) < abs(skew_ms) // 2


async def test_faults_are_counted_filtered_and_cleared(listener: Listening, port: FrameGateway) -> None:
    """A fault strikes as often as it was counted, only the shard that it names, and not at all once cleared."""
    await listener.faults({"kind": "error", "count": 2, "shard": 3}, {"kind": "reset", "shard": 9})
    assert [await outcome(port, fresh(section([1]))) for _ in range(3)] == ["unknown server_error"] * 2 + ["refused 0"]
    assert [fault["struck"] for fault in await _faults(listener)] == [2, 0]
    await listener.faults({"kind": "error"})
    assert await outcome(port, fresh(section([2]))) == "unknown server_error"
    await listener.faults()
    assert await outcome(port, fresh(section([2]))) == "refused 0"


async def test_killed_between_store_and_answer(listener: Listening, port: FrameGateway, webhook: Hearing) -> None:
    """Killed after the log line and before the answer, it knows the names when it is back, and reports them."""
    await listener.faults({"kind": "accept_then_die", "count": 1})
    sent = fresh(section(range(40)))
    assert await outcome(port, sent) == f"unknown {UnknownKind.RESET}"
    await listener.died()
    await listener.start()
    assert await outcome(port, sent) == "refused 0"
    assert set(listener.visible().values()) == {1}
    assert len(listener.visible()) == 40
    await until(lambda: len(set(webhook.heard("delivered"))) == 40)


async def test_torn_line_is_no_line(listener: Listening, port: FrameGateway) -> None:
    """A line that a kill tore in two was never answered: it is cut off, its names are new, the log stays readable."""
    await port.send(fresh(section([1])), timeout_ms=TIMEOUT_MS)
    await listener.kill()
    log = listener.folder / "gateway" / "campaign" / "events.jsonl"
    whole = log.read_bytes()
    line = next(line for line in whole.splitlines() if b"accepted" in line)
    log.write_bytes(whole + line[: len(line) // 2])
    await listener.start()
    assert await outcome(port, fresh(section([1, 2]))) == "refused 0"
    assert sorted(listener.visible()) == sorted((section([1]).request, person(number)) for number in (1, 2))


async def test_reports_survive_restarts(listener: Listening, port: FrameGateway, webhook: Hearing) -> None:
    """What the webhook has not acknowledged is repeated after kill -9 until it is; what it has, is not."""
    await port.send(fresh(section(range(10))), timeout_ms=TIMEOUT_MS)
    await until(lambda: len(listener.log("report")) == 2)
    webhook.status = 500
    posts = webhook.posts
    await port.send(fresh(section(range(20), request="q")), timeout_ms=TIMEOUT_MS)
    await until(lambda: webhook.posts > posts)
    await listener.kill()
    webhook.status = 200
    webhook.runs.clear()
    await listener.start()
    await until(lambda: len(webhook.heard("delivered")) >= 20)
    await until(lambda: len(listener.log("report")) == 4)
    assert {ref for ref, _ in webhook.heard("delivered")} == {section([1], request="q").ref}
    await listener.stop()
    webhook.runs.clear()
    await listener.start()
    await port.send(fresh(section([1], request="z")), timeout_ms=TIMEOUT_MS)
    await until(lambda: len(listener.log("report")) == 6)
    assert {ref for ref, _ in webhook.heard("sent")} == {section([1], request="z").ref}


async def test_webhook_that_refuses_is_asked_again(listener: Listening, port: FrameGateway, webhook: Hearing) -> None:
    """A batch is repeated whole until the webhook answers 200."""
    webhook.status = 503
    await port.send(fresh(section(range(5))), timeout_ms=TIMEOUT_MS)
    await until(lambda: webhook.posts >= 3)
    assert listener.log("report") == []
    webhook.status = 200
    await until(lambda: len(webhook.heard("delivered")) == 5)


async def test_limits_say_when_to_come_again(tmp_path: Path, webhook: Hearing) -> None:
    """With limits on, the sender's and the pair's throttles answer with codes of their own and the time to wait."""
    async with listening(tmp_path, webhook.url, "--profile", "online") as limited, FrameGateway(limited.url) as port:
        to_one = [section([1], request=f"pair {number}") for number in range(46)]
        *passed, last = (await port.send(fresh(*to_one), timeout_ms=TIMEOUT_MS)).sections
        assert passed == [()] * 45
        assert last == (Refused(0, Code.PAIR_THROTTLED, 6_000),)
        [refusals] = (await port.send(fresh(section(range(10, 210))), timeout_ms=TIMEOUT_MS)).sections
        assert {refused.code for refused in refusals} == {Code.SENDER_THROTTLED}
        assert [refused.position for refused in refusals] == list(range(200 - len(refusals), 200))
        waits = [refused.retry_after_ms for refused in refusals]
        assert waits == [waits[0] + 20 * place for place in range(len(refusals))], "half of 100/s is this lane's"
        assert waits[0] <= 20


def coded(number: int, sealed: str) -> Section:
    """A one-time code for one person, request by number."""
    code = {"template": "code", "category": "authentication", "params": {"code": sealed}}
    return section([number], request=str(number), **code)


async def test_sealed_code(listener: Listening, port: FrameGateway) -> None:
    """A code opens in its own place and on the phone alone: not in the log, and not for anybody else."""
    sealed = seal_code(
        "493027",
        (DEV_SEAL_KID, bytes.fromhex(DEV_SEAL_PUBLIC)),
        request=name("1"),
        address=address(1),
        template="code",
        parameter="code",
    )
    answer = await port.send(fresh(coded(1, sealed), coded(2, sealed)), timeout_ms=TIMEOUT_MS)
    assert answer.sections == ((), (Refused(0, Code.CODE_NOT_OPENED),))
    phones = await listener.ask("/v1/phones")
    assert isinstance(phones, list)
    assert [phone["text"] for phone in phones] == ["Your code: 493027"]
    assert b"493027" not in (listener.folder / "gateway" / "campaign" / "events.jsonl").read_bytes()


async def test_phone_drops_older_versions(listener: Listening, port: FrameGateway) -> None:
    """A lower version of a fact than the phone has shown is accepted, and the phone does not show it."""
    for version, request in ((2, "two"), (1, "one"), (3, "three")):
        newer = section([1], request=request, collapse="gate of AB12", version=version)
        assert await outcome(port, fresh(newer)) == "refused 0"
    phones = await listener.ask("/v1/phones")
    assert isinstance(phones, list)
    assert [phone["dropped"] for phone in phones] == [False, True, False]
    assert len(listener.visible()) == 3


@given(st.lists(st.lists(st.sampled_from(["new", "old", "bad"]), min_size=1, max_size=50), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_positions(listener: Listening, port: FrameGateway, kinds: list[list[str]]) -> None:
    """Whatever mixture of new, known and bad messages a frame holds, each refusal stands at its own place."""
    serial = str(clock.monotonic_ms())
    known = [section(range(50), request=f"{serial} {place}") for place in range(len(kinds))]
    sections = []
    for place, mixture in enumerate(kinds):
        people = [at if kind == "old" else 100 + at for at, kind in enumerate(mixture)]
        each = tuple({"gate": "1"} if kind == "new" else {} for kind in mixture)
        sections.append(
            section(
                people, request=f"{serial} {place}", template="gate", category="utility", params={}, params_each=each
            )
        )
    await port.send(fresh(*known), timeout_ms=TIMEOUT_MS)
    answer = await port.send(fresh(*sections), timeout_ms=TIMEOUT_MS)
    assert [[refused.position for refused in refusals] for refusals in answer.sections] == [
        [at for at, kind in enumerate(mixture) if kind == "bad"] for mixture in kinds
    ]
    assert set(listener.visible().values()) == {1}


async def test_large_frames(listener: Listening, port: FrameGateway) -> None:
    """A frame of 8,192 messages, larger than the HTTP library's own limit, is taken in one piece."""
    sent = fresh(section(range(8_192), params={"what": "x" * 1_000_000}))
    answer = await port.send(sent, timeout_ms=TIMEOUT_MS)
    assert answer.sections == ((),)
    assert len(listener.visible()) == 8_192


def test_every_failure_of_the_library_has_a_kind() -> None:
    """Each exception that the HTTP library or a socket can raise is translated; a new one shows up here."""
    network = {error for error in vars(aiohttp.client_exceptions).values() if isinstance(error, type)}
    raised = {error for error in network if issubclass(error, aiohttp.ClientError)}
    kinds = {error.__name__: kind_of(error.__new__(error)) for error in raised}
    assert {name for name, kind in kinds.items() if kind is UnknownKind.REFUSED} == {
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientProxyConnectionError",
        "ClientSSLError",
        "UnixClientConnectorError",
    }
    assert kinds["ServerTimeoutError"] is UnknownKind.TIME_OUT
    assert kinds["ServerDisconnectedError"] is UnknownKind.RESET
    assert kind_of(TimeoutError()) is UnknownKind.TIME_OUT
    assert kind_of(ConnectionResetError()) is UnknownKind.RESET
    assert {Fenced, Throttled, Unknown} == set(GatewayError.__subclasses__())


async def test_somebody_answers_when_told_to(listener: Listening, port: FrameGateway, webhook: Hearing) -> None:
    """The reply comes as every reply does, signed and about the message that was answered; nobody else can be made to."""
    await port.send(fresh(section([1])), timeout_ms=TIMEOUT_MS)
    said = {"phone": address(1), "business": "acme", "text": "STOPP!"}
    async with aiohttp.ClientSession(listener.url) as session:
        assert (await session.post("/v1/replies", json=said)).status == 202
        assert (await session.post("/v1/replies", json={**said, "phone": address(2)})).status == 404
        assert (await session.post("/v1/replies", json={"phone": address(1)})).status == 400
    await until(lambda: bool(webhook.replies))
    (reply,) = webhook.replies
    assert (reply.body, reply.recipient, reply.rank) == ("STOPP!", text_of(person(1)), 0)
