"""The test vectors of the seal: what opens codes in earnest opens them, in their place and nowhere else."""

from typing import Any, Final

import msgspec
import pytest

from schemas.contract.json_schema import documents
from schemas.ids import name_of, request_name
from schemas.lanes import Lane
from schemas.wire.sealed import SealError, open_code

SEAL: Final[dict[str, Any]] = msgspec.json.decode(documents()["vectors.json"])["seal"]
PRIVATE: Final = {SEAL["kid"]: bytes.fromhex(SEAL["private"])}


def opened(row: dict[str, Any]) -> str:
    """The code in a row."""
    request = request_name(Lane.of(row["lane"]), row["source"], row["id"])
    place = {part: row[part] for part in ("address", "template", "parameter")}
    return open_code(row["sealed"], PRIVATE, request=request, **place)


@pytest.mark.parametrize("row", SEAL["rows"], ids=lambda row: row["id"])
def test_a_sealed_vector_opens_in_its_place_alone(row: dict[str, Any]) -> None:
    """By the library that the gateway uses, which knows nothing of how the vector was made."""
    assert opened(row) == row["code"]
    for part in ("source", "id", "address", "template", "parameter"):
        with pytest.raises(SealError):
            opened(row | {part: row[part] + "x"})
    with pytest.raises(SealError):
        opened(row | {"lane": "update"})


def test_the_same_code_is_sealed_differently_for_each_request() -> None:
    """Every row has an ephemeral key and a blob of its own."""
    for column in ("ephemeral_private", "shared_secret", "key", "sealed"):
        assert len({row[column] for row in SEAL["rows"]}) == len(SEAL["rows"])


def test_names_of_the_vectors_can_be_taken_apart() -> None:
    """A name in base32 is 16 bytes."""
    rows = msgspec.json.decode(documents()["vectors.json"])["request_name"]
    assert [name_of(row["name"]) for row in rows] == [
        request_name(Lane.of(row["lane"]), row["source"], row["id"]) for row in rows
    ]
