"""Registry files: all or nothing, and what is wrong is said with file and line."""

from pathlib import Path

import pytest

from broker.registry.fold import Registry
from schemas.registry import key_of
from streams.registry.apply import RegistrationError, changes, read_files

DEV = Path(__file__).parents[2] / "deploy" / "dev"
SHOP = "- kind: business\n  id: shop\n  name: Shop\n"
MAIN = '- kind: sender\n  id: shop/main\n  business: shop\n  number: "+18005550101"\n'


def written(folder: Path, *texts: str) -> list[Path]:
    """Files with these texts."""
    files = [folder / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, "utf-8")
    return files


def test_the_development_registry_is_taken_whole_and_only_once() -> None:
    """Everything under ``deploy/dev`` may be registered; a second time nothing changes."""
    entries = read_files(sorted(DEV.glob("*.yaml")))
    registry = Registry()
    assert {key_of(entry) for entry in changes(entries, registry)} == {key_of(each.entry) for each in entries}
    assert changes(entries, registry) == []


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """A sender may stand before its business, in another file."""
    new = changes(read_files(written(tmp_path, MAIN, SHOP)), Registry())
    assert [key_of(entry) for entry in new] == ["business/shop", "sender/shop/main"]


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        pytest.param("a: [\n", 2, "no YAML", id="broken YAML"),
        pytest.param("kind: business\n", 1, "a list of entries", id="no list"),
        pytest.param(SHOP + "- just text\n", 4, "?/?", id="no mapping"),
        pytest.param(
            SHOP + "- kind: busines\n  id: x\n",
            4,
            "busines/x: there is no such kind; did you mean `business`?",
            id="unknown kind",
        ),
        pytest.param(SHOP + "- kind: business\n  id: x\n", 4, "missing required field `name`", id="missing field"),
        pytest.param(SHOP.replace("name", "nmae"), 1, "field", id="unknown field"),
        pytest.param(SHOP + MAIN.replace('"+', '"'), 4, "sender/shop/main: number must be E.164", id="a rule"),
        pytest.param(SHOP + "\n\n" + SHOP, 6, "stands already in", id="twice"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    """The person who wrote the file finds the place."""
    registry = Registry()
    files = written(tmp_path, text)
    with pytest.raises(RegistrationError) as refused:
        changes(read_files(files), registry)
    assert str(refused.value).startswith(f"{files[0]}:{line}: ")
    assert sentence in str(refused.value)


def test_every_mistake_is_said_at_once(tmp_path: Path) -> None:
    """Nobody has to run it once for each."""
    files = written(tmp_path, "- kind: x\n  id: a\n", "- kind: y\n  id: b\n")
    with pytest.raises(RegistrationError) as refused:
        read_files(files)
    assert len(str(refused.value).splitlines()) == 2


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    """Beside files, too; what else lies in it is left alone, and a folder without any is said."""
    files = written(tmp_path, MAIN, SHOP)
    (tmp_path / "notes.txt").write_text("no YAML: [", "utf-8")
    (tmp_path / "empty").mkdir()
    assert read_files([tmp_path]) == read_files(files)
    assert {each.file for each in read_files([DEV])} == set(DEV.glob("*.yaml"))
    with pytest.raises(RegistrationError, match=r"there are no registry files \(\*\.yaml\) in .*empty"):
        read_files([tmp_path / "empty", *files])


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(RegistrationError, match=r"nowhere\.yaml: cannot be read"):
        read_files([tmp_path / "nowhere.yaml"])
