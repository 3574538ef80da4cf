"""Settings: defaults that run, refusals that name the variable, secrets that no surface shows."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.lanes import Lane
from schemas.wire.sealed import AddressBook
from streams.runtime.kafka_settings import BOOTSTRAP_VARIABLE, PREFIX
from streams.runtime.own_secrets import NEEDED_BY, with_own_secrets
from streams.runtime.settings import (
    DEV_SEAL_KID,
    DEV_SEAL_PUBLIC,
    Settings,
    SettingsError,
    child_environment,
    load,
    table,
)

Environment = pytest.MonkeyPatch
HEX = "ab" * 32
WHSEC = f"whsec_{HEX}"
"""Hexadecimal digits are digits of base64, too: 48 bytes."""
SECRETS = ("pepper", "address_keys", "ref_secret", "webhook_secret", "seal_keys")


def production(variables: Environment) -> None:
    """Set what a deployment must set."""
    variables.setenv("FANFARE_DEV", "false")
    for name in ("PEPPER", "REF_SECRET"):
        variables.setenv(PREFIX + name, HEX)
    variables.setenv("FANFARE_WEBHOOK_SECRET", WHSEC)
    variables.setenv("FANFARE_ADDRESS_KEYS", f'{{"7": "{HEX}"}}')
    variables.setenv("FANFARE_SEAL_KEYS", "{}")


def test_without_an_environment_everything_is_on_loopback_and_every_secret_is_named_dev(
    environment: Environment,
) -> None:
    """The defaults run the development set-up, and say of each secret that anybody can know it."""
    settings = load()
    assert settings.dev
    assert settings.dev_secrets == SECRETS
    addresses = [settings.bootstrap, settings.webhook_url, settings.metrics_host, *map(settings.gateway_url, Lane)]
    assert all("127.0.0.1" in address for address in addresses)


def test_the_development_key_pair_fits_together(environment: Environment) -> None:
    """What ``deploy/dev`` registers for producers is the public half of what the development gateway opens with."""
    private = X25519PrivateKey.from_private_bytes(load().private_seal_keys[DEV_SEAL_KID])
    assert private.public_key().public_bytes_raw().hex() == DEV_SEAL_PUBLIC


def test_no_port_is_promised_twice(environment: Environment) -> None:
    """Workers of four slots, webhook, ledger, gateway listeners and their metrics: all listed ports differ."""
    settings = load()
    ports = [load(slot=slot).worker_metrics(lane) for lane in Lane for slot in range(4)]
    ports += [settings.gateway_metrics(lane) for lane in Lane]
    ports += [int(settings.gateway_url(lane).rpartition(":")[2]) for lane in Lane]
    ports += [settings.webhook_port, settings.webhook_metrics_port, settings.ledger_metrics_port]
    ports += [settings.intake_port, settings.intake_metrics_port]
    assert len(set(ports)) == len(ports)
    assert {load(worker_metrics_port=0, slot=2).worker_metrics(lane) for lane in Lane} == {0}


def test_production_starts_when_every_secret_is_its_own(environment: Environment) -> None:
    """No secret is a development one; the highest address key seals."""
    production(environment)
    settings = load()
    assert settings.dev_secrets == ()
    assert settings.address_book == {7: bytes.fromhex(HEX)}
    assert AddressBook(settings.address_book).seal("tel:+491701234567")[0] == 7


@pytest.mark.parametrize("left", SECRETS)
def test_production_refuses_each_development_secret_that_a_program_needs(environment: Environment, left: str) -> None:
    """With ``dev`` off, one secret that was forgotten keeps those that use it from starting, and is named; others start."""
    production(environment)
    environment.delenv(PREFIX + left.upper())
    settings = load()
    for command in ("worker", "webhook", "gateway", "ledger", "intake", "audit", "explain", "send", "provision"):
        if command in NEEDED_BY[left]:
            with pytest.raises(SettingsError, match=f"FANFARE_DEV is off .*: {PREFIX + left.upper()}$"):
                with_own_secrets(command, settings)
        else:
            assert with_own_secrets(command, settings) is settings


READ_BY: dict[str, set[str]] = {
    "pepper": {
        "worker/resources",
        "commands/webhook",
        "operate/audit",
        "operate/redrive",
        "commands/explain",
        "operate/backup",
    },
    "address_keys": {"worker/resources", "commands/webhook", "simulator/program", "operate/redrive", "operate/backup"},
    "ref_secret": {"worker/resources", "commands/webhook"},
    "webhook_secret": {"gateway/frames", "simulator/program"},
    "seal_keys": {"simulator/program"},
}
"""Modules that take a secret from the settings. `redrive` seals by it what it throws away; the demo is development."""


def test_whoever_reads_a_secret_is_known() -> None:
    """A new reader is a program that has to demand it (``own_secrets.py``): else it would run on one that anybody knows."""
    called = {"address_keys": "address_book", "seal_keys": "private_seal_keys"}
    root = Path(__file__).parents[3] / "streams"
    found = {
        name: {
            str(path.relative_to(root).with_suffix(""))
            for path in root.rglob("*.py")
            if f"settings.{called.get(name, name)}" in path.read_text() and "dev/demo" not in str(path)
        }
        for name in SECRETS
    }
    assert found == READ_BY


def test_a_secret_that_is_being_changed_is_named_dev_until_the_old_one_is_gone(
    environment: Environment, tmp_path: Path
) -> None:
    """Of several secrets of the webhook, one a line in a file, each is looked at."""
    production(environment)
    development = Settings.model_fields["webhook_secret"].default.get_secret_value()
    held = tmp_path / "webhook"
    held.write_text(f"{WHSEC}\n{development}\n")
    environment.delenv("FANFARE_WEBHOOK_SECRET")
    environment.setenv("FANFARE_WEBHOOK_SECRET_FILE", str(held))
    assert load().dev_secrets == ("webhook_secret",)
    held.write_text(f"{WHSEC}\n{WHSEC[:-8]}\n")
    assert load().dev_secrets == ()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        pytest.param("FANFARE_PEPER", HEX, "no setting FANFARE_PEPER; do you mean FANFARE_PEPPER", id="misspelt"),
        pytest.param("FANFARE_PEPPER", "s3cret", "FANFARE_PEPPER: must be hexadecimal", id="no hex"),
        pytest.param("FANFARE_WEBHOOK_SECRET", HEX, "FANFARE_WEBHOOK_SECRET: must be whsec_ and base64", id="no whsec"),
        pytest.param(
            "FANFARE_WEBHOOK_SECRET", f"{WHSEC} whsec_s3cret", "FANFARE_WEBHOOK_SECRET: must be whsec_", id="one"
        ),
        pytest.param("FANFARE_WEBHOOK_SECRET", " ".join([WHSEC] * 5), "must be one to 4 secrets", id="five secrets"),
        pytest.param("FANFARE_PEPPER", "abcd", "FANFARE_PEPPER: must be 32 bytes", id="too short"),
        pytest.param("FANFARE_ADDRESS_KEYS", f'{{"256": "{HEX}"}}', "between 0 and 255", id="key number"),
        pytest.param("FANFARE_ADDRESS_KEYS", "{}", "FANFARE_ADDRESS_KEYS", id="no address key"),
        pytest.param("FANFARE_SHARDS", "0", "FANFARE_SHARDS", id="no shards"),
        pytest.param("FANFARE_SLOT", "-1", "FANFARE_SLOT", id="slot"),
        pytest.param("FANFARE_LOG_LEVEL", "loud", "FANFARE_LOG_LEVEL", id="level"),
        pytest.param("FANFARE_WEBHOOK_PORT", "65536", "FANFARE_WEBHOOK_PORT", id="port"),
    ],
)
def test_a_bad_variable_is_refused_by_name_and_never_by_value(
    environment: Environment, variable: str, value: str, sentence: str
) -> None:
    """The sentence says which variable and why; what it held is not repeated."""
    environment.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load()
    assert sentence in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert HEX not in str(refused.value)


def test_empty_variables_count_as_unset_and_arguments_win(environment: Environment) -> None:
    """The order is argument, variable, default."""
    environment.setenv("FANFARE_SHARDS", "")
    environment.setenv(BOOTSTRAP_VARIABLE, "kafka-1:9092")
    assert load().shards == 8
    assert load().bootstrap == "kafka-1:9092"
    assert load(bootstrap="kafka-2:9092").bootstrap == "kafka-2:9092"
    assert load(bootstrap=None).bootstrap == "kafka-1:9092"


def test_no_rendering_of_the_settings_shows_a_secret(environment: Environment) -> None:
    """Neither ``repr`` nor ``str`` nor JSON nor a dump holds a digit of one."""
    environment.setenv("FANFARE_PEPPER", HEX)
    settings = load()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert HEX not in shown


def test_settings_do_not_change(environment: Environment) -> None:
    """One object, frozen."""
    with pytest.raises(ValueError, match="frozen"):
        load().slot = 3


def test_windows_are_the_tables_but_for_the_overrides(environment: Environment) -> None:
    """Tests shorten the settle window; everything else stays the lane's."""
    assert load().windows(Lane.UPDATE) == Lane.UPDATE.rules.windows
    short = load(settle_ms=500).windows(Lane.UPDATE)
    assert short == msgspec.structs.replace(Lane.UPDATE.rules.windows, settle_ms=500)


def test_time_that_goes_faster_shortens_every_window_alike(environment: Environment) -> None:
    """What a network takes stays as it is."""
    whole, short = Lane.UPDATE.rules.windows, load(time_scale=3_600).windows(Lane.UPDATE)
    assert short.fold_ms == whole.fold_ms // 3_600
    assert short.stale_ms == whole.idempotency_ms // 3_600 - 83
    assert short.gateway_names_ms == whole.gateway_names_ms // 3_600
    assert (short.frame_ms, short.gateway_timeout_ms) == (whole.frame_ms, whole.gateway_timeout_ms)


def test_time_goes_faster_in_development_alone(environment: Environment) -> None:
    """It shortens what must be remembered."""
    with pytest.raises(SettingsError, match=r"FANFARE_TIME_SCALE .* for development alone"):
        load(time_scale=2, dev=False)
    with pytest.raises(SettingsError, match="FANFARE_TIME_SCALE"):
        load(time_scale=0.5)


def test_a_child_process_reads_the_same_but_for_what_it_is_given(environment: Environment) -> None:
    """The child's environment is ours with the given fields in place of ours."""
    environment.setenv("FANFARE_SLOT", "1")
    given = child_environment(slot=2, bootstrap="kafka:9092")
    assert (given["FANFARE_SLOT"], given[BOOTSTRAP_VARIABLE]) == ("2", "kafka:9092")


def test_every_setting_is_documented(environment: Environment) -> None:
    """One row a field, each with a sentence; a secret's default reads ``dev``."""
    rows = table()
    assert len(rows) == len(Settings.model_fields)
    assert all(meaning.endswith(".") for _, _, meaning in rows)
    assert {variable for variable, default, _ in rows if default == "dev"} >= {
        PREFIX + name.upper() for name in SECRETS
    }
    assert HEX not in str(rows)
