"""The pages written by hand say what is there: each rule holds for all of them, and is seen to find what breaks it."""

import pytest

from tests.contract import pages
from tests.contract.pages import DECISIONS, GLOSSARY, README_LINES, RULES, Rule

PAGES = pages.read_pages()
TABLE = "| word | meaning | where it lives |\n| --- | --- | --- |\n"
MD = "." + "md"
"""Apart, so that no page seems to be cited that is not there."""
DECISION = "# A title\n\n2026-11-25\n\n**Decided.** So.\n\n**Why.** Because.\n"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_pages_keep_the_rule(rule: Rule) -> None:
    """A breach is told with its page."""
    found = [breach for place, text in PAGES.items() for breach in rule(place, text)]
    assert not found, "\n" + "\n".join(found)


def test_every_page_is_reached_from_the_readme() -> None:
    """By links alone; runbooks by the page about alerts."""
    assert list(pages.unreachable(PAGES)) == []


def test_a_page_that_nothing_links_to_is_found() -> None:
    """It is named."""
    alone = {"README.md": "[x](deploy/docs/publish.md)", "deploy/docs/publish.md": "", "deploy/docs/client.md": ""}
    assert list(pages.unreachable(alone)) == ["deploy/docs/client.md is reached from no page"]


def test_the_pages_are_looked_at() -> None:
    """The rules above are not true of an empty folder only."""
    assert {"README.md", GLOSSARY, "deploy/docs/concepts.md", f"{DECISIONS}/README.md"} <= set(PAGES)
    assert len(PAGES) > 40
    assert sum(len(list(pages.calls(text))) for text in PAGES.values()) > 100


BREACHES: list[tuple[Rule, str, str, str]] = [
    (pages.broken_links, "README.md", f"[x](deploy/docs/lost{MD})", "leads nowhere"),
    (
        pages.broken_links,
        "deploy/docs/client.md",
        "[x](README.md#pages) [y](README.md#lost)",
        "README.md#lost names no heading",
    ),
    (pages.broken_links, "README.md", "# One thing\n[x](#one-thing) [y](#another)", "#another names no heading"),
    (pages.oversize, "README.md", "x\n" * (README_LINES + 1), "151 lines"),
    (pages.oversize, "README.md", "| " + "x" * 120, "README.md:1: more than"),
    (pages.oversize, "deploy/docs/client.md", "| " + "x" * 120 + "\n" + "x" * 121, "client.md:2: more than"),
    (pages.unknown_commands, "README.md", "`fanfare dance`", "no command `fanfare dance`"),
    (pages.unknown_commands, "README.md", "```console\n$ fanfare status --colour\n```", "has no --colour"),
    (
        pages.unknown_commands,
        "README.md",
        "```console\n$ x |\n  fanfare publish \\\n  --quickly\n```",
        "has no --quickly",
    ),
    (pages.unknown_commands, "README.md", "`fanfare kafka sideways`", "`fanfare kafka` has no command sideways"),
    (pages.unknown_commands, "README.md", "`fanfare kafka up --secure`; `fanfare kafka up --fast`", "has no --fast"),
    (pages.unknown_programs, "README.md", "`python -m tests.load.lost`", "no module tests.load.lost"),
    (pages.unknown_programs, "README.md", "`python -m tests.load.otp --backwards`", "has no --backwards"),
    (pages.unknown_programs, "README.md", "`make haste`", "no `make haste`"),
    (pages.unknown_settings, "README.md", "`FANFARE_PEPER`", "no setting FANFARE_PEPER"),
    (pages.unknown_settings, "README.md", "`FANFARE_SLOT_FILE`", "no setting FANFARE_SLOT_FILE"),
    (pages.unknown_settings, "README.md", "`FANFARE_KAFKAS_…`", "no setting FANFARE_KAFKAS_"),
    (pages.unknown_metrics, "README.md", "`fanfare_joy_total`", "no metric fanfare_joy_total"),
    (pages.missing_paths, "README.md", "`broker/deliver/lost.py`", "no broker/deliver/lost.py"),
    (pages.broken_programs, "README.md", "```python\nx = \n```", "does not compile"),
    (pages.broken_programs, "README.md", "```python\nfrom schemas.ids import Lost\n```", "schemas.ids.Lost cannot"),
    (pages.wrong_glossary, GLOSSARY, TABLE + 40 * "| lane | Urgency. | `schemas/ids.py` |\n", "40 rows"),
    (pages.wrong_glossary, GLOSSARY, TABLE + "| lane | Urgency. | `schemas/wire/text.py` |\n", "lane is not found"),
    (pages.wrong_glossary, GLOSSARY, TABLE + "| lane | Urgency. |\n", "a row is not"),
    (pages.undated_decisions, f"{DECISIONS}/a-thing{MD}", DECISION, "is called YYYY-MM-DD"),
    (pages.undated_decisions, f"{DECISIONS}/2026-11-26-a{MD}", DECISION, "third line is not 2026-11-26"),
    (pages.undated_decisions, f"{DECISIONS}/2026-11-25-a{MD}", DECISION, "not in the overview"),
    (pages.undated_decisions, f"{DECISIONS}/2026-11-25-a{MD}", "# A title\n", "no paragraph **Why.**"),
]


@pytest.mark.parametrize(
    ("rule", "place", "text", "breach"), BREACHES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_breach_is_found(rule: Rule, place: str, text: str, breach: str) -> None:
    """A small page that breaks the rule is told with what is wrong."""
    assert any(breach in found for found in rule(place, text)), list(rule(place, text))


def test_every_rule_has_a_breach() -> None:
    """A rule that was never seen to fail proves nothing."""
    assert {rule for rule, *_ in BREACHES} == set(RULES)


@pytest.mark.parametrize(
    "text",
    [
        "`fanfare explain SOURCE ID`",
        "`fanfare ledger show --business ID`",
        "`fanfare ledger items -o json`",
        "`fanfare status;  fanfare top --once`",
        "```console\n$ echo x | fanfare publish -f - --lane update\n```",
        "Plain words of a fanfare dance are no command, `FANFARE_KAFKA_…` and `FANFARE_PEPPER_FILE` are settings.",
        "`fanfare_handoff_age_seconds_bucket`, `fanfare_ledger` and the template `fanfare_stopped`",
        "`deploy/runbooks/*.md`, `tests/contract/pages.py`",
    ],
)
def test_what_is_there_is_no_breach(text: str) -> None:
    """Commands with sub-commands and pipes, families of settings, parts of a histogram."""
    assert [breach for rule in RULES for breach in rule("README.md", text)] == []
