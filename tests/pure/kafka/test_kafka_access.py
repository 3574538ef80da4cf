"""The way into Kafka: what fits together, where secrets may stand, what names become, and that nothing shows a secret."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from streams.runtime.kafka_access import Kafka, kafka_at
from streams.runtime.kafka_settings import PREFIX
from streams.runtime.settings import SettingsError, child_environment, load

Environment = pytest.MonkeyPatch
SECRET = "correct-horse"
SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_USER": "worker",
    "KAFKA_PASSWORD": SECRET,
}


def put(variables: Environment, given: dict[str, str]) -> None:
    """Sets variables of ours; an empty value is one that is not set."""
    for name, value in given.items():
        variables.setenv(PREFIX + name, value)


FITTING: list[dict[str, str]] = [
    {},
    {"KAFKA_SECURITY_PROTOCOL": "SSL"},
    SCRAM,
    SCRAM | {"KAFKA_SASL_MECHANISM": "PLAIN"},
    SCRAM | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
    {"KAFKA_PREFIX": "team-a."},
]

REFUSED: list[tuple[dict[str, str], str]] = [
    (SCRAM | {"KAFKA_PASSWORD": ""}, "SCRAM-SHA-512 needs FANFARE_KAFKA_PASSWORD: set it"),
    (SCRAM | {"KAFKA_USER": ""}, "SCRAM-SHA-512 needs FANFARE_KAFKA_USER: set it"),
    (SCRAM | {"KAFKA_SASL_MECHANISM": ""}, "SASL_SSL needs FANFARE_KAFKA_SASL_MECHANISM: set it to SCRAM-SHA-512"),
    (SCRAM | {"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "OAUTHBEARER needs FANFARE_KAFKA_TOKEN_FILE: set it to the file"),
    (SCRAM | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "FANFARE_KAFKA_SASL_MECHANISM: Input should be"),
    (
        SCRAM | {"KAFKA_SECURITY_PROTOCOL": "SSL"},
        "KAFKA_USER, FANFARE_KAFKA_PASSWORD are for SASL: set FANFARE_KAFKA_SECURITY_PROTOCOL to SASL_SSL, or unset them",
    ),
    ({"KAFKA_USER": "me"}, "FANFARE_KAFKA_USER is for SASL: set FANFARE_KAFKA_SECURITY_PROTOCOL to SASL_SSL, or unset it"),
    (SCRAM | {"KAFKA_TOKEN_FILE": "token"}, "FANFARE_KAFKA_TOKEN_FILE is for OAUTHBEARER"),
    ({"KAFKA_CA_FILE": "ca.pem"}, "FANFARE_KAFKA_CA_FILE is for TLS: set FANFARE_KAFKA_SECURITY_PROTOCOL to SSL"),
    ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_FILE": "/no/ca.pem"}, "FANFARE_KAFKA_CA_FILE: there is no file /no/ca.pem"),
    ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_KEY_FILE": "/no/key"}, "FANFARE_KAFKA_KEY_FILE needs FANFARE_KAFKA_CERT_FILE"),
    ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_KEY_PASSWORD": "x"}, "FANFARE_KAFKA_KEY_PASSWORD needs FANFARE_KAFKA_CERT"),
    ({"KAFKA_PREFIX": "team"}, "FANFARE_KAFKA_PREFIX must be"),
    ({"KAFKA_PREFIX": "team a."}, "FANFARE_KAFKA_PREFIX must be"),
    ({"KAFKA_PREFIX": "status.b."}, "and not begin with status. or billing."),
]  # fmt: skip


@pytest.mark.parametrize("chosen", FITTING, ids=str)
def test_what_fits_together_is_taken(chosen: dict[str, str], environment: Environment) -> None:
    """Every protocol and mechanism that needs no file, and a prefix."""
    put(environment, chosen)
    kafka = load().kafka
    assert kafka.security_protocol == chosen.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    assert kafka.prefix == chosen.get("KAFKA_PREFIX", "")
    assert (kafka.password is None) == ("KAFKA_PASSWORD" not in chosen)


@pytest.mark.parametrize(("chosen", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_does_not_fit_is_refused_with_what_to_do(
    chosen: dict[str, str], sentence: str, environment: Environment
) -> None:
    """One sentence for each mistake, by the variable, without a secret."""
    put(environment, chosen)
    with pytest.raises(SettingsError) as refused:
        load()
    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_file_without_a_certificate_is_refused(environment: Environment, tmp_path: Path) -> None:
    """By the setting and in words, before a library says it in its own."""
    held = tmp_path / "ca.pem"
    put(environment, {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_FILE": str(held)})
    for content in ("", "secret", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        held.write_text(content)
        with pytest.raises(SettingsError, match=f"^FANFARE_KAFKA_CA_FILE: {held} holds no certificate in PEM$"):
            load()


def test_a_token_comes_from_its_file(environment: Environment, tmp_path: Path) -> None:
    """OAUTHBEARER needs no user and no password."""
    token = tmp_path / "token"
    token.write_text("abc")
    put(environment, {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"})
    environment.setenv("FANFARE_KAFKA_TOKEN_FILE", str(token))
    assert load().kafka.token_file == token


def test_a_secret_may_stand_in_a_file(environment: Environment, tmp_path: Path) -> None:
    """Without the end of its line; a child process finds it there too, but for what it is given."""
    put(environment, SCRAM | {"KAFKA_PASSWORD": ""})
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    environment.setenv("FANFARE_KAFKA_PASSWORD_FILE", str(path))
    assert load().kafka.password == SecretStr(SECRET)
    assert child_environment(slot=1)["FANFARE_KAFKA_PASSWORD_FILE"] == str(path)
    assert "FANFARE_KAFKA_PASSWORD_FILE" not in child_environment(kafka_password="other")


def test_secrets_of_json_may_stand_in_a_file(environment: Environment, tmp_path: Path) -> None:
    """Keys by number, as the variable would hold them."""
    path = tmp_path / "keys.json"
    path.write_text('{"7": "' + "ab" * 32 + '"}\n')
    environment.setenv("FANFARE_ADDRESS_KEYS_FILE", str(path))
    assert load().address_book == {7: b"\xab" * 32}


def test_a_secret_in_two_places_or_in_no_file_is_refused(environment: Environment, tmp_path: Path) -> None:
    """Nobody could tell which of them counts."""
    put(environment, SCRAM)
    environment.setenv("FANFARE_KAFKA_PASSWORD_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="are both set: leave one of them out"):
        load()
    environment.delenv("FANFARE_KAFKA_PASSWORD")
    with pytest.raises(SettingsError, match="gone cannot be read: No such file"):
        load()
    (tmp_path / "gone").write_text("{")
    environment.setenv("FANFARE_SEAL_KEYS_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="does not hold what FANFARE_SEAL_KEYS would"):
        load()


def test_nothing_shows_a_password(environment: Environment) -> None:
    """Neither of the settings nor of the way in."""
    put(environment, SCRAM)
    settings = load()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.kafka), f"{settings.kafka}"):
        assert SECRET not in shown


@given(prefix=st.sampled_from(("", "a.", "team-b.", "x_")), topic=st.text("abc.-_", min_size=1))
def test_a_name_comes_back_as_it_went(prefix: str, topic: str) -> None:
    """The border adds the prefix and takes it off again; without one nothing changes."""
    kafka = Kafka(bootstrap="kafka:9092", prefix=prefix)
    assert kafka.plain(kafka.name(topic)) == topic
    assert kafka_at("kafka:9092").name(topic) == topic


def test_a_topic_of_another_deployment_is_not_ours() -> None:
    """Two prefixes on one Kafka do not see each other."""
    kafka = Kafka(bootstrap="kafka:9092", prefix="a.")
    assert kafka.plain("b.charges") is None
    assert kafka.plain("charges") is None
