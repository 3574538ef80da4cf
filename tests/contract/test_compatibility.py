"""The contract that was given out first still holds: nobody who publishes or reads by it breaks.

``golden/schemas`` holds the schemas as they were. A change that this test names needs a new version of the event's type; only
where nobody depends on the old one yet may the kept schema be replaced.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from schemas.contract.compatibility import differences
from schemas.contract.compatibility_rules import READER, WRITER
from schemas.contract.json_schema import WRITTEN_BY_FANFARE, documents

KEPT: Final = sorted((Path(__file__).parent / "golden" / "schemas").glob("*.json"))


def test_every_schema_of_an_event_is_kept() -> None:
    """All but the registry's, which operators write from one release's files."""
    others = {"registry.json", "vectors.json"}
    assert {path.name for path in KEPT} == documents().keys() - others


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_nobody_breaks(path: Path) -> None:
    """Publishers of events, readers of statuses and dead letters."""
    old: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    end = READER if old["title"] in WRITTEN_BY_FANFARE else WRITER
    changes = differences(old, msgspec.json.decode(documents()[path.name]))
    assert [f"{change.place}: {change.sentence}" for change in changes if end in change.breaks] == []
