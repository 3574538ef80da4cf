"""A secured development Kafka: what its nodes are told, its certificates, and that its files are for its owner alone."""

import datetime as dt
from pathlib import Path

from cryptography import x509

from streams.dev.kafka.properties import Doors, NodePlan, node_properties
from streams.dev.kafka.security import Secured, Security, administrator, certificates

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
DOORS = Doors(Path("/s/node.pem"), Path("/s/ca.pem"), "SCRAM-SHA-512", "broker", "secret", super_users="User:admin")


def settings(doors: Doors | None) -> dict[str, str]:
    """Returns the properties of one node as Kafka reads them."""
    plan = NodePlan(1, Path("/data/n1"), 19_001, 20_001)
    text = node_properties(plan, [plan], broker_session_ms=6_000, doors=doors)
    pairs = [line.partition("=")[::2] for line in text.splitlines() if line and not line.startswith("#")]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_without_security_nothing_is_said_of_it() -> None:
    """A plain node has one door for clients, in clear, and no authorizer."""
    given = settings(None)
    assert given["listeners"] == "PLAINTEXT://127.0.0.1:19001,CONTROLLER://127.0.0.1:20001"
    assert not [name for name in given if name.startswith(("ssl.", "sasl.", "authorizer", "super.users"))]


def test_a_secured_node_has_no_door_in_clear() -> None:
    """Clients come by TLS and password, controllers by certificate, and what is not granted is refused."""
    given = settings(DOORS)
    assert given["listeners"] == "SASL_SSL://127.0.0.1:19001,CONTROLLER://127.0.0.1:20001"
    assert given["inter.broker.listener.name"] == "SASL_SSL"
    assert "CONTROLLER:SSL" in given["listener.security.protocol.map"].split(",")
    assert given["listener.name.controller.ssl.client.auth"] == "required"
    assert given["allow.everyone.if.no.acl.found"] == "false"
    assert given["super.users"] == "User:admin"


def test_the_certificate_is_for_this_machine_and_for_days() -> None:
    """Signed by the authority that clients are given, for the loopback's name and number, and it ends."""
    ca_pem, node_pem = certificates(NOW, days=30)
    authority, node = x509.load_pem_x509_certificate(ca_pem), x509.load_pem_x509_certificates(node_pem)[0]
    node.verify_directly_issued_by(authority)
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["127.0.0.1", "localhost"]
    assert node.not_valid_after_utc - NOW == dt.timedelta(days=30)


def test_the_files_are_for_their_owner_and_stay(tmp_path: Path) -> None:
    """Keys, passwords and ways in: 0600. A second start finds the same users and the same certificate."""
    secured = Secured(("shop-parcelo",), "team-a.")
    first = Security(tmp_path, secured)
    first.write_ways_in("127.0.0.1:9092")
    files = list(first.folder.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    second = Security(tmp_path, secured)
    assert second.scram == first.scram
    assert second.ca_pem.read_bytes() == first.ca_pem.read_bytes()
    way_in = (first.folder / "business-shop-parcelo.env").read_text()
    assert "export FANFARE_KAFKA_PREFIX=team-a.\n" in way_in
    assert first.password("business-shop-parcelo") not in way_in
    assert administrator(first.folder, "127.0.0.1:9092").password == first.kafka("127.0.0.1:9092").password
