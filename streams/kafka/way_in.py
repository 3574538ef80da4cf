"""Says in a sentence why a Kafka does not let us in: what aiokafka writes into its log, if it says it at all."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.kafka import clients
from streams.kafka.certificates import expired
from streams.runtime.kafka_access import Address, Kafka, Protocol, kafka_at

_TIMEOUT_MS: Final = 3_000
_ENDED: Final = (KafkaConnectionError, ConnectionResetError, asyncio.IncompleteReadError)
_SAFER: Final[Mapping[Protocol, str]] = {
    "PLAINTEXT": ", or SSL, or SASL_SSL",
    "SSL": ", or SASL_SSL",
    "SASL_PLAINTEXT": ", or SASL_SSL",
    "SASL_SSL": "",
}
"""Names what else a listener that ends connections may expect."""
_EXPIRED: Final = 10
_NOT_YET: Final = 9
"""Numbers of OpenSSL (X509_V_ERR_CERT_...)."""


NOT_GRANTED: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""Answers of a broker that knows who we are, and does not let us do this."""


def may_not(address: Address, doing: str) -> str:
    """Returns the sentence for a grant that is missing; ``doing`` is what was refused (``read team-a.charges``)."""
    kafka = kafka_at(address)
    who = kafka.user or "this program"
    return f"{who} may not {doing}{under(kafka)}: `fanfare provision --print-acls` prints what it needs"


def may_not_write(address: Address, topic: str, error: KafkaError) -> str:
    """Returns the sentence for an append that was refused: of the topic that the error names, else of ``topic``, one of ours."""
    if isinstance(error, ClusterAuthorizationFailedError):
        return may_write_nothing(address)
    named = error.args[0] if isinstance(error, TopicAuthorizationFailedError) and error.args else None
    return may_not(address, f"write {named if isinstance(named, str) else kafka_at(address).name(topic)}")


def may_write_nothing(address: Address) -> str:
    """Returns the sentence for who is given no producer id, which takes a grant to write some topic, or one on the cluster."""
    return may_not(address, "Write to any topic, nor IdempotentWrite the cluster")


def under(address: Address) -> str:
    """Returns what stands behind the name of a topic that is refused or absent: the prefix, which may be the mistake."""
    prefix = kafka_at(address).prefix
    return f" (FANFARE_KAFKA_PREFIX is {prefix})" if prefix else ""


async def refusal(address: Address, *, sure: bool = False) -> str | None:
    """Returns why the first of its addresses that is there turns us away, with what to do; None if none is, or it lets us in.

    ``sure`` leaves out what a broker that starts or stops may do too: end a connection.
    """
    kafka = kafka_at(address)
    for host, port in kafka.addresses:
        try:
            await _let_in(kafka, host, int(port))
        except (OSError, KafkaError, TimeoutError, asyncio.IncompleteReadError) as error:
            if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code == _EXPIRED:
                return await expired(kafka, host, int(port))
            said = sentence(kafka, f"{host}:{port}", error)
            if said is not None and not (sure and isinstance(error, _ENDED)):
                return said
        else:
            return None
    return None


async def _let_in(kafka: Kafka, host: str, port: int) -> None:
    """Asks for what only those are told who have logged in; raises what stands in the way.

    Before a login a broker says which requests it knows, and ends the connection at the next one.
    """
    connection = await clients.connection(kafka, host, port, timeout_ms=_TIMEOUT_MS)
    try:
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def sentence(kafka: Kafka, place: str, error: BaseException) -> str | None:
    """Returns what an error of a connection means, with what to do; None for one that says only that nobody is there."""
    match error:
        case ssl.SSLCertVerificationError():
            return _certificate(kafka, place, error)
        case ssl.SSLError():
            return (
                f"{place} does not speak TLS as this program does ({error.reason}): is FANFARE_KAFKA_SECURITY_PROTOCOL="
                f"{kafka.security_protocol} what that listener expects, and does it ask for a client certificate "
                "(FANFARE_KAFKA_CERT_FILE)?"
            )
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return _login(kafka, place)
        case UnsupportedSaslMechanismError():
            return (
                f"{place} does not offer {kafka.sasl_mechanism}: set FANFARE_KAFKA_SASL_MECHANISM to one that it does"
            )
        case IllegalSaslStateError():
            return f"{place} asks for no password: set FANFARE_KAFKA_SECURITY_PROTOCOL to what that listener expects"
        case KafkaConnectionError() | ConnectionResetError() | asyncio.IncompleteReadError():
            return _closed(kafka, place)
        case FileNotFoundError() | PermissionError():
            return f"{error.filename} cannot be read: {error.strerror}"
        case _:
            return None


def _certificate(kafka: Kafka, place: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _NOT_YET:
        return f"the certificate of {place} is not valid yet: compare the clocks of this machine and of that Kafka"
    if "mismatch" in error.verify_message.lower():
        return f"the certificate of {place} is for another name: reach it by a name that stands in it ({error.verify_message})"
    known = "the system's authorities name" if kafka.ca_file is None else f"{kafka.ca_file} names"
    return (
        f"the certificate of {place} is signed by nobody whom {known} ({error.verify_message}): "
        "set FANFARE_KAFKA_CA_FILE to the authority's certificate"
    )


def _login(kafka: Kafka, place: str) -> str:
    if kafka.token_file is not None:
        return f"{place} does not take the token of {kafka.token_file}: has it expired? A new one is read from the same file"
    return (
        f"{place} does not take the password of {kafka.user}: look at FANFARE_KAFKA_USER, FANFARE_KAFKA_PASSWORD (or the file "
        "that FANFARE_KAFKA_PASSWORD_FILE names), and whether that user exists there"
    )


def _closed(kafka: Kafka, place: str) -> str:
    return (
        f"{place} takes connections and ends them: FANFARE_KAFKA_SECURITY_PROTOCOL is {kafka.security_protocol}; is that what "
        f"this listener expects{_SAFER[kafka.security_protocol]}?"
    )
