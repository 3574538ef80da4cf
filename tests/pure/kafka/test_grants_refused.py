"""A grant that is missing: the process ends as one that must not be started again as it is, and says whose grant on what."""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

import aiokafka
import pytest
from aiokafka.errors import KafkaError, NotEnoughReplicasError, TopicAuthorizationFailedError

from streams.kafka import producer as producing
from streams.kafka import start_check
from streams.kafka.grants import Grant, Operation, Resource
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.provision import ProvisionError
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Kafka
from streams.runtime.settings import load

KAFKA = Kafka(bootstrap="kafka:1", security_protocol="SASL_SSL", user="acme-worker-update", prefix="acme.")
ADVICE = " (FANFARE_KAFKA_PREFIX is acme.): `fanfare provision --print-acls` prints what it needs"


class EndedError(Exception):
    """Stands for the end of the process."""


class Refusing(ConfirmedProducer):
    """Appends to a broker that answers with an error: at once, or for the record when it has come."""

    def __init__(self, error: KafkaError, *, at_once: bool) -> None:
        super().__init__(KAFKA, "outputs")
        self._error = error
        self._at_once = at_once

    async def _send(self, record: Outgoing) -> "asyncio.Future[Any]":  # noqa: ARG002 - its base's
        if self._at_once:
            raise self._error
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return future


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Exit, dict[str, Any]]]:
    """Returns with what the process would have ended."""
    seen: list[tuple[Exit, dict[str, Any]]] = []

    def end(code: Exit, **fields: Any) -> NoReturn:
        seen.append((code, fields))
        raise EndedError

    monkeypatch.setattr(producing, "fatal", end)
    return seen


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_append_that_may_not_be_is_no_unknown_one(ends: list[Any], *, at_once: bool) -> None:
    """Status 80 and a sentence, of the topic that the broker names: the batch may hold others."""
    broken = Refusing(TopicAuthorizationFailedError("acme.charges"), at_once=at_once)
    with pytest.raises(EndedError):
        await broken.send_many([Outgoing("status.shop", b"x", partition=0), Outgoing("charges", b"x", partition=0)])
    (code, fields) = ends[0]
    assert code is Exit.REFUSED_START
    assert fields["detail"] == f"acme-worker-update may not write acme.charges{ADVICE}"


async def test_an_append_without_an_answer_stays_unknown(ends: list[Any]) -> None:
    """Whether it happened, the next claim reads."""
    with pytest.raises(EndedError):
        await Refusing(NotEnoughReplicasError(), at_once=False).send_many([Outgoing("charges", b"x", partition=0)])
    assert ends[0][0] is Exit.UNKNOWN_APPEND


async def test_a_process_asks_for_the_grants_of_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it opens anything; a sentence for each operation. Without an answer, and without a login, nothing is refused."""
    asked: list[Grant] = []

    async def lacking(_kafka: Kafka, wanted: Sequence[Grant], **_more: Any) -> list[Grant]:
        asked.extend(wanted)
        if answer is not None:
            raise answer
        topics = ("acme.charges", "acme.plans.update", "acme.status.nobody")
        return [Grant("ledger", Operation.WRITE, Resource.TOPIC, topic) for topic in topics]

    async def safe(*_: Any, **__: Any) -> str:
        return "cluster"

    monkeypatch.setattr(start_check, "missing", lacking)
    monkeypatch.setattr(start_check, "safe", safe)
    answer: KafkaError | None = None
    settings = load(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism="PLAIN", kafka_user="acme-worker-update",
        kafka_password="x", kafka_prefix="acme.",
    )  # fmt: skip
    with pytest.raises(ProvisionError) as refused:
        await start_check.demand_safe(settings, "ledger")
    assert str(refused.value) == (
        f"acme-worker-update may not write acme.charges, acme.plans.update, acme.status.{ADVICE}"
    )
    assert {one.user for one in asked} == {"ledger"}
    answer = aiokafka.errors.KafkaConnectionError()
    assert await start_check.demand_safe(settings, "ledger") == "cluster"
    answer, before = None, len(asked)
    assert await start_check.demand_safe(load(), "ledger") == "cluster"
    assert len(asked) == before
