"""Clients as they are built: every kind comes in the same way, and a token is read when it is needed. No Kafka is needed."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streams.kafka import clients
from streams.runtime.kafka_access import Kafka

PASSWORD = "correct-horse"
SCRAM = Kafka(
    bootstrap="127.0.0.1:9092",
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="SCRAM-SHA-256",
    user="worker",
    password=SecretStr(PASSWORD),
    prefix="team-a.",
)


async def way_in_of(client: Any) -> Any:
    """Returns what holds the way in of a consumer, a producer or an administrator, which is closed."""
    await (client.close if hasattr(client, "close") else client.stop)()
    return getattr(client, "_client", None) or client.client


async def test_every_kind_of_client_comes_in_the_same_way() -> None:
    """Protocol, mechanism, user and password reach consumer, member, producer and administrator."""
    built: list[Any] = [
        clients.consumer(SCRAM, "c"),
        clients.member(SCRAM, "fanfare-otp", "otp-0"),
        clients.producer(SCRAM, "p"),
        clients.admin_client(SCRAM),
    ]
    for client in built:
        held = await way_in_of(client)
        assert (held._security_protocol, held._sasl_mechanism) == ("SASL_PLAINTEXT", "SCRAM-SHA-256")
        assert (held._sasl_plain_username, held._sasl_plain_password) == ("worker", PASSWORD)
    assert built[1]._group_id == "team-a.fanfare-otp"


async def test_a_plain_address_is_a_kafka_in_clear() -> None:
    """As ever: nothing is encrypted, nobody logs in, names stay as they are."""
    held = await way_in_of(clients.consumer("127.0.0.1:9092", "c"))
    assert (held._security_protocol, held._ssl_context, held._sasl_plain_username) == ("PLAINTEXT", None, None)
    assert clients.place("127.0.0.1:9092", "charges", 3) == ("charges", 3)
    assert clients.place(SCRAM, "charges", 3) == ("team-a.charges", 3)


async def test_a_token_is_read_anew_at_each_connection(tmp_path: Path) -> None:
    """Whoever renews it replaces the file; no process is started again."""
    path = tmp_path / "token"
    kafka = Kafka(
        bootstrap="127.0.0.1:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        token_file=path,
    )
    provider = (await way_in_of(clients.consumer(kafka, "c")))._sasl_oauth_token_provider
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        assert await provider.token() == token
