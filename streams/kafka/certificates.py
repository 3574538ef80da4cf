"""Tells until when certificates of a way into Kafka are good: the one that a broker shows, those of the authorities in a file.

OpenSSL says that a certificate of the chain has expired, and Python does not pass on which: the dates say it.
"""

import asyncio
import datetime as dt
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from streams.runtime import clock
from streams.runtime.kafka_access import Kafka

_TIMEOUT_S: Final = 3.0


async def expired(kafka: Kafka, host: str, port: int) -> str:
    """Returns the sentence about a broker whose chain has a certificate that has expired: whose, since when, what to do."""
    now = dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC)
    place = f"{host}:{port}"
    shown = await _shown(host, port)
    if shown is not None and shown.not_valid_after_utc < now:
        return f"the certificate of {place} has expired ({_day(shown)}): whoever runs that Kafka renews it"
    if kafka.ca_file is not None:
        old = [each for each in _authorities(kafka.ca_file) if each.not_valid_after_utc < now]
        if old:
            last = max(old, key=lambda each: each.not_valid_after_utc)
            return (
                f"the authority in {kafka.ca_file} has expired ({_day(last)}): set FANFARE_KAFKA_CA_FILE to the new one"
            )
    return f"an authority that the certificate of {place} hangs on has expired: whoever runs that Kafka renews it"


def _day(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _authorities(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


async def _shown(host: str, port: int) -> x509.Certificate | None:
    """Returns the certificate that whoever listens there shows, unchecked; nothing is told to him. None if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return None
    try:
        held = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(held)
    except ValueError:
        return None
    finally:
        writer.close()
