"""Converts `-X key=value`, as Kafka and its tools name the options of a client, to settings."""

from collections.abc import Iterable, Mapping
from typing import Final

from streams.runtime.setting_sources import near_to

SETTING_OF: Final[Mapping[str, str]] = {
    "bootstrap.servers": "bootstrap",
    "security.protocol": "kafka_security_protocol",
    "sasl.mechanism": "kafka_sasl_mechanism",
    "sasl.mechanisms": "kafka_sasl_mechanism",
    "sasl.username": "kafka_user",
    "sasl.password": "kafka_password",
    "ssl.ca.location": "kafka_ca_file",
    "ssl.certificate.location": "kafka_cert_file",
    "ssl.key.location": "kafka_key_file",
    "ssl.key.password": "kafka_key_password",
}
"""Options that say how to come in, and the setting that each is."""

TUNING: Final[Mapping[str, str]] = {
    "connections.max.idle.ms": "connections_max_idle_ms",
    "metadata.max.age.ms": "metadata_max_age_ms",
    "request.timeout.ms": "request_timeout_ms",
    "retry.backoff.ms": "retry_backoff_ms",
}
"""Options of every client, milliseconds, and what aiokafka calls them. None of them can lose or repeat a record."""


def parsed(pairs: Iterable[str]) -> tuple[dict[str, str], dict[str, int]]:
    """Returns settings by field, and tuning by Kafka's name; ``ValueError`` with the nearest name for an unknown option."""
    fields: dict[str, str] = {}
    tuning: dict[str, int] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"-X {pair}: give KEY=VALUE")
        if key in SETTING_OF:
            fields[SETTING_OF[key]] = value
        elif key in TUNING:
            tuning[key] = milliseconds(key, value)
        else:
            raise ValueError(unknown(key))
    return fields, tuning


def milliseconds(key: str, value: str) -> int:
    """Returns the value of an option of :data:`TUNING`; ``ValueError`` if it is no span."""
    if not value.isdecimal() or not int(value):
        raise ValueError(f"{key} is a number of milliseconds, at least 1")
    return int(value)


def unknown(key: str) -> str:
    """Returns the sentence about an option that there is not."""
    known = [*SETTING_OF, *TUNING]
    hint = near_to(key, known) or f"; there are: {', '.join(known)}"
    return f"there is no option {key} of a Kafka client that may be set{hint}"
