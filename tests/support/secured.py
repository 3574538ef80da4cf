"""Has the Kafka of every test secured, if pytest is told ``--kafka secure``: TLS, passwords, the printed grants, a prefix.

Tests hand an ``Address`` on wherever they name a Kafka; on a plain one that is all there is to it. On a secured one each
process and each client is a user of its own, who may do what ``fanfare provision --print-acls`` prints and nothing else.
The administrator stands for Kafka itself: makes topics that are no topics of ours, and reads and writes them.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import SecretStr

from schemas.registry import Business
from streams.dev.kafka import cluster
from streams.dev.kafka.security import ADMIN, Secured
from streams.dev.stack import stack as stacks
from streams.dev.stack.stack import Stack, StackPlan
from streams.kafka.acls import allow
from streams.kafka.grants import OPERATOR, business_user, grants
from streams.registry.apply import read_files
from streams.registry.development import DEVELOPMENT
from streams.runtime import settings
from streams.runtime.kafka_access import Address, Kafka, kafka_at

PREFIX: Final = "suite."
LATE: Final = ("acme", "bakery")
"""Businesses that tests register while everything runs."""


class _Asked:
    secured = False


def ask(*, secured: bool) -> None:
    """Settles, before the first test, which Kafka is started."""
    _Asked.secured = secured


def asked() -> bool:
    """Returns whether Kafka is secured."""
    return _Asked.secured


def as_asked() -> Secured | None:
    """Returns what a cluster is started with."""
    return Secured((*_businesses(DEVELOPMENT), *LATE), PREFIX) if asked() else None


@contextlib.asynccontextmanager
async def some_kafka(bootstrap: str | None, *, nodes: int = 1, say: Callable[[str], None]) -> AsyncIterator[Address]:
    """Lends the Kafka at ``bootstrap``, or one started here; a secured one is always started, and lent to its administrator."""
    if not asked():
        async with cluster.some_kafka(bootstrap, nodes=nodes, say=say) as address:
            yield address
        return
    started = await cluster.start_cluster(nodes=nodes, say=say, secured=as_asked())
    try:
        yield started.kafka
    finally:
        await started.stop()


def as_user(way: Address, user: str) -> Address:
    """Returns a user's way into a Kafka of the tests; to a plain one all have the same."""
    if not isinstance(way, Kafka) or way.ca_file is None:
        return way
    password = way.ca_file.with_name(f"{user}.password").read_text("utf-8").strip()
    return msgspec.structs.replace(way, user=user, password=SecretStr(password))


def as_business(way: Address, business: str) -> Address:
    """Returns a business's way in."""
    return as_user(way, business_user(business))


def as_admin(way: Address) -> Address:
    """Returns the way in of the administrator, who stands for Kafka itself."""
    return as_user(way, ADMIN)


def as_operator(way: Address) -> Address:
    """Returns the operator's way in."""
    return as_user(way, OPERATOR)


async def as_newcomer(way: Address, business: str) -> Address:
    """Returns the way in of a business that only one test knows: a user who is there is granted what is printed for it."""
    user = business_user(LATE[0])
    if isinstance(way, Kafka) and way.ca_file is not None:
        printed = grants(way, [business])
        await allow(way, [grant._replace(user=user) for grant in printed if grant.user == business_user(business)])
    return as_user(way, user)


def fields_of(way: Address) -> dict[str, Any]:
    """Returns the settings of a program that comes in so."""
    kafka = kafka_at(way)
    fields: dict[str, Any] = {"bootstrap": kafka.bootstrap}
    if kafka.prefix:
        fields["kafka_prefix"] = kafka.prefix
    if kafka.password is not None:
        fields |= {
            "kafka_security_protocol": kafka.security_protocol,
            "kafka_sasl_mechanism": kafka.sasl_mechanism,
            "kafka_ca_file": str(kafka.ca_file),
            "kafka_user": kafka.user,
            "kafka_password": kafka.password.get_secret_value(),
        }
    return fields


def variables_of(way: Address) -> dict[str, str]:
    """Returns the same as variables."""
    return {settings.variable_of(name): str(value) for name, value in fields_of(way).items()}


def environment(*, bootstrap: Address | None = None, **fields: Any) -> dict[str, str]:
    """Returns the environment of a program that goes to the Kafka at ``bootstrap``, if to any. Holds secrets: do not log."""
    return settings.child_environment(**({} if bootstrap is None else fields_of(bootstrap)), **fields)


def user_of(process: str) -> str:
    """Returns the user of a process of a stack: ``worker-otp-0`` is ``worker-otp``, every gateway is ``gateway``."""
    return "gateway" if process.startswith("gateway") else process.rstrip("0123456789").removesuffix("-")


@contextlib.asynccontextmanager
async def running(plan: StackPlan, *, say: Callable[[str], None]) -> AsyncIterator[Stack]:
    """Lends a stack that runs; on a secured Kafka each of its processes is a user of its own, and the stack the operator."""
    if not asked():
        async with stacks.running(plan, say=say) as stack:
            yield stack
        return
    secured = Secured((*_businesses(plan.registry), *LATE), PREFIX)
    folder = plan.data.with_name(f"{plan.data.name}-kafka")
    started = await cluster.start_cluster(nodes=plan.nodes, data=folder, say=say, secured=secured)
    try:
        async with stacks.running(on(started.kafka, plan), say=say) as stack:
            yield stack
    finally:
        await started.stop()


def on(way: Address, plan: StackPlan) -> StackPlan:
    """Returns the plan of the same stack on this Kafka."""
    return replace(
        plan,
        bootstrap=str(way),
        fields={**plan.fields, **fields_of(as_operator(way))},
        fields_of=lambda process: {**plan.fields_of(process), **fields_of(as_user(way, user_of(process)))},
    )


async def share(way: Address, prefix: str) -> Kafka:
    """Returns the way in under another prefix; on a secured Kafka, all users are granted there what is printed for it."""
    other = msgspec.structs.replace(kafka_at(way), prefix=prefix)
    if asked():
        await allow(other, grants(other, _businesses(DEVELOPMENT)))
    return other


def _businesses(registry: Path) -> Sequence[str]:
    return tuple(one.entry.id for one in read_files([registry]) if isinstance(one.entry, Business))
