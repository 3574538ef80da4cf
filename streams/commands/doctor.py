"""`fanfare doctor`: what this machine and its Kafka have, what is weak, and what is missing and how to get it."""

from collections import Counter
from typing import Annotated, Final

import typer

from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import OutputOption, application, show
from streams.operate.checkup import Finding, Grade
from streams.operate.doctor import examine
from streams.runtime.settings import Settings

_GRADE_WIDTH: Final = max(len(grade) for grade in Grade)
_WHAT_WIDTH: Final = len("packages")

app = application()


@app.command()
def main(
    *,
    bootstrap: BootstrapOption = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE", help="In a secured Kafka: whose grants this user needs (worker-update, business-ID)."
        ),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Look at packages, secrets, disk and data folder, ports, Java, Kafka, clocks, topics and the registry; a line each.

    ok: nothing to do. warning: it works, and the line says what is weak. missing: Fanfare cannot work so, and the line says
    what to do. Exit status 1 if something is missing. Works without Kafka too; then what Kafka would be asked is left out.
    Changes nothing, but for one topic, fanfare-doctor-..., that it makes and removes to read Kafka's clock.
    """
    counts = run("doctor", _told(configured("doctor", bootstrap), role, output))
    text = f"{counts[Grade.OK]} ok, {counts[Grade.WARNING]} warnings, {counts[Grade.MISSING]} missing"
    show({grade.value: counts[grade] for grade in Grade}, output, text)
    if counts[Grade.MISSING]:
        raise typer.Exit(1)


async def _told(settings: Settings, role: str | None, output: str) -> Counter[Grade]:
    counts: Counter[Grade] = Counter()
    async for finding in examine(settings, role):
        counts[finding.grade] += 1
        row = {"grade": finding.grade, "what": finding.what, "sentence": finding.sentence}
        show(row, output, line(finding))
    return counts


def line(finding: Finding) -> str:
    """A finding in three columns."""
    return f"{finding.grade:<{_GRADE_WIDTH}}  {finding.what:<{_WHAT_WIDTH}}  {finding.sentence}"
