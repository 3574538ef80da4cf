"""The settings of the way into Kafka: a part of ``Settings``, with its own checks."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.runtime.kafka_access import Kafka, Mechanism, Protocol, misfits, split_addresses
from streams.runtime.kafka_options import TUNING, milliseconds, unknown

PREFIX: Final = "FANFARE_"
BOOTSTRAP_VARIABLE: Final = "FANFARE_KAFKA_BOOTSTRAP"
KAFKA_SECRETS: Final = ("kafka_password", "kafka_key_password")


def _demand_addresses(bootstrap: str) -> str:
    if not all(host and port.isdecimal() for host, port in split_addresses(bootstrap)):
        raise ValueError("must be host:port, several separated by commas")
    return bootstrap


def _demand_options(options: dict[str, int]) -> dict[str, int]:
    for key, value in options.items():
        if key not in TUNING:
            raise ValueError(unknown(key))
        milliseconds(key, str(value))
    return options


class KafkaSettings(BaseSettings):
    """Which Kafka, who one is there, and what names have there."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        env_ignore_empty=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    bootstrap: Annotated[str, AfterValidator(_demand_addresses)] = Field(
        "127.0.0.1:9092",
        validation_alias=AliasChoices("bootstrap", BOOTSTRAP_VARIABLE),
        description="Kafka's bootstrap addresses, host:port separated by commas.",
    )
    kafka_security_protocol: Protocol = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as Kafka's security.protocol."
    )
    kafka_sasl_mechanism: Mechanism | None = Field(
        None, description="With SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
    )
    kafka_user: str = Field("", description="Who this is, for PLAIN and SCRAM.")
    kafka_password: SecretStr | None = Field(None, description="Password of that user.")
    kafka_token_file: Path | None = Field(
        None, description="File with the token of OAUTHBEARER, read at each connection: renew it by replacing the file."
    )
    kafka_ca_file: Path | None = Field(
        None, description="With TLS: PEM of the authorities that sign the brokers' certificates; default the system's."
    )
    kafka_cert_file: Path | None = Field(None, description="With TLS: PEM of the client's own certificate, if asked.")
    kafka_key_file: Path | None = Field(None, description="PEM of that certificate's key, if it is in another file.")
    kafka_key_password: SecretStr | None = Field(None, description="Opens that key, if it is encrypted.")
    kafka_prefix: str = Field(
        "", description="Before every topic and group in Kafka (team-a.): several deployments share one Kafka."
    )
    record_format: Literal[1, 2] = Field(
        2,
        description="Newest format of internal records to write: 1 while processes of a release that reads no other run.",
    )
    kafka_options: Annotated[dict[str, int], AfterValidator(_demand_options)] = Field(
        {},
        description="Options of every Kafka client, JSON of Kafka's name to milliseconds: request.timeout.ms, retry.backoff.ms, "
        "metadata.max.age.ms, connections.max.idle.ms.",
    )

    @model_validator(mode="after")
    def _kafka_fits_together(self) -> Self:
        if sentences := list(misfits(self.kafka, named=_NAMED)):
            raise ValueError("; ".join(sentences))
        return self

    @property
    def kafka(self) -> Kafka:
        """Returns the way into Kafka, for everything that goes there."""
        return Kafka(
            bootstrap=self.bootstrap,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            user=self.kafka_user,
            password=self.kafka_password,
            token_file=self.kafka_token_file,
            ca_file=self.kafka_ca_file,
            cert_file=self.kafka_cert_file,
            key_file=self.kafka_key_file,
            key_password=self.kafka_key_password,
            prefix=self.kafka_prefix,
            options=tuple(sorted(self.kafka_options.items())),
        )


_NAMED: Final = {field: f"{PREFIX}KAFKA_{field.upper()}" for field in Kafka.__struct_fields__}
