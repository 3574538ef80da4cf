"""A Kafka of a module's own, for tests that need the catalogue's topics, whose names are taken on the one that tests share."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from broker.registry.fold import Registry
from schemas.topics import catalogue
from streams.kafka.provision import provision
from streams.registry.apply import changes, read_files, write
from streams.runtime.kafka_access import Address
from tests.support.secured import as_operator, some_kafka

SHARDS = 4
REGISTRY_FILES = sorted((Path(__file__).parents[2] / "deploy" / "dev").glob("*.yaml"))


def silent(sentence: str) -> None:
    """Take what a test does not read."""


@contextlib.contextmanager
def own_kafka(*, nodes: int = 1) -> Iterator[tuple[Address, asyncio.Runner]]:
    """Lend the address of a Kafka, of a secured one its administrator's way in, and the runner of its loop."""
    with asyncio.Runner() as runner:
        lent = some_kafka(None, nodes=nodes, say=silent)
        address = runner.run(lent.__aenter__())
        try:
            yield address, runner
        finally:
            runner.run(lent.__aexit__(None, None, None))


@contextlib.contextmanager
def registered_kafka(businesses: Sequence[str] = ()) -> Iterator[Address]:
    """The operator's way in; the catalogue's topics, those of ``businesses`` too, and the development registry are there."""
    with own_kafka() as (made, runner):
        address = as_operator(made)
        runner.run(provision(address, catalogue(tuple(businesses)), shards=SHARDS, dev=True, say=silent))
        runner.run(write(address, changes(read_files(REGISTRY_FILES), Registry())))
        yield address
