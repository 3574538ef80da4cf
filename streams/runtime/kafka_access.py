"""The way into a Kafka as one value: addresses, who one is there, and the prefix that a deployment's names have.

Nothing here connects: ``streams/kafka/clients.py`` builds every client from this value. A plain string stands for a Kafka
without security and without a prefix.
"""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from pydantic import SecretStr

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}[._-]")
_TAKEN: Final = ("status.", "billing.")
"""Beginnings of topics of ours: a second deployment with such a prefix would look like a business of the first."""


class Kafka(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a Kafka and how to come in. Printed, it is its addresses: no secret is shown."""

    bootstrap: str
    """``host:port``, several separated by commas."""
    security_protocol: Protocol = "PLAINTEXT"
    """As Kafka's ``security.protocol``: SSL encrypts, SASL says who one is by a mechanism."""
    sasl_mechanism: Mechanism | None = None
    user: str = ""
    """Of PLAIN and SCRAM."""
    password: SecretStr | None = None
    """Of PLAIN and SCRAM."""
    token_file: Path | None = None
    """Holds the token of OAUTHBEARER; read at each connection, so whoever renews it replaces the file."""
    ca_file: Path | None = None
    """PEM of the authorities that may have signed the brokers' certificates; None means those of the system."""
    cert_file: Path | None = None
    """PEM of the client's own certificate, for brokers that ask for one."""
    key_file: Path | None = None
    """PEM of its key; None if ``cert_file`` holds it too."""
    key_password: SecretStr | None = None
    """Opens ``key_file``; None if it is not encrypted."""
    prefix: str = ""
    """Stands before the name of each topic and group in Kafka, so that several deployments share one."""
    options: tuple[tuple[str, int], ...] = ()
    """Of every client, by Kafka's name, milliseconds (``streams/runtime/kafka_options.py``)."""

    def __str__(self) -> str:
        return self.bootstrap

    def __repr__(self) -> str:
        return f"Kafka({self.bootstrap}, {self.security_protocol}, prefix={self.prefix!r})"

    @property
    def addresses(self) -> list[tuple[str, str]]:
        """Returns host and port of each address of ``bootstrap``."""
        return split_addresses(self.bootstrap)

    def name(self, plain: str) -> str:
        """Returns what a topic or group of ours is called in Kafka."""
        return self.prefix + plain

    def plain(self, name: str) -> str | None:
        """Returns what we call a topic of Kafka's; None for one that does not belong to this deployment."""
        return name.removeprefix(self.prefix) if name.startswith(self.prefix) else None


Address: TypeAlias = Kafka | str
"""Names a Kafka to go to; a string is one without security and without a prefix."""


def split_addresses(bootstrap: str) -> list[tuple[str, str]]:
    """Returns host and port of each address; the host is empty where there is no port. Nothing is checked."""
    parts = (address.rpartition(":") for address in bootstrap.split(","))
    return [(host, port) for host, _, port in parts]


def kafka_at(address: Address) -> Kafka:
    """Returns the value that an address stands for."""
    return address if isinstance(address, Kafka) else Kafka(bootstrap=address)


def misfits(kafka: Kafka, *, named: dict[str, str]) -> Iterator[str]:
    """Yields a sentence for each part that does not fit the others, with what to do. ``named``: a field's name for people."""
    if kafka.security_protocol.startswith("SASL"):
        yield from _sasl(kafka, named)
    else:
        given = [field for field in ("sasl_mechanism", "user", "password", "token_file") if getattr(kafka, field)]
        if given:
            verb, them = ("are", "them") if len(given) > 1 else ("is", "it")
            yield (
                f"{', '.join(named[field] for field in given)} {verb} for SASL: set {named['security_protocol']} to SASL_SSL, or "
                f"unset {them}"
            )
    yield from _tls(kafka, named)
    yield from _files(kafka, named)
    if kafka.prefix and (not _PREFIX.fullmatch(kafka.prefix) or kafka.prefix.startswith(_TAKEN)):
        yield (
            f"{named['prefix']} must be letters, digits, dots, dashes and underscores, end with a dot, a dash or an underscore, "
            f"and not begin with {' or '.join(_TAKEN)}"
        )


def _sasl(kafka: Kafka, named: dict[str, str]) -> Iterator[str]:
    if kafka.sasl_mechanism is None:
        yield f"{kafka.security_protocol} needs {named['sasl_mechanism']}: set it to SCRAM-SHA-512, or what the Kafka offers"
    elif kafka.sasl_mechanism == "OAUTHBEARER":
        if kafka.token_file is None:
            yield f"OAUTHBEARER needs {named['token_file']}: set it to the file that holds the token"
        for field in ("user", "password"):
            if getattr(kafka, field):
                yield f"{named[field]} is not for OAUTHBEARER: leave it out, the token says who this is"
    else:
        for field in ("user", "password"):
            if not getattr(kafka, field):
                yield f"{kafka.sasl_mechanism} needs {named[field]}: set it"
        if kafka.token_file is not None:
            yield f"{named['token_file']} is for OAUTHBEARER: set {named['sasl_mechanism']} to it, or leave it out"


def _tls(kafka: Kafka, named: dict[str, str]) -> Iterator[str]:
    given = [field for field in ("ca_file", "cert_file", "key_file", "key_password") if getattr(kafka, field)]
    if not kafka.security_protocol.endswith("SSL"):
        better = "SASL_SSL" if kafka.security_protocol.startswith("SASL") else "SSL"
        for field in given:
            yield f"{named[field]} is for TLS: set {named['security_protocol']} to {better}, or leave it out"
        return
    if kafka.cert_file is None:
        for field in given:
            if field.startswith("key"):
                yield f"{named[field]} needs {named['cert_file']}: set it to the certificate of that key"


def _files(kafka: Kafka, named: dict[str, str]) -> Iterator[str]:
    for field in ("ca_file", "cert_file", "key_file", "token_file"):
        path = getattr(kafka, field)
        if path is not None and not path.is_file():
            yield f"{named[field]}: there is no file {path}"
        elif path is not None and field == "ca_file" and (fault := _no_certificates(path)):
            yield f"{named[field]}: {path} {fault}"


def _no_certificates(path: Path) -> str:
    """Returns what is wrong with a file of authorities; empty for nothing."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "holds no certificate in PEM"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""
