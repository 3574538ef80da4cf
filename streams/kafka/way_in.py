"""Says in a sentence why a Kafka does not let us in: what aiokafka writes into its log, if it says it at all."""

import asyncio
import ssl
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

from streams.kafka import clients
from streams.runtime.kafka_access import Address, Kafka, kafka_at

_TIMEOUT_MS: Final = 3_000
_ENDED: Final = (KafkaConnectionError, ConnectionResetError, asyncio.IncompleteReadError)
_EXPIRED: Final = 10
_NOT_YET: Final = 9
"""Numbers of OpenSSL (X509_V_ERR_CERT_...)."""


NOT_GRANTED: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""Answers of a broker that knows who we are, and does not let us do this."""


def may_not(address: Address, doing: str) -> str:
    """Returns the sentence for a grant that is missing; ``doing`` is what was refused (``read charges``)."""
    return (
        f"{kafka_at(address).user or 'this program'} may not {doing} in this Kafka: `fanfare provision --print-acls` prints the "
        "grants that each process and each business needs"
    )


async def refusal(address: Address, *, sure: bool = False) -> str | None:
    """Returns why the first of its addresses that is there turns us away, with what to do; None if none is, or it lets us in.

    ``sure`` leaves out what a broker that starts or stops may do too: end a connection.
    """
    kafka = kafka_at(address)
    for host, port in kafka.addresses:
        try:
            connection = await clients.connection(kafka, host, int(port), timeout_ms=_TIMEOUT_MS)
        except (OSError, KafkaError, TimeoutError, asyncio.IncompleteReadError) as error:
            said = sentence(kafka, f"{host}:{port}", error)
            if said is not None and not (sure and isinstance(error, _ENDED)):
                return said
        else:
            connection.close()
            return None
    return None


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
    if error.verify_code == _EXPIRED:
        return f"the certificate of {place} has expired: whoever runs that Kafka renews it"
    if error.verify_code == _NOT_YET:
        return f"the certificate of {place} is not valid yet: compare the clocks of this machine and of that Kafka"
    if "mismatch" in error.verify_message.lower():
        return f"the certificate of {place} is for another name: reach it by a name that stands in it ({error.verify_message})"
    known = "the system's authorities" if kafka.ca_file is None else str(kafka.ca_file)
    return (
        f"the certificate of {place} is signed by nobody whom {known} names ({error.verify_message}): "
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
        f"{place} takes connections and ends them at once: FANFARE_KAFKA_SECURITY_PROTOCOL is {kafka.security_protocol}; is that "
        "what this listener expects?"
    )
