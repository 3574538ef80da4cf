"""`fanfare source` on a real Kafka: what businesses publish stands in the logs, in order, sealed where it must be."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from schemas.ids import business_of, partition_of, request_name
from schemas.lanes import Lane
from schemas.topics import requests
from schemas.wire.cloudevents import RefusedEvent, decode
from schemas.wire.sealed import open_code
from streams.commands.source import app
from streams.kafka.scan import Record, scan
from streams.runtime.kafka_access import Address
from streams.runtime.settings import load
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.secured import variables_of


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, with the catalogue's topics and the development registry."""
    with registered_kafka() as address:
        yield address


def published(bootstrap: Address, lane: Lane, *arguments: str) -> list[tuple[Record, dict[str, Any]]]:
    """Run the command to its end; the records of its run, with their events, in the order of each partition."""
    result = CliRunner().invoke(app, [*arguments, "--speed", "max"], env=variables_of(bootstrap))
    assert result.exit_code == 0, result.output

    async def all_records() -> list[Record]:
        return [record async for bite in scan(bootstrap, requests(lane)) for record in bite]

    records = [(record, msgspec.json.decode(record.value or b"")) for record in asyncio.run(all_records())]
    newest = max(records, key=lambda pair: pair[0].timestamp_ms)[1]["source"].rpartition("/")[2]
    found = [(record, event) for record, event in records if event["source"].endswith(f"/{newest}")]
    assert result.stderr.startswith(f"{len(found)} events (")
    return found


def test_flights_and_parcels(bootstrap: Address) -> None:
    """Each event is one that ingress reads, in its business's partition; opt-ins precede news, and versions rise."""
    flights = published(bootstrap, Lane.UPDATE, "flights", "--limit", "15", "--largest", "25")
    parcels = published(bootstrap, Lane.UPDATE, "parcels", "--limit", "30")
    versions: dict[str, list[int]] = defaultdict(list)
    for record, event in [*flights, *parcels]:
        business = business_of(event["source"]).encode()
        assert not isinstance(decode(record.value, record.headers), RefusedEvent)
        assert (record.key, record.partition) == (business, partition_of(business, SHARDS))
        versions[event["subject"]].append(event["data"].get("version", 0))
    assert len(versions) == 45
    assert all(found == sorted(set(found)) for found in versions.values())
    assert all(found[0] == 0 for subject, found in versions.items() if subject.startswith("flight/"))


def test_logins_are_sealed(bootstrap: Address) -> None:
    """Each code can be opened with the gateway's key, for its own request and person, and stands nowhere in clear."""
    keys = load().private_seal_keys
    for record, event in published(bootstrap, Lane.OTP, "logins", "--limit", "60"):
        (person,) = event["data"]["to"]["recipients"]
        code = open_code(
            person["params"]["code"]["sealed"],
            keys,
            request=request_name(Lane.OTP, event["source"], event["id"]),
            address=person["address"],
            template="login_code",
            parameter="code",
        )
        assert (len(code), code.isdecimal()) == (6, True)
        assert code.encode() not in (record.value or b"").replace(person["address"].encode(), b"")


def test_no_kafka() -> None:
    """Without a Kafka at the address, the command ends with a sentence."""
    result = CliRunner().invoke(app, ["logins", "--limit", "1", "--bootstrap", "127.0.0.1:1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no Kafka answers at 127.0.0.1:1" in result.stderr
