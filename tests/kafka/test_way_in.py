"""What somebody reads whose Kafka turns him away: one sentence, with what to do. No Kafka is needed for it."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.dev.kafka.security import certificates
from streams.kafka.way_in import refusal
from streams.runtime import clock
from streams.runtime.kafka_access import Kafka
from streams.runtime.ports import free_ports

Writer = asyncio.StreamWriter


@contextlib.asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Lends the address of a listener that ends every connection at once."""

    async def end(_: asyncio.StreamReader, writer: Writer) -> None:
        writer.close()

    port = free_ports(1)[0]
    async with await asyncio.start_server(end, "127.0.0.1", port, ssl=context):
        yield f"127.0.0.1:{port}"


def tls(folder: Path, *, began_days_ago: float, days: float) -> tuple[ssl.SSLContext, Path]:
    """Returns a listener's side of TLS, with a certificate of that age, and who signed it."""
    began = dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC) - dt.timedelta(days=began_days_ago)
    ca, node = certificates(began, days=days)
    (folder / "ca.pem").write_bytes(ca)
    (folder / "node.pem").write_bytes(node)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem")
    return context, folder / "ca.pem"


@pytest.mark.parametrize(
    ("began_days_ago", "days", "sentence"),
    [(10, 5, "has expired: whoever runs that Kafka renews it"), (-5, 10, "is not valid yet: compare the clocks")],
)
async def test_a_certificate_out_of_time_is_named(
    began_days_ago: float, days: float, sentence: str, tmp_path: Path
) -> None:
    """Expired, or not valid yet."""
    context, ca = tls(tmp_path, began_days_ago=began_days_ago, days=days)
    async with listening(context) as address:
        said = await refusal(Kafka(bootstrap=address, security_protocol="SSL", ca_file=ca), sure=True)
    assert said is not None
    assert f"the certificate of {address} {sentence}" in said


async def test_a_certificate_for_another_name_is_named(tmp_path: Path) -> None:
    """It is for 127.0.0.1 and localhost, and not for another address of this machine."""
    context, ca = tls(tmp_path, began_days_ago=0, days=1)
    async with listening(context) as address:
        other = address.replace("127.0.0.1", "127.0.0.2")
        async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.2", int(other[10:]), ssl=context):
            said = await refusal(Kafka(bootstrap=other, security_protocol="SSL", ca_file=ca))
    assert said is not None
    assert "is for another name" in said


async def test_an_ended_connection_is_a_reason_only_for_people() -> None:
    """A broker that restarts does the same, so a process does not refuse to start for it."""
    async with listening() as address:
        kafka = Kafka(bootstrap=address)
        assert "FANFARE_KAFKA_SECURITY_PROTOCOL is PLAINTEXT" in (await refusal(kafka) or "")
        assert await refusal(kafka, sure=True) is None


async def test_nobody_there_is_not_a_refusal() -> None:
    """Other sentences say that."""
    assert await refusal(f"127.0.0.1:{free_ports(1)[0]}") is None
