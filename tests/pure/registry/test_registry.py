"""The registry's fold: the newest word for each key, removals, and what is never believed."""

import msgspec
import pytest

from broker.registry.fold import Registry, UnreadableEntryError
from schemas.registry import ApiKey, Business, Deployment, Entry, Key, PriceCard, Sender, Template, key_of

BUSINESS = Business("b", "B")
MAIN = Sender("b/main", "b", "+1")
OTHER = Sender("b/other", "b", "+2", default=True)
COMMON = Template("t", "utility", (), {"en": "x"})
OWN = Template("own", "utility", (), {"en": "x"}, business="b")
ENTRIES: tuple[Entry, ...] = (
    BUSINESS,
    MAIN,
    OTHER,
    COMMON,
    OWN,
    PriceCard(1, "USD", {}),
    PriceCard(3, "USD", {}),
    Key("k", "seal", "00"),
    ApiKey("a", "b", "11"),
    Deployment("d", 8),
)


def apply(registry: Registry, entry: Entry, offset: int = 0) -> None:
    """One record of the topic."""
    registry.apply(key_of(entry), msgspec.json.encode(entry), offset=offset)


def filled() -> Registry:
    """All entries, applied in order."""
    registry = Registry()
    for offset, entry in enumerate(ENTRIES):
        apply(registry, entry, offset)
    return registry


def test_every_kind_is_found_where_it_belongs() -> None:
    """By id, templates by owner and id; the newest card is the one with the highest number."""
    registry = filled()
    assert registry.businesses == {"b": BUSINESS}
    assert registry.senders == {"b/main": MAIN, "b/other": OTHER}
    assert registry.templates == {("*", "t"): COMMON, ("b", "own"): OWN}
    assert set(registry.cards) == {1, 3}
    assert registry.newest_card() == PriceCard(3, "USD", {})
    assert registry.keys == {"k": Key("k", "seal", "00")}
    assert registry.api_keys == {"a": ApiKey("a", "b", "11")}
    assert registry.deployment == Deployment("d", 8)
    assert registry.upto == len(ENTRIES) - 1


def test_the_newest_word_counts() -> None:
    """Also where it moves: a sender or template that changes its owner leaves the old one."""
    registry = filled()
    apply(registry, msgspec.structs.replace(BUSINESS, active=False))
    apply(registry, msgspec.structs.replace(MAIN, business="c"))
    apply(registry, msgspec.structs.replace(OWN, business="*"))
    assert not registry.businesses["b"].active
    assert registry.sender_for("b", "b/main") is None
    assert registry.sender_for("c", None) is not None
    assert ("b", "own") not in registry.templates
    assert registry.template_for("c", "own") is not None


@pytest.mark.parametrize("entry", ENTRIES, ids=key_of)
def test_a_removed_entry_is_gone(entry: Entry) -> None:
    """Removed once or twice, it leaves all others alone."""
    registry = filled()
    registry.apply(key_of(entry), None)
    registry.apply(key_of(entry), None)
    rest = Registry()
    for other in ENTRIES:
        if other != entry:
            apply(rest, other)
    for kind in ("businesses", "senders", "templates", "cards", "keys", "deployment"):
        assert getattr(registry, kind) == getattr(rest, kind)


def test_senders_are_found_by_id_short_name_or_as_the_default() -> None:
    """Only the business's own; a single sender is the default."""
    registry = filled()
    assert registry.sender_for("b", "b/main") == MAIN
    assert registry.sender_for("b", "main") == MAIN
    assert registry.sender_for("b", None) == OTHER
    assert registry.sender_for("c", "b/main") is None
    assert registry.sender_for("c", None) is None
    registry.apply(key_of(OTHER), None)
    assert registry.sender_for("b", None) == MAIN
    apply(registry, Sender("b/third", "b", "+3"))
    assert registry.sender_for("b", None) is None, "two without a default: nobody guesses"


def test_templates_are_the_business_own_or_everybodys() -> None:
    """An own one hides the common one of the same id."""
    registry = filled()
    assert registry.template_for("b", "t") == COMMON
    assert registry.template_for("c", "own") is None
    assert sorted(registry.templates_of("c")) == ["t"]
    assert Registry().newest_card() is None


UNREADABLE = {
    "no JSON": ("business/b", b"{"),
    "no UTF-8": ("business/b", b'{"kind":"business","id":"\xff","name":"x"}'),
    "no kind": ("business/b", b'{"id":"b","name":"x"}'),
    "an unknown kind": ("thing/b", b'{"kind":"thing","id":"b"}'),
    "another entry's key": ("business/c", b'{"kind":"business","id":"b","name":"x"}'),
    "a category of nobody's": (
        "template/t",
        b'{"kind":"template","id":"t","category":"gossip","parameters":[],"texts":{}}',
    ),
}


@pytest.mark.parametrize("record", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_entry_changes_nothing(record: tuple[str, bytes]) -> None:
    """The older word stays."""
    registry = filled()
    with pytest.raises(UnreadableEntryError):
        registry.apply(*record, offset=99)
    assert registry.businesses == {"b": BUSINESS}
    assert registry.template_for("b", "t") == COMMON
    assert registry.upto == len(ENTRIES) - 1
