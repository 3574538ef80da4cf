"""A Kafka with TLS, passwords and grants: a whole way under a prefix with the printed grants alone, and what is refused."""

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from schemas import topics
from schemas.lanes import Lane
from schemas.topics import SHARDS, catalogue
from streams.client import Client, NotPublishedError
from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.dev.kafka.errors import NodeFailedError
from streams.dev.kafka.security import Secured, Security, certificates
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.kafka.admin import describe
from streams.kafka.grants import users
from streams.kafka.provision import ProvisionError, provision
from streams.kafka.scan import ScanError, scan
from streams.kafka.start_check import demand_safe
from streams.operate.audit import audit_system
from streams.runtime import clock
from streams.runtime.kafka_access import Kafka
from streams.runtime.settings import load
from tests.kafka.parcels import parcel
from tests.kafka.registered import silent
from tests.support.secured import fields_of, on

PREFIX = "team-a."
BUSINESS = "shop-parcelo"
OTHER = "bank-meridian"
PEOPLE = 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A secured Kafka with the users and grants of a deployment of two businesses under a prefix."""
    folder = tmp_path_factory.mktemp("secure")
    with asyncio.Runner() as runner:
        secured = Secured((BUSINESS, OTHER), PREFIX)
        lent = runner.run(start_cluster(data=folder / "kafka", say=silent, secured=secured))
        try:
            yield lent
        finally:
            runner.run(lent.stop())


def security_of(cluster: Cluster) -> Security:
    """Returns its files."""
    assert cluster.security is not None
    return cluster.security


def way_in(cluster: Cluster, user: str) -> Kafka:
    """Returns a user's way in."""
    return security_of(cluster).kafka(cluster.bootstrap, user)


@pytest.fixture
async def stack(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Stack]:
    """A deployment in which each process is its own user."""
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(on(cluster.kafka, plan), say=silent) as stack:
        yield stack


async def test_a_whole_way_with_the_printed_grants_and_no_others(cluster: Cluster, stack: Stack) -> None:
    """Published by the business, delivered, told and charged; audit and doctor of the operator find nothing wrong."""
    async with Client(way_in(cluster, f"business-{BUSINESS}")) as client, asyncio.timeout(90):
        sent = [await client.publish(Lane.UPDATE, parcel(number)) for number in range(PEOPLE)]
        ends = [await client.wait(each, until="closed", timeout_s=60) for each in sent]
    assert [end.counts for end in ends if not end.counts.keys() <= {"delivered", "read"}] == []
    audit = await audit_system(stack.settings)
    assert audit.total == 0
    assert audit.requests >= PEOPLE
    doctor = await output(stack, "doctor")
    assert "missing   " not in doctor
    assert "operator may do all that operator needs" in doctor
    lacking = await output(stack, "doctor", "--role", "worker-update")
    assert "operator may not, as worker-update must: Write team-a.plans.update, team-a.work.update" in lacking
    assert "team-a.status.shop-parcelo" in lacking
    assert "Read team-a.fanfare-update" in lacking or ", team-a.fanfare-update" in lacking
    assert "the cluster" not in lacking
    for role in users([BUSINESS]):
        if role != "operator":
            own = await output(stack, "doctor", "--role", role, user=role)
            assert "missing   " not in own, own
            assert "not asked: " in own, own
    explained = await output(stack, "explain", "//shop-parcelo/parcels", "px-0", "--lane", "update")
    assert "delivered" in explained


async def output(stack: Stack, *arguments: str, user: str = "operator") -> str:
    """Returns what a command of a user says on this stack."""
    assert stack.settings.kafka_ca_file is not None
    password = (stack.settings.kafka_ca_file.parent / f"{user}.password").read_text().strip()
    command = (sys.executable, "-m", "streams.cli", *arguments)
    running = await asyncio.create_subprocess_exec(
        *command,
        env=stack.environment(kafka_user=user, kafka_password=password),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    return said.decode()


async def test_a_wrong_password_is_named(cluster: Cluster) -> None:
    """By the user whose it is, and where to look; not by the password."""
    wrong = msgspec.structs.replace(way_in(cluster, "operator"), password=SecretStr("wrong-horse"))
    with pytest.raises(
        NodeFailedError, match="does not take the password of operator: look at FANFARE_KAFKA_USER"
    ) as said:
        await describe(wrong, deadline_s=10)
    assert "wrong-horse" not in str(said.value)
    with pytest.raises(NotPublishedError, match="does not take the password of operator"):
        async with Client(wrong, connect_s=1):
            pass


async def test_an_unknown_authority_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """With the setting that names the right one."""
    other = tmp_path / "ca.pem"
    other.write_bytes(certificates(dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC), days=1)[0])
    stranger = msgspec.structs.replace(way_in(cluster, "operator"), ca_file=other)
    with pytest.raises(NodeFailedError, match="set FANFARE_KAFKA_CA_FILE to the authority's certificate"):
        await describe(stranger, deadline_s=10)


async def test_a_door_in_clear_is_named(cluster: Cluster) -> None:
    """Who forgets the security protocol is told that the listener expects another."""
    with pytest.raises(NodeFailedError, match="FANFARE_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"):
        await describe(cluster.bootstrap, deadline_s=10)


async def test_a_missing_grant_is_named(cluster: Cluster) -> None:
    """A business reads no other's statuses, under another prefix nothing, and makes no topic."""
    wanted = catalogue((BUSINESS, OTHER))
    await provision(way_in(cluster, "operator"), wanted, shards=SHARDS, dev=True, say=silent)
    shop = way_in(cluster, f"business-{BUSINESS}")
    with pytest.raises(
        ScanError,
        match=f"business-{BUSINESS} may not read team-a.status.{OTHER} .FANFARE_KAFKA_PREFIX is team-a..: `fanfare",
    ):
        _ = [record async for record in scan(shop, topics.status(OTHER))]
    elsewhere = msgspec.structs.replace(shop, prefix="team-b.")
    with pytest.raises(
        ScanError, match=r"there is no topic team-b.registry, or .* \(FANFARE_KAFKA_PREFIX is team-b\.\)"
    ):
        _ = [record async for record in scan(elsewhere, topics.REGISTRY)]
    with pytest.raises(ProvisionError, match=f"business-{BUSINESS} may not"):
        await provision(shop, wanted, shards=SHARDS, dev=True, say=silent)
    with pytest.raises(ProvisionError, match=r"^business-.* may not make team-b\.\S+ and [0-9]+ more [^\n]*$"):
        await provision(elsewhere, wanted, shards=SHARDS, dev=True, say=silent)


async def test_who_may_write_nothing_is_told_so(cluster: Cluster) -> None:
    """At once, and not that no Kafka answers: a user that nobody has granted anything yet is the first that a business tries."""
    with pytest.raises(
        NotPublishedError, match=r"^gateway may not Write to any topic, nor IdempotentWrite the cluster "
    ):
        async with Client(way_in(cluster, "gateway"), connect_s=3):
            pass


async def test_a_process_is_refused_for_a_grant_that_is_missing(cluster: Cluster) -> None:
    """Each with its own grants is let in; the webhook's user may look at all topics, and write few of a worker's."""
    await provision(way_in(cluster, "operator"), catalogue(), shards=SHARDS, dev=True, say=silent)
    for role in users([]):
        if role not in ("gateway", "operator"):
            await demand_safe(load(**fields_of(way_in(cluster, role))), role)
    with pytest.raises(ProvisionError, match=r"webhook may not write team-a\.plans\.update"):
        await demand_safe(load(**fields_of(way_in(cluster, "webhook"))), "worker-update")
