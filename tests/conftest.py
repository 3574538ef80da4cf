"""Fixtures that more than one folder of the suite uses."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings

from streams.runtime.kafka_access import Address
from streams.runtime.kafka_settings import PREFIX
from streams.runtime.settings import kafka_bootstrap
from tests.support import secured


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the kind of Kafka that is started."""
    told = "secure: TLS, passwords, a user for each process with the printed grants alone, a prefix; default plain"
    parser.addoption("--kafka", choices=("plain", "secure"), default="plain", help=told)


def pytest_configure(config: pytest.Config) -> None:
    """Settles the kind of Kafka; makes all hear SIGINT, which a script's shell has them ignore if it starts them with ``&``."""
    secured.ask(secured=config.getoption("kafka") == "secure")
    if secured.asked():
        # A closed TLS connection waits for the broker's goodbye; a loop that ends meanwhile leaves its socket to the collector,
        # whose warning would fail whichever test is running then.
        config.addinivalue_line("filterwarnings", "ignore:unclosed (transport|<socket):ResourceWarning")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips, on a secured Kafka, what cannot be asked of one, with its reason."""
    if config.getoption("kafka") == "secure":
        for item in items:
            for mark in item.iter_markers("plain_kafka"):
                item.add_marker(pytest.mark.skip(reason=f"not on a secured Kafka: {mark.args[0]}"))


# A property is about what is right, not about how busy the machine is: no example has a deadline.
settings.register_profile("fanfare", deadline=None)
settings.load_profile("fanfare")


@dataclass(frozen=True, slots=True)
class RealKafka:
    """A Kafka that the tests of a session share: its topics are made by tests, under names of their own."""

    bootstrap: Address
    """Of a secured one, its administrator's way in."""


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    """An environment without a variable of ours; what a test sets in it goes away again."""
    with pytest.MonkeyPatch.context() as variables:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            variables.delenv(name)
        yield variables


@pytest.fixture(scope="session")
def kafka() -> Iterator[RealKafka]:
    """One node of real Kafka, started for the session, or the one that FANFARE_KAFKA_BOOTSTRAP names, if it may be plain."""
    with asyncio.Runner() as runner:
        lent = secured.some_kafka(kafka_bootstrap(), say=print)
        bootstrap = runner.run(lent.__aenter__())
        try:
            yield RealKafka(bootstrap)
        finally:
            runner.run(lent.__aexit__(None, None, None))
