"""The points at which processes are made to die exist in the program."""

import re
from itertools import chain
from pathlib import Path

from tests.faults.points import POINTS

STREAMS = Path(__file__).parents[2] / "streams"


def test_every_point_is_passed_somewhere_and_every_one_passed_is_used() -> None:
    """A name that no call has would never fire, and a fault that waits for it would fail a run for nothing."""
    source = "\n".join(path.read_text("utf-8") for path in STREAMS.rglob("*.py"))
    passed = set(re.findall(r"\bpoint\(\"([a-z_.]+)\"\)", source))
    used = set(chain.from_iterable(POINTS.values()))
    assert used <= passed | set(re.findall(r"_POINT: Final = \"([a-z_.]+)\"", source))
    assert passed <= used
