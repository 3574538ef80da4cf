"""Everything that the sources publish is accepted by plan, with the registry of `deploy/dev`."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from broker.plan.decode import PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import Answer
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import decide
from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason
from schemas.wire.sealed import AddressBook
from streams.client.sealing import SealKey, seal_codes
from streams.dev.sources.flights import flights
from streams.dev.sources.logins import logins
from streams.dev.sources.parcels import parcels, singles
from streams.dev.sources.timed import Run, Timed
from streams.registry.apply import changes, read_files

REGISTRY_FILES = sorted((Path(__file__).parents[3] / "deploy" / "dev").glob("*.yaml"))
RUN = Run("r1", 1_760_000_000_000)
KEY = SealKey("dev1", X25519PrivateKey.generate().public_key().public_bytes_raw())


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The registry as `fanfare registry apply deploy/dev/*.yaml` leaves it."""
    applied = Registry()
    changes(read_files(REGISTRY_FILES), applied)
    return applied


def verdict(timed: Timed, registry: Registry) -> str:
    """What plan makes of one event that comes when it is due: `accepted`, `members`, or why not."""
    policy = msgspec.structs.replace(
        PlanPolicy.of(timed.lane, 0, pepper=bytes(32), address_book=AddressBook({1: bytes(range(32))})), shards=1
    )
    value = msgspec.json.encode(seal_codes(timed.event, timed.lane, timed.codes, KEY))
    given = PlanInput(Origin(0, 0), None, value, (), timed.at_ms)
    step = decide([given], PlanState(), registry, policy, timed.at_ms)
    for entry in step.journal:
        return "accepted" if entry.verdict == 0 else f"{Reason(entry.verdict).word}: {entry.detail}"
    answers = [each.status.state for each in step.direct if isinstance(each, Answer)]
    records = [each for each in step.direct if isinstance(each, AudienceRecord)]
    return "members" if records and answers == ["accepted"] else f"nothing but {step.direct}"


@pytest.mark.parametrize(
    ("source", "verdicts"),
    [
        pytest.param(flights, {"members": 930, "accepted": 1_646}, id="flights"),
        pytest.param(parcels, {"accepted": 7_024}, id="parcels"),
        pytest.param(logins, {"accepted": 5_102}, id="logins"),
        pytest.param(partial(singles, rate_per_s=200, people=90, seconds=2), {"accepted": 400}, id="singles"),
    ],
)
def test_plan_accepts_a_whole_day(
    source: Callable[[Run], Iterator[Timed]], verdicts: dict[str, int], registry: Registry
) -> None:
    """Each event of a whole day is accepted when it is due, and the opt-ins become members."""
    assert Counter(verdict(timed, registry) for timed in source(RUN)) == verdicts


def test_a_code_in_clear_is_refused(registry: Registry) -> None:
    """The negative control: the same event with its code in clear is not accepted."""
    timed = next(logins(RUN))
    (person,) = timed.event["data"]["to"]["recipients"]
    body = timed.event["data"] | {"to": {"recipients": [person | {"params": {"code": "123456"}}]}}
    assert timed.lane is Lane.OTP
    assert verdict(Timed(timed.at_ms, Lane.OTP, timed.event | {"data": body}, 0), registry).startswith("not_sealed")
