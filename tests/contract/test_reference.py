"""The generated pages: no drift from the program, nothing left out, and every link leads somewhere."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.reference.pages import FOLDER, documents
from streams.cli import COMMANDS
from streams.commands.group import command_of
from streams.runtime.settings import Settings, variable_of

PAGES = documents()


def sections(page: str) -> dict[str, str]:
    """Heading to text, of headings below the title."""
    _, *parts = re.split(r"^##+ ", page, flags=re.MULTILINE)
    return dict(part.split("\n", 1) for part in parts)


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something and is shown, by the words that call it."""
    within = getattr(command, "commands", None)
    if within is None:
        yield path, command
        return
    for name, each in within.items():
        if not each.hidden:
            yield from leaves(each, f"{path} {name}")


CALLED = [found for name, _, _ in COMMANDS for found in leaves(command_of(name), f"fanfare {name}")]
COMMAND = pytest.mark.parametrize(("path", "command"), CALLED, ids=[path for path, _ in CALLED])


@pytest.mark.parametrize("place", PAGES)
def test_what_is_written_is_what_the_program_says(place: str) -> None:
    """After changing a metric, a setting or a command, its page is written anew."""
    written = (FOLDER / place).read_text("utf-8")
    assert written == PAGES[place], f"deploy/{place} is not what the program says: run `python -m deploy.reference`"


@pytest.mark.parametrize("place", [place for place in PAGES if place.endswith(".md")])
def test_every_link_leads_somewhere(place: str) -> None:
    """To a heading of the page, as pages are rendered, or to a file beside it."""
    titles = re.findall(r"^#+ (.+)$", PAGES[place], re.MULTILINE)
    anchors = {f"#{title.replace(' ', '-')}" for title in titles}
    assert titles
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[place]):
        assert target in anchors or (FOLDER / target).is_file(), target


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_has_one_row(name: str) -> None:
    """Variable, type, default, unit and a meaning that is a sentence."""
    rows = re.findall(rf"^\| `{variable_of(name)}` \|(.+)\|$", PAGES["SETTINGS.md"], re.MULTILINE)
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].split(" | ")]
    assert len(cells) == 4
    assert all(cells)
    assert cells[3].endswith(".")


def test_what_a_setting_may_be_is_told_in_words() -> None:
    """Bounds, choices, units and secrets, each from the class; no secret is shown."""
    page = PAGES["SETTINGS.md"]
    assert "| `FANFARE_SLOT` | integer, 0 to 99 | `0` |" in page
    assert "| `FANFARE_HEARTBEAT_MS` | integer, at least 100 | `10000` | ms |" in page
    assert "| `FANFARE_DEV` | `true` or `false` | `true` |" in page
    assert "| `FANFARE_LOG_LEVEL` | `debug`, `info`, `warning`, `error` | `info` |" in page
    assert "| `FANFARE_SETTLE_MS` | integer, at least 100 | unset | ms |" in page
    assert "| `FANFARE_PEPPER` | 64 hex digits, secret | `dev` |" in page
    assert "***" not in page


@COMMAND
def test_each_option_is_on_the_page_and_says_what_it_is_for(path: str, command: Any) -> None:
    """In the section of its command, with a text; what is hidden is left out."""
    text = sections(PAGES["CLI.md"])[path]
    for parameter in command.params:
        shown = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        named = re.search(rf"^\| `([^`]*, )?{re.escape(shown)}[ `]", text, re.MULTILINE) is not None
        assert named is not parameter.hidden, shown
        assert parameter.hidden or (parameter.help or "").endswith("."), f"{shown}: its help is no sentence"


@COMMAND
def test_each_command_says_what_it_does(path: str, command: Any) -> None:
    """A first sentence, and how it is called."""
    text = sections(PAGES["CLI.md"])[path].strip()
    assert re.match(r"[A-Z][^\n]+", text)
    assert f"    {path} " in text
    assert "\b" not in text
