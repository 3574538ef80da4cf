"""Names, against values from elsewhere: Kafka's own test vectors, RFC 4231's method, and what is written down for others."""

import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.lanes import Lane

VECTORS = msgspec.json.decode((Path(__file__).parents[2] / "schemas" / "generated" / "vectors.json").read_bytes())

KAFKA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""``UtilsTest.testMurmur2`` of Apache Kafka: signed 32-bit."""


@pytest.mark.parametrize(("key", "signed"), KAFKA.items())
def test_murmur2_is_javas(key: bytes, signed: int) -> None:
    """The hash of Kafka's default partitioner, bit for bit."""
    assert ids.murmur2(key) == signed % 2**32


@pytest.mark.parametrize("row", VECTORS["murmur2"], ids=lambda row: row["key"] or "empty")
def test_murmur2_vectors(row: dict[str, object]) -> None:
    """What is written down for other languages."""
    assert ids.murmur2(str(row["key"]).encode()) == row["hash"]


@given(st.binary(max_size=64), st.integers(1, 1024))
def test_a_partition_is_one_of_them(key: bytes, partitions: int) -> None:
    """Never negative, never too large: Java clears the sign bit."""
    assert 0 <= ids.partition_of(key, partitions) < partitions


@pytest.mark.parametrize("row", VECTORS["request_name"], ids=lambda row: row["source"])
def test_request_names_are_sha_256_of_three_ended_texts(row: dict[str, str]) -> None:
    """Computed here from the definition."""
    digest = hashlib.sha256(b"".join(row[part].encode() + b"\0" for part in ("lane", "source", "id"))).digest()[:16]
    assert ids.request_name(Lane.of(row["lane"]), row["source"], row["id"]) == digest
    assert ids.text_of(digest) == row["name"]
    assert ids.name_of(row["name"]) == digest


@pytest.mark.parametrize("row", VECTORS["recipient_id"]["rows"], ids=lambda row: row["address"])
def test_recipient_ids_are_keyed_hashes_of_the_address(row: dict[str, object]) -> None:
    """Computed here from the definition, with the shard that follows."""
    pepper = bytes.fromhex(VECTORS["recipient_id"]["pepper"])
    digest = hmac.new(pepper, str(row["address"]).encode(), hashlib.sha256).digest()[:16]
    assert ids.text_of(digest) == row["recipient"]
    assert ids.recipient_id(pepper, str(row["address"])) == digest
    assert ids.shard_of(digest, VECTORS["recipient_id"]["shards"]) == row["shard"]


@pytest.mark.parametrize("row", VECTORS["fact_key"], ids=lambda row: row["facet"])
def test_fact_keys(row: dict[str, str]) -> None:
    """Eight bytes over three ended texts."""
    whole = b"".join(row[part].encode() + b"\0" for part in ("business", "entity", "facet"))
    assert ids.fact_key(row["business"], row["entity"], row["facet"]).hex() == row["key"]
    assert hashlib.sha256(whole).digest()[:8].hex() == row["key"]


@given(st.sampled_from(Lane), st.text(), st.text(), st.text(min_size=1))
def test_no_two_events_share_a_name(lane: Lane, source: str, event_id: str, more: str) -> None:
    """Ended texts: moving a character from source to id makes another name."""
    clean = [text.replace("\0", "").encode("utf-8", "ignore").decode() for text in (source, event_id, more)]
    if clean[2]:
        assert ids.request_name(lane, clean[0] + clean[2], clean[1]) != ids.request_name(
            lane, clean[0], clean[2] + clean[1]
        )


@given(st.binary(min_size=16, max_size=16))
def test_names_survive_their_text(name: bytes) -> None:
    """26 characters of base32 without padding."""
    text = ids.text_of(name)
    assert len(text) == 26
    assert text == text.lower()
    assert ids.name_of(text) == name


@pytest.mark.parametrize("text", ["", "abc", "!" * 26, "a" * 24, "a" * 32])
def test_no_other_text_is_a_name(text: str) -> None:
    """``ValueError``, and nothing shorter or longer."""
    with pytest.raises(ValueError, match=r"16|base32|digit|padding|Incorrect"):
        ids.name_of(text)


@pytest.mark.parametrize(
    ("source", "business"),
    [
        ("//airline-ua/ops", "airline-ua"),
        ("//a/b/c", "a"),
        ("/a/b", None),
        ("//a", None),
        ("//a/", None),
        ("///b", None),
    ],
)
def test_the_business_is_the_authority_of_the_source(source: str, business: str | None) -> None:
    """``//<business>/<system>`` and nothing less."""
    if business is None:
        with pytest.raises(ValueError, match="//<business>/<system>"):
            ids.business_of(source)
    else:
        assert ids.business_of(source) == business
