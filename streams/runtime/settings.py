"""The one module that reads the environment, and the files that it names secrets by.

``Settings`` holds everything that is decided outside the program: parsed once, checked, frozen. Every field has a
default that runs the development set-up on loopback, and a sentence on what it is for (``table()`` lists them).
Variables are called ``FANFARE_`` and the field's name in capitals; empty ones count as unset. Files that hold settings are read
in ``setting_sources.py``. Secrets have *development* values that anybody can compute. Whoever shows settings names those still
in use (``dev_secrets``), and with ``dev`` off a program refuses to start on one that it needs (``own_secrets.py``).
Places that the operating system decides (cache folder, Java) are functions, asked when they are needed.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator

from broker.losses import Loss, accepted_losses
from schemas.lanes import BY_PLACE, Lane, Windows, listed
from schemas.spans import scaled_windows
from schemas.topics import SHARDS
from streams.runtime.kafka_settings import BOOTSTRAP_VARIABLE, KAFKA_SECRETS, PREFIX
from streams.runtime.lane_settings import GatewaySettings
from streams.runtime.setting_sources import (
    CONFIG_VARIABLE,
    IN_FILE,
    PROFILE_VARIABLE,
    SourceError,
    Written,
    key_of,
    near_to,
    profile,
    secret_in_file,
    sentences,
)
from streams.runtime.signing_secrets import MEANING, SigningSecrets, signing_secret_of

DEV_SEAL_KID: Final = "dev1"
DEV_SEAL_PUBLIC: Final = "f26e3c9d814afbffcb95bf37ba4ea67f00d6119cc3b1674e94c03256366f0c14"
"""The public half (X25519, hex) of the development gateway's key: producers seal to it; ``deploy/dev`` registers it."""

_SECRET_BYTES: Final = 32
_LEDGER_NICE: Final = max(lane.rules.nice for lane in Lane)
"""Nobody waits for the books."""
_RESENT: Final = listed((lane.word for lane in Lane if lane.rules.resends_unknown), "and")
_NUMBERS: Final = ", ".join(f"+ {lane} {lane.word}" for lane in Lane)
_PLACES: Final = ", ".join(f"+ {lane.rules.gateway_place} {lane.word}" for lane in BY_PLACE)


class SettingsError(Exception):
    """The environment asks for something that cannot be: the message says which variable and why, never its value."""


def _dev_secret(name: str) -> SecretStr:
    return SecretStr(hashlib.sha256(f"fanfare development {name}".encode()).hexdigest())


def dev_intake_key(business: str) -> str:
    """The API key under which ``deploy/dev`` knows a business; anybody can compute it."""
    return _dev_secret(f"intake key {business}").get_secret_value()


def _demand_hex(secret: SecretStr) -> SecretStr:
    try:
        raw = bytes.fromhex(secret.get_secret_value())
    except ValueError as error:
        raise ValueError("must be hexadecimal") from error
    if len(raw) != _SECRET_BYTES:
        raise ValueError(f"must be {_SECRET_BYTES} bytes, written as {2 * _SECRET_BYTES} hexadecimal digits")
    return secret


def _demand_losses(text: str) -> str:
    accepted_losses(text)
    return text


HexSecret = Annotated[SecretStr, AfterValidator(_demand_hex)]
Port = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 asks the system for any free one."""


def raw(secret: SecretStr) -> bytes:
    """The 32 bytes of a secret of :class:`Settings`."""
    return bytes.fromhex(secret.get_secret_value())


class Settings(GatewaySettings):
    """Everything that is decided outside the program. Made by :func:`load`; arguments win over the environment."""

    data_dir: Path = Field(
        Path(".data"), description="Folder of the ledger, the gateway's log and a development Kafka."
    )
    dev: bool = Field(
        default=True, description="Development: weak topics and development secrets are let pass, and named."
    )
    shards: int = Field(SHARDS, ge=1, le=1024, description="Number of shards; fixed at birth, must match the registry.")
    slot: int = Field(0, ge=0, le=99, description="Place of this worker in its lane's group: its static membership.")
    session_timeout_ms: int = Field(6_000, ge=1_000, description="How long Kafka waits for a silent worker.")
    limits: bool = Field(default=True, description="Sender throughput and pair limits; off only for benchmarks.")
    nice: int | None = Field(
        None,
        ge=0,
        le=19,
        description="How far a worker, a simulated gateway or the ledger gives way to others on its machine (nice), instead "
        f"of {', '.join(f'{lane.word} {lane.rules.nice}' for lane in Lane)}, ledger {_LEDGER_NICE}.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log lines below this are dropped."
    )
    time_scale: float = Field(1.0, ge=1, description="Divides every window and retention, in development alone.")
    settle_ms: int | None = Field(None, ge=100, description="Settle window instead of the lane's own, for tests.")
    accept_trimmed: Annotated[str, AfterValidator(_demand_losses)] = Field(
        "", description="What logs have lost, topic:partition:offset with commas: your word that you go on without it."
    )
    crash_at: str = Field("", description="Points at which to die on purpose, for tests: name, or name:times; commas.")
    heartbeat_ms: int = Field(10_000, ge=100, description="How often a heartbeat message crosses every lane and shard.")

    pepper: HexSecret = Field(_dev_secret("pepper"), description="Key of recipient ids; changing it loses everybody.")
    address_keys: dict[int, HexSecret] = Field(
        {1: _dev_secret("address key 1")},
        min_length=1,
        description="Keys that seal addresses, JSON of number (0 to 255) to 64 hex digits; the highest number seals.",
    )
    ref_secret: HexSecret = Field(
        _dev_secret("ref secret"), description="Proves that a receipt answers a frame of ours."
    )
    webhook_secret: SigningSecrets = Field(signing_secret_of(_dev_secret("webhook secret")), description=MEANING)
    seal_keys: dict[str, HexSecret] = Field(
        {DEV_SEAL_KID: _dev_secret("seal key dev1")},
        description="Private keys (X25519) of the gateway alone, JSON of key id to 64 hex digits; open codes.",
    )

    gateway_dedupes: bool = Field(
        default=True,
        description="Whether the gateway takes a (request, person) once, however often it comes. Off: where no answer came, "
        f"messages of {_RESENT} go again, others end as in_doubt.",
    )
    webhook_url: str = Field(
        "http://127.0.0.1:8820/v1/reports", description="Where the gateway posts receipts and replies."
    )
    webhook_port: Port = Field(8820, description="Port on loopback that the webhook listens on.")
    metrics_host: str = Field("127.0.0.1", description="Interface of /metrics, /livez and /readyz.")
    intake_host: str = Field("127.0.0.1", description="Interface that HTTP intake listens on.")
    intake_port: Port = Field(8830, description="Port that HTTP intake listens on.")
    worker_metrics_port: Port = Field(9810, description=f"Metrics of a worker: {_NUMBERS}, + 100 a slot.")
    webhook_metrics_port: Port = Field(9820, description="Metrics of the webhook.")
    ledger_metrics_port: Port = Field(9830, description="Metrics of the ledger.")
    intake_metrics_port: Port = Field(9850, description="Metrics of HTTP intake.")
    gateway_metrics_port: Port = Field(9840, description=f"Metrics of the gateway: {_PLACES}.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if any(not 0 <= kid <= 255 for kid in self.address_keys):
            raise ValueError("the numbers of FANFARE_ADDRESS_KEYS lie between 0 and 255")
        if self.time_scale != 1 and not self.dev:
            raise ValueError("FANFARE_TIME_SCALE shortens what is kept and remembered: it is for development alone")
        return self

    @property
    def accepted_losses(self) -> frozenset[Loss]:
        """Returns what journals have lost and the operator has accepted."""
        return accepted_losses(self.accept_trimmed)

    @property
    def dev_secrets(self) -> tuple[str, ...]:
        """Fields whose secret is (or contains) the development value; every surface names them as ``dev``."""
        return tuple(name for name in _SECRETS if _reveal(getattr(self, name)) & _reveal(_DEFAULTS[name]))

    @property
    def address_book(self) -> dict[int, bytes]:
        """Key number to key, ascending, as ``schemas.wire.sealed.AddressBook`` takes them."""
        return {kid: raw(self.address_keys[kid]) for kid in sorted(self.address_keys)}

    @property
    def private_seal_keys(self) -> dict[str, bytes]:
        """Key id to private key, as ``schemas.wire.sealed.open_code`` takes them. For the gateway alone."""
        return {kid: raw(secret) for kid, secret in self.seal_keys.items()}

    def windows(self, lane: Lane) -> Windows:
        """The spans of ``lane``: the table's, scaled, with the settle window that tests ask for."""
        windows = scaled_windows(lane.rules.windows, self.time_scale)
        return windows if self.settle_ms is None else msgspec.structs.replace(windows, settle_ms=self.settle_ms)

    def nice_of(self, lane: Lane) -> int:
        """Returns the nice value of processes of ``lane``, 0 to 19."""
        return lane.rules.nice if self.nice is None else self.nice

    @property
    def ledger_nice(self) -> int:
        """Returns the nice value of the ledger, 0 to 19."""
        return _LEDGER_NICE if self.nice is None else self.nice

    def worker_metrics(self, lane: Lane) -> int:
        """The port on which this slot's worker of ``lane`` serves its metrics; 0 stays 0."""
        return self.worker_metrics_port and self.worker_metrics_port + lane + 100 * self.slot

    def gateway_metrics(self, lane: Lane) -> int:
        """The port on which the gateway's listener process of ``lane`` serves its metrics; 0 stays 0."""
        return self.gateway_metrics_port and self.gateway_metrics_port + lane.rules.gateway_place


_SECRETS: Final = ("pepper", "address_keys", "ref_secret", "webhook_secret", "seal_keys")
SECRETS: Final = (*_SECRETS, *KAFKA_SECRETS)
"""Fields that may stand in a file, and that nothing shows."""
_DEFAULTS: Final = {name: field.default for name, field in Settings.model_fields.items()}
_STRUCTURED: Final = {name: isinstance(_DEFAULTS[name], dict) for name in SECRETS}


def _reveal(value: SecretStr | dict[object, SecretStr]) -> set[str]:
    secrets = value.values() if isinstance(value, dict) else (value,)
    return {word for secret in secrets for word in secret.get_secret_value().split()}


def load(**overrides: object) -> Settings:
    """The settings of this process; ``overrides`` (of ``None``: not given) win over the environment.

    The environment wins over a file of settings. Raises :class:`SettingsError` with one sentence a mistake, for an unknown
    variable or key too: a misspelt secret would otherwise quietly be a development one.
    """
    _demand_known()
    try:
        given = {name: value for name, value in overrides.items() if value is not None}
        given |= _secrets_in_files(given)
        written = {name: value for name, value in _profiled().items() if name not in given}
    except SourceError as error:
        raise SettingsError(str(error)) from None
    try:
        return Settings(**given, **{name: each.value for name, each in written.items()})  # type: ignore[arg-type]
    except ValidationError as error:
        named = {variable_of(name): f"{each.place}: {key_of(variable_of(name))}" for name, each in written.items()}
        raise SettingsError("; ".join(sentences(error, named, variable_of))) from None


def _secrets_in_files(given: Collection[str]) -> dict[str, object]:
    asked = ((name, json) for name, json in _STRUCTURED.items() if name not in given)
    found = ((name, secret_in_file(variable_of(name), os.environ, structured=json)) for name, json in asked)
    return {name: secret for name, secret in found if secret is not None}


def _demand_known() -> None:
    known = {variable for variable, _, _ in table()} | {variable_of(name) + IN_FILE for name in SECRETS}
    known |= {CONFIG_VARIABLE, PROFILE_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            raise SettingsError(f"there is no setting {variable}{near_to(variable, known)}")


def _profiled() -> dict[str, Written]:
    """Returns what the file of settings says of each field that the environment does not set."""
    fields = {key_of(variable_of(name)): name for name in _DEFAULTS}
    return {fields[key]: written for key, written in profile(os.environ, fields, _STRUCTURED).items()}


def put(**fields: str) -> None:
    """Sets settings of this process and its children, as options of the command line ask for; ``profile`` is one, too."""
    for name, value in fields.items():
        os.environ.pop(variable_of(name) + IN_FILE, None)
        os.environ[variable_of(name)] = value


def child_environment(**fields: str | int | bool | Path) -> dict[str, str]:
    """The environment of a child process that shall read our settings but for ``fields``. Holds secrets: do not log."""
    hidden = {variable_of(name) + IN_FILE for name in fields}
    inherited = {variable: value for variable, value in os.environ.items() if variable not in hidden}
    return inherited | {variable_of(name): str(value) for name, value in fields.items()}


def variable_of(field: str) -> str:
    """The environment variable of a field of :class:`Settings`."""
    return BOOTSTRAP_VARIABLE if field == "bootstrap" else PREFIX + field.upper()


def table() -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every setting, in order; a secret's default reads ``dev``."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "dev" if name in _SECRETS else "" if field.default is None else str(field.default)
        rows.append((variable_of(name), default, field.description or ""))
    return rows


def cache_folder() -> Path:
    """Where downloads are kept: `$XDG_CACHE_HOME/fanfare`, or `~/.cache/fanfare`; XDG has relative values ignored."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".cache"
    return base / "fanfare"


def java_home() -> Path | None:
    """The Java installation that `JAVA_HOME` names, if it names one."""
    named = os.environ.get("JAVA_HOME", "")
    return Path(named) if named else None


def kafka_bootstrap() -> str | None:
    """Returns the `host:port,...` of a Kafka to use instead of starting one, if the environment or the file names one."""
    return load().bootstrap if os.environ.get(BOOTSTRAP_VARIABLE) or "bootstrap" in _profiled() else None
