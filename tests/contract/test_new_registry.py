"""A registry of one's own: what `fanfare init` writes may be registered, and an id that may not is refused first."""

from pathlib import Path

import pytest

from broker.registry.fold import Registry
from streams.commands.init import written
from streams.registry.apply import RegistrationError, changes, read_files


def test_what_is_written_may_be_registered(tmp_path: Path) -> None:
    """All of it, as it stands."""
    list(written(tmp_path / "shop", "shop"))
    assert changes(read_files([tmp_path / "shop"]), Registry())


@pytest.mark.parametrize("business", ["fanfare", "fanfare-7", "Shop", "-shop", ""])
def test_an_id_that_could_not_be_registered_is_refused_at_once(tmp_path: Path, business: str) -> None:
    """In the sentence that `fanfare registry apply` would have for it, and nothing is written."""
    with pytest.raises(ValueError, match="give another with --business") as refused:
        list(written(tmp_path / "new", business))
    assert not (tmp_path / "new").exists()
    file = tmp_path / "by-hand.yaml"
    file.write_text(f"- kind: business\n  id: '{business}'\n  name: Shop\n", "utf-8")
    with pytest.raises(RegistrationError) as later:
        changes(read_files([file]), Registry())
    sentence = str(later.value).splitlines()[0].rpartition(f"business/{business}: ")[2]
    assert sentence in str(refused.value)
