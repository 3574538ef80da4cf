"""The pages that a newcomer begins with, run as they stand: their commands and their programs, against a running stack."""

import re
from collections.abc import Iterator
from pathlib import Path

from streams.dev.stack.stack import StackPlan
from streams.runtime.settings import variable_of
from tests.acceptance.terminal import ROOT, done
from tests.support.secured import asked, running, variables_of

PAGES = ROOT / "deploy" / "docs"
FIVE_MINUTES = PAGES / "your-own-business-in-five-minutes.md"
PROGRAMS = (ROOT / "README.md", PAGES / "client.md")
ELSEWHERE = ("make dev", "PATH=")
"""Beginnings of commands that another terminal runs, or that the test does itself."""
REFUSED = re.compile(r"order_redy|expirytme")
"""Of the mistakes that the page makes on purpose."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """What stands behind a prompt on a page, with what belongs to it."""
    for block in blocks(page, "console"):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            if not command.startswith(ELSEWHERE):
                yield command.rstrip("\n")


async def test_the_first_pages_work_as_they_stand(tmp_path: Path) -> None:
    """Each command ends well, but for the mistakes on purpose; each program runs; the bakery's order is delivered and charged."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(plan, say=print) as stack:
        variables = {variable_of(name): str(value) for name, value in stack.unusual.items()} | variables_of(stack.kafka)
        shown: list[str] = []
        for command in commands(FIVE_MINUTES):
            wanted = "! " if REFUSED.search(command) else ""
            script = f"cd {tmp_path}\n{wanted}{{ {command}\n}}"
            shown += (await done("bash", "-uo", "pipefail", "-c", script, deadline_s=60, **variables)).lines
        assert any(line.startswith("closed") and "1 delivered" in line for line in shown), shown
        assert any(re.search(r"bakery\s+receivable\s+1\s+0\.003400", line) for line in shown), shown
        assert [line for line in shown if "did you mean" in line], shown
        for page in () if asked() else PROGRAMS:  # they name a plain Kafka
            for program in blocks(page, "python"):
                place = tmp_path / "program.py"
                place.write_text(program.replace("127.0.0.1:9092", stack.bootstrap), "utf-8")
                await done("python", str(place), deadline_s=60, PYTHONPATH=str(ROOT), **variables)


def test_the_commands_are_found() -> None:
    """The test above is not true of a page without commands only."""
    assert len(list(commands(FIVE_MINUTES))) >= 9
    assert sum(len(blocks(each, "python")) for each in PROGRAMS) >= 4
