"""Plan's verdicts stay what they are: a digest over seeded inputs, of the bytes that it appends and says."""

import pytest

from tests.pure.plan.digest import RECORDED, Digest, digest

COUNT = 5_000


@pytest.fixture(scope="module")
def found() -> Digest:
    """What plan makes of the inputs."""
    return digest(COUNT)


def test_plan_decides_as_it_did(found: Digest) -> None:
    """Good, bad, redelivered, repeated, conflicting and moved inputs of every lane make the same journal and answers."""
    sentences, verdicts = RECORDED[COUNT]
    assert found.verdicts == verdicts
    assert found.bytes == sentences


def test_the_inputs_reach_every_kind_of_answer(found: Digest) -> None:
    """A digest over inputs that are all refused alike would prove nothing."""
    assert len(found.outcomes) >= 45
    assert found.outcomes["accepted"] > COUNT // 10
