"""Fixtures that more than one folder of the suite uses."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings

from streams.dev.kafka.cluster import some_kafka
from streams.runtime.kafka_settings import PREFIX
from streams.runtime.settings import kafka_bootstrap


def pytest_configure() -> None:
    """Makes tests and what they start hear SIGINT, which a script's shell has them ignore if it starts them with ``&``."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# A property is about what is right, not about how busy the machine is: no example has a deadline.
settings.register_profile("fanfare", deadline=None)
settings.load_profile("fanfare")


@dataclass(frozen=True, slots=True)
class RealKafka:
    """A Kafka that the tests of a session share: its topics are made by tests, under names of their own."""

    bootstrap: str


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    """An environment without a variable of ours; what a test sets in it goes away again."""
    with pytest.MonkeyPatch.context() as variables:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            variables.delenv(name)
        yield variables


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
