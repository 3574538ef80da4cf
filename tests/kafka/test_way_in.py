"""What somebody reads whose Kafka turns him away: one sentence, with what to do. No Kafka is needed for it."""

import asyncio
import contextlib
import datetime as dt
import re
import ssl
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiokafka.protocol.admin import ApiVersionResponse_v0
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from streams.dev.kafka.security import MAY_SIGN, certificates
from streams.kafka.way_in import refusal
from streams.runtime import clock
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Kafka
from streams.runtime.ports import free_ports
from streams.runtime.settings import child_environment

Writer = asyncio.StreamWriter


@contextlib.asynccontextmanager
async def listening(context: ssl.SSLContext | None = None, *, versions: bool = False) -> AsyncIterator[str]:
    """Lends the address of a listener that ends every connection at once, or after it has told the ``versions`` it knows."""

    async def end(reader: asyncio.StreamReader, writer: Writer) -> None:
        if versions:
            asked = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
            answer = asked[4:8] + ApiVersionResponse_v0(error_code=0, api_versions=[(3, 0, 5), (18, 0, 2)]).encode()
            writer.write(len(answer).to_bytes(4) + answer)
            await reader.read(1)
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
    [
        (10, 5, r"has expired \(20..-..-..\): whoever runs that Kafka renews it"),
        (-5, 10, "is not valid yet: compare the clocks"),
    ],
)
async def test_a_certificate_out_of_time_is_named(
    began_days_ago: float, days: float, sentence: str, tmp_path: Path
) -> None:
    """Expired, or not valid yet."""
    context, ca = tls(tmp_path, began_days_ago=began_days_ago, days=days)
    async with listening(context) as address:
        said = await refusal(Kafka(bootstrap=address, security_protocol="SSL", ca_file=ca), sure=True)
    assert said is not None
    assert re.match(f"the certificate of {address} {sentence}", said)


async def test_an_authority_out_of_time_is_told_from_the_brokers_certificate(tmp_path: Path) -> None:
    """The file of ours is to be changed, not the broker; the newest of several that have expired is named."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC)
    ended = now - dt.timedelta(days=3)
    (tmp_path / "ca.pem").write_bytes(signed(key, key, "authority", ended))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "node.pem").write_bytes(private + signed(key, key, "127.0.0.1", now + dt.timedelta(days=3)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "node.pem")
    ca = tmp_path / "ca.pem"
    async with listening(context) as address:
        said = await refusal(Kafka(bootstrap=address, security_protocol="SSL", ca_file=ca), sure=True)
    assert said == f"the authority in {ca} has expired ({ended:%Y-%m-%d}): set FANFARE_KAFKA_CA_FILE to the new one"


def signed(key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, name: str, ends: dt.datetime) -> bytes:
    """Returns a certificate by the authority, as PEM; the authority's own if that is its name."""
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if name == "authority":
        made = made.add_extension(MAY_SIGN, critical=True)
    return made.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)


async def test_a_listener_that_wants_a_login_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    """Before a login a broker says which requests it knows, and ends the connection at the next one."""
    context, ca = tls(tmp_path, began_days_ago=0, days=1)
    async with listening(context, versions=True) as address:
        said = await refusal(Kafka(bootstrap=address, security_protocol="SSL", ca_file=ca))
    assert said == (
        f"{address} takes connections and ends them: FANFARE_KAFKA_SECURITY_PROTOCOL is SSL; is that what this listener "
        "expects, or SASL_SSL?"
    )


@pytest.mark.parametrize("process", [("worker", "--lane", "otp"), ("webhook",), ("ledger",), ("intake",)], ids=" ".join)
async def test_a_refused_start_is_told_in_one_line(process: tuple[str, ...], tmp_path: Path) -> None:
    """What the library says about the same connection, over and over, is dropped."""
    context, ca = tls(tmp_path, began_days_ago=10, days=5)
    async with listening(context) as address:
        fields: dict[str, str | int | Path] = {
            "bootstrap": address,
            "kafka_security_protocol": "SSL",
            "kafka_ca_file": str(ca),
            "data_dir": tmp_path,
        }
        ports = ("worker_metrics_port", "webhook_port", "webhook_metrics_port", "ledger_metrics_port")
        free = dict.fromkeys((*ports, "intake_port", "intake_metrics_port"), 0)
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams.cli", *process),
            env=child_environment(**fields, **free),
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await started.communicate()
    (line,) = told.decode().splitlines()
    assert f"the certificate of {address} has expired" in line
    assert started.returncode == Exit.REFUSED_START


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
