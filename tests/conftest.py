"""Fixtures that more than one folder of the suite uses."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from streams.kafka.cluster import some_kafka
from streams.settings import kafka_bootstrap


@dataclass(frozen=True, slots=True)
class RealKafka:
    """A Kafka that the tests of a session share: its topics are made by tests, under names of their own."""

    bootstrap: str


@pytest.fixture(scope="session")
def kafka() -> Iterator[RealKafka]:
    """One node of real Kafka, started for the session, or the one that FANFARE_KAFKA_BOOTSTRAP names."""
    with asyncio.Runner() as runner:
        lent = some_kafka(kafka_bootstrap(), say=print)
        bootstrap = runner.run(lent.__aenter__())
        try:
            yield RealKafka(bootstrap)
        finally:
            runner.run(lent.__aexit__(None, None, None))
