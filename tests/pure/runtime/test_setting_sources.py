"""Settings from files and from `-X`: profiles over what holds for all, the environment over both, mistakes with their place."""

from pathlib import Path

import pytest

from streams.runtime.kafka_options import parsed
from streams.runtime.settings import SettingsError, kafka_bootstrap, load

Environment = pytest.MonkeyPatch
FILE = """\
log_level = "warning"

[profile.prod]
kafka_bootstrap = "kafka:9093"
kafka_security_protocol = "SASL_SSL"
kafka_sasl_mechanism = "SCRAM-SHA-512"
kafka_user = "operator"
kafka_password_file = "secret"
data_dir = "data"

[profile.test]
log_level = "debug"
"""


@pytest.fixture
def environment(environment: Environment, tmp_path: Path) -> Environment:
    """A working folder with a file of settings, and an environment without a variable of ours."""
    (tmp_path / "fanfare.toml").write_text(FILE, "utf-8")
    (tmp_path / "secret").write_text("hunter2\n", "utf-8")
    environment.chdir(tmp_path)
    return environment


def test_what_stands_at_the_top_holds_for_every_profile(environment: Environment) -> None:
    """Without a profile it is all that counts."""
    assert load().log_level == "warning"
    assert kafka_bootstrap() is None


def test_a_profile_wins_over_the_top_and_the_environment_over_both(environment: Environment, tmp_path: Path) -> None:
    """Secrets may stand in files; relative paths begin at the file's folder."""
    environment.setenv("FANFARE_PROFILE", "prod")
    environment.setenv("FANFARE_KAFKA_USER", "somebody")
    kafka = load().kafka
    assert (kafka.bootstrap, kafka.security_protocol, kafka.user) == ("kafka:9093", "SASL_SSL", "somebody")
    assert kafka.password is not None
    assert kafka.password.get_secret_value() == "hunter2"
    assert load().data_dir.resolve() == tmp_path / "data"
    assert (load().log_level, load(log_level="error").log_level) == ("warning", "error")
    assert kafka_bootstrap() == "kafka:9093"
    environment.delenv("FANFARE_KAFKA_USER")
    environment.setenv("FANFARE_PROFILE", "test")
    assert load().log_level == "debug"


def test_the_file_may_stand_elsewhere(environment: Environment, tmp_path: Path) -> None:
    """FANFARE_CONFIG names it; then that of the working folder does not count."""
    (tmp_path / "other.toml").write_text("slot = 2\n", "utf-8")
    environment.setenv("FANFARE_CONFIG", "other.toml")
    assert (load().slot, load().log_level) == (2, "info")


MISTAKES = {
    "an unknown key": ("a = 1\nkafka_usr = 'x'\n", "", "fanfare.toml:1: there is no setting a"),
    "a misspelt key": (
        "[profile.p]\n\nkafka_usr = 'x'\n",
        "",
        "fanfare.toml:3: there is no setting kafka_usr; do you mean kafka_user?",
    ),
    "a value that cannot be": ("\nshards = 0\n", "", "fanfare.toml:2: shards: Input should be greater than"),
    "a profile that is none": (FILE, "prd", "there is no profile 'prd'; do you mean prod?; there are: prod, test"),
    "a secret twice": ("pepper = 'x'\npepper_file = 'y'\n", "", "fanfare.toml:2: pepper and pepper_file are both set"),
    "a secret that is not there": (
        "pepper_file = 'y'\n",
        "",
        "fanfare.toml:1: pepper_file: y cannot be read: No such file",
    ),
    "no TOML": ("pepper\n", "", "fanfare.toml is no TOML"),
    "a profile that is no table": ("profile = 1\n", "", "a profile is a table, [profile.NAME]"),
}


@pytest.mark.parametrize(("text", "profile", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_place(
    environment: Environment, tmp_path: Path, text: str, profile: str, sentence: str
) -> None:
    """And with the nearest name; a value is never shown."""
    (tmp_path / "fanfare.toml").write_text(text, "utf-8")
    environment.setenv("FANFARE_PROFILE", profile)
    with pytest.raises(SettingsError) as refused:
        load()
    assert sentence in str(refused.value)


def test_a_profile_needs_a_file(environment: Environment, tmp_path: Path) -> None:
    """Otherwise somebody believes to be elsewhere."""
    (tmp_path / "fanfare.toml").unlink()
    environment.setenv("FANFARE_PROFILE", "prod")
    with pytest.raises(SettingsError, match="there is no profile 'prod': no FANFARE_CONFIG is set"):
        load()


def test_options_are_given_by_the_names_of_kafka() -> None:
    """Ways in are settings; the others are spans of every client."""
    given = ["security.protocol=SSL", "ssl.ca.location=/ca.pem", "request.timeout.ms=60000"]
    fields = {"kafka_security_protocol": "SSL", "kafka_ca_file": "/ca.pem"}
    assert parsed(given) == (fields, {"request.timeout.ms": 60_000})


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("acks=1", "there is no option acks"),
        ("sasl.user=x", "do you mean sasl.username?"),
        ("request.timeout.ms=soon", "request.timeout.ms is a number of milliseconds"),
        ("sasl.username", "give KEY=VALUE"),
    ],
)
def test_options_that_could_lose_records_are_refused(pair: str, sentence: str) -> None:
    """As are those that are none."""
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        parsed([pair])


def test_options_reach_every_client(environment: Environment) -> None:
    """As part of the way in; one that is not allowed is refused as a setting, too."""
    environment.setenv("FANFARE_KAFKA_OPTIONS", '{"request.timeout.ms": 60000}')
    assert load().kafka.options == (("request.timeout.ms", 60_000),)
    environment.setenv("FANFARE_KAFKA_OPTIONS", '{"acks": 1}')
    with pytest.raises(SettingsError, match="FANFARE_KAFKA_OPTIONS: there is no option acks"):
        load()
